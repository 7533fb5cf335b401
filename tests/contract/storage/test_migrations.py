"""Migrations make the same catalog as the tables do, on each database."""

import contextlib
import importlib
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext

import tidegate.workspace  # noqa: F401 - every room's tables
from tests.contract.storage.catalog_home import CatalogHome
from tidegate.kernel.errors import Conflict
from tidegate.storage.catalog import Catalog, open_catalog, opening
from tidegate.storage.migrations import alembic_steps
from tidegate.storage.migrations.heads import HEADS
from tidegate.storage.schema import metadata

ROOT = Path(__file__).parents[3]


@pytest.fixture(params=["sqlite", "postgresql"])
def empty(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Catalog]:
    """A catalog without a single table."""
    address = request.getfixturevalue("databases").new() if request.param == "postgresql" else ""
    with contextlib.closing(Catalog(opening._dialect(address, tmp_path))) as catalog:
        yield catalog


def upgrade(catalog: Catalog) -> None:
    def work() -> None:
        with catalog.connect() as connection:
            alembic_steps.upgrade(connection)

    catalog.write(work)


def stamps(catalog: Catalog) -> set[str]:
    with catalog.connect() as connection:
        return set(connection.execute(sa.text("SELECT version_num FROM alembic_version")).scalars())


def restamp(catalog: Catalog, *statements: str) -> None:
    def work() -> None:
        with catalog.connect() as connection:
            for statement in statements:
                connection.exec_driver_sql(statement)

    catalog.write(work)


def differences(catalog: Catalog) -> list[object]:
    with catalog.connect() as connection:
        options = {"compare_type": True, "compare_server_default": True}
        return list(compare_metadata(MigrationContext.configure(connection, opts=options), metadata))


def shape(catalog: Catalog) -> dict[str, object]:
    """Tables, columns, keys and indexes as the database itself tells them."""
    with catalog.connect() as connection:
        inspector = sa.inspect(connection)
        return {
            name: (
                [(column["name"], str(column["type"]), column["nullable"]) for column in inspector.get_columns(name)],
                inspector.get_pk_constraint(name),
                sorted(spelt(index) for index in inspector.get_indexes(name)),
                sorted(str(unique) for unique in inspector.get_unique_constraints(name)),
            )
            for name in inspector.get_table_names()
            if name != "alembic_version"
        }


def spelt(index: Any) -> str:
    """An index as text, the condition of a partial one, too."""
    options = {name: str(value) for name, value in index.get("dialect_options", {}).items()}
    return str(index | {"dialect_options": options})


def test_heads_are_those_of_the_migrations() -> None:
    directory = alembic_steps.scripts()
    assert set(HEADS.values()) == set(directory.get_heads())
    for room, head in HEADS.items():
        assert directory.get_revision(head).branch_labels >= {room}
    assert set(HEADS) == {table.info["room"] for table in metadata.tables.values()}


def test_an_upgraded_empty_database_is_what_the_tables_say(empty: Catalog) -> None:
    upgrade(empty)
    assert stamps(empty) == set(HEADS.values())
    assert differences(empty) == []
    upgrade(empty)  # nothing is left to do
    assert differences(empty) == []


def test_upgrading_and_creating_make_the_same(empty: Catalog, tmp_path_factory: pytest.TempPathFactory) -> None:
    upgrade(empty)
    if empty.dialect == "postgresql":
        made = shape(empty)
        restamp(empty, "DROP SCHEMA public CASCADE", "CREATE SCHEMA public")
        created = open_catalog(str(empty._dialect.writer().url.render_as_string(hide_password=False)), Path("/"))
    else:
        made = shape(empty)
        created = open_catalog("", tmp_path_factory.mktemp("created"))
    assert shape(created) == made
    assert stamps(created) == set(HEADS.values())
    created.close()


def test_a_home_of_an_unknown_revision_is_refused(catalog_home: CatalogHome) -> None:
    catalog = catalog_home.open()
    head = HEADS["models"]
    restamp(catalog, f"UPDATE alembic_version SET version_num = 'models_9999' WHERE version_num = '{head}'")
    with pytest.raises(Conflict, match=r"newer Tidegate.*models_9999"):
        open_catalog(catalog_home.address, catalog_home.folder)
    restamp(
        catalog,
        f"UPDATE alembic_version SET version_num = '{head}' WHERE version_num = 'models_9999'",
        "INSERT INTO alembic_version VALUES ('later_room_0001')",
    )
    with pytest.raises(Conflict, match=r"newer Tidegate.*later_room_0001"):
        open_catalog(catalog_home.address, catalog_home.folder)


def test_a_room_that_is_new_to_a_home_gets_its_tables(catalog_home: CatalogHome) -> None:
    catalog = catalog_home.open()
    restamp(
        catalog,
        "DROP TABLE event",
        "DROP TABLE event_cursor",
        "DELETE FROM alembic_version WHERE version_num = 'events_0001'",
    )
    assert differences(catalog) != []
    reopened = catalog_home.open()
    assert differences(reopened) == []
    assert stamps(reopened) == set(HEADS.values())


def test_versions_that_are_there_make_their_models(catalog_home: CatalogHome) -> None:
    catalog = catalog_home.open()
    row = "INSERT INTO model_version (name, number, digest, stage, created_at, created_by, note, manifest) VALUES "
    run = '\'{"run_id": "' + "a" * 32 + "\"}'" + "::bytea" * (catalog.dialect == "postgresql")
    restamp(
        catalog,
        "DROP TABLE model",
        "DROP TABLE model_tag",
        *(f"DROP TABLE draft{part}" for part in ("", "_text", "_file", "_metric", "_use")),
        "DROP INDEX ix_model_version_run_id",
        "DROP INDEX ix_model_version_draft_id",
        "DROP INDEX ix_model_version_stage",
        "ALTER TABLE model_version DROP COLUMN run_id",
        "ALTER TABLE model_version DROP COLUMN draft_id",
        "ALTER TABLE model_version DROP COLUMN updated_at",
        f"{row} ('late', 1, 'a', 'development', 10, 'ada', '', {run})",
        f"{row} ('late', 4, 'b', 'staging', 20, 'bob', '', {run})",
        "UPDATE alembic_version SET version_num = 'models_0001' WHERE version_num LIKE 'models%%'",
    )
    reopened = catalog_home.open()
    assert differences(reopened) == []
    with reopened.connect() as connection:
        made = connection.execute(sa.text("SELECT name, owner, numbered, created_at, updated_at FROM model")).all()
        filled = connection.execute(sa.text("SELECT run_id, updated_at FROM model_version ORDER BY number")).all()
    assert [tuple(one) for one in made] == [("late", "ada", 4, 10, 10)]
    assert [tuple(one) for one in filled] == [("a" * 32, 10), ("a" * 32, 20)]


def test_a_failed_upgrade_leaves_the_home_as_it_was(catalog_home: CatalogHome) -> None:
    catalog = catalog_home.open()
    restamp(
        catalog,
        "DROP TABLE event",  # but its cursors stand in the way
        "DELETE FROM alembic_version WHERE version_num = 'events_0001'",
    )
    before = shape(catalog)
    with pytest.raises(sa.exc.DBAPIError):
        open_catalog(catalog_home.address, catalog_home.folder)
    assert shape(catalog) == before
    assert "events_0001" not in stamps(catalog)


def test_the_tool_finds_nothing_to_write(monkeypatch: pytest.MonkeyPatch) -> None:
    tool = importlib.import_module("tools.migrations")
    monkeypatch.setattr(sys, "argv", ["migrations.py", "--check"])
    assert tool.main() == 0


def test_the_tool_sees_a_table_without_a_migration(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    tool = importlib.import_module("tools.migrations")
    sa.Table("unheard_of", metadata, sa.Column("id", sa.Integer, primary_key=True), info={"room": "models"})
    try:
        monkeypatch.setattr(sys, "argv", ["migrations.py", "--check"])
        assert tool.main() == 1
        text = tool.render("models", 3, tool.missing_steps()["models"])
    finally:
        metadata.remove(metadata.tables["unheard_of"])
    assert "unheard_of" in capsys.readouterr().err
    assert 'down_revision: str | None = "models_0002"' in text
    compile(text, "0002_models.py", "exec")
