"""Writes the migrations that the rooms' tables still lack, one Alembic branch a room.

`--check` writes nothing, and fails if any is missing. `--fresh` throws all migrations away and begins again with one
a room: only while no release has made a home.
"""

import importlib
import shutil
import subprocess
import sys
import tempfile
from collections import defaultdict
from pathlib import Path

import sqlalchemy as sa
from alembic.autogenerate import produce_migrations, render_python_code
from alembic.migration import MigrationContext
from alembic.operations import ops

import tidegate
from tidegate.storage.migrations import alembic_steps
from tidegate.storage.schema import metadata

PACKAGE = Path(tidegate.__file__).parent
FOLDER = alembic_steps.FOLDER
HEADS = FOLDER / "heads.py"

HEADS_TEXT = '''\
"""The newest revision of each room, so that opening a home need not import Alembic; a test compares them."""

HEADS: dict[str, str] = {heads}
'''
REVISION = '''"""{summary}"""

import sqlalchemy as sa
from alembic import op

revision = "{revision}"
down_revision: str | None = {down}
branch_labels: tuple[str, ...] | None = {labels}
depends_on: tuple[str, ...] | None = None


def upgrade() -> None:
    """Take the step."""
{calls}

{functions}
'''


def import_tables() -> None:
    """Import every module that declares a table."""
    importlib.import_module("tidegate.storage.opening")
    for store in sorted(PACKAGE.glob("*/*store.py")):
        importlib.import_module(f"tidegate.{store.parent.name}.{store.stem}")


def missing_steps() -> dict[str, list[tuple[str, ops.MigrateOperation]]]:
    """By room: what leads from the database that the migrations make to the tables, each with its table's name."""
    with tempfile.TemporaryDirectory() as folder:
        engine = sa.create_engine(f"sqlite:///{folder}/empty.db")
        with engine.begin() as connection:
            alembic_steps.upgrade(connection)
            upgrade = produce_migrations(MigrationContext.configure(connection), metadata).upgrade_ops
        engine.dispose()
    steps: dict[str, list[tuple[str, ops.MigrateOperation]]] = defaultdict(list)
    for step in upgrade.ops if upgrade is not None else ():
        name = getattr(step, "table_name", "")
        if isinstance(step, ops.DropTableOp):
            sys.exit(f"table {name!r} is in the migrations only: write the step that drops it by hand")
        steps[metadata.tables[name].info["room"]].append((name, step))
    return steps


def render(room: str, number: int, steps: list[tuple[str, ops.MigrateOperation]]) -> str:
    """The text of a migration: a function a table."""
    by_table: dict[str, list[ops.MigrateOperation]] = defaultdict(list)
    for table, step in sorted(steps, key=lambda pair: pair[0]):
        by_table[table].append(step)
    functions = []
    for table, table_steps in by_table.items():
        body = render_python_code(ops.UpgradeOps(ops=table_steps))
        lines = [line for line in body.splitlines() if line.strip() and not line.strip().startswith("# ###")]
        text = "\n".join(line if line.startswith("    ") else f"    {line}" for line in lines)
        functions.append(f"def _{table}() -> None:\n{text}\n")
    return REVISION.format(
        summary=f"The tables of {room}." if number == 1 else f"Step {number} of the tables of {room}.",
        revision=revision_of(room, number),
        down=f'"{revision_of(room, number - 1)}"' if number > 1 else None,
        labels=f'("{room}",)' if number == 1 else None,
        calls="\n".join(f"    _{table}()" for table in by_table),
        functions="\n\n".join(functions),
    )


def revision_of(room: str, number: int) -> str:
    """The name of a room's revision."""
    return f"{room}_{number:04}"


def write(steps: dict[str, list[tuple[str, ops.MigrateOperation]]]) -> None:
    """Write the migrations and the heads, as the formatter wants them."""
    for room in sorted(steps):
        folder = FOLDER / room
        folder.mkdir(exist_ok=True)
        number = len(list(folder.glob("[0-9]*.py"))) + 1
        path = folder / f"{number:04}_{room}.py"
        path.write_text(render(room, number, steps[room]), encoding="utf-8")
        print(path.relative_to(PACKAGE.parent))
    rooms = sorted(folder.name for folder in FOLDER.iterdir() if list(folder.glob("[0-9]*.py")))
    heads = {room: revision_of(room, len(list((FOLDER / room).glob("[0-9]*.py")))) for room in rooms}
    lines = "".join(f'    "{room}": "{head}",\n' for room, head in heads.items())
    HEADS.write_text(HEADS_TEXT.format(heads="{\n" + lines + "}"), encoding="utf-8")
    ruff = [sys.executable, "-m", "ruff"]
    subprocess.run([*ruff, "check", "--fix-only", "--quiet", str(FOLDER)], check=True)
    subprocess.run([*ruff, "format", "--quiet", str(FOLDER)], check=True)


def main() -> int:
    """Write or compare; the exit status."""
    import_tables()
    if "--fresh" in sys.argv[1:]:
        for folder in FOLDER.iterdir():
            if folder.is_dir() and not folder.name.startswith("__"):
                shutil.rmtree(folder)
    steps = missing_steps()
    if "--check" not in sys.argv[1:]:
        write(steps)
        return 0
    for room, found in sorted(steps.items()):
        tables = ", ".join(sorted({table for table, _ in found}))
        print(f"the migrations of {room} do not make its tables ({tables}): run 'make migrations'", file=sys.stderr)
    return 1 if steps else 0


if __name__ == "__main__":
    sys.exit(main())
