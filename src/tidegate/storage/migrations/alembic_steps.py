"""Runs Alembic inside our own write transaction: a branch for each room, found by its folder."""

from pathlib import Path

import sqlalchemy as sa
from alembic.config import Config
from alembic.runtime.environment import EnvironmentContext
from alembic.script import ScriptDirectory

from tidegate.storage.schema import metadata

FOLDER = Path(__file__).parent


def scripts() -> ScriptDirectory:
    """Every migration of every room."""
    config = Config()
    branches = sorted(str(path) for path in FOLDER.iterdir() if path.is_dir() and not path.name.startswith("__"))
    config.set_main_option("script_location", str(FOLDER))
    config.set_main_option("path_separator", "newline")
    config.set_main_option("version_locations", "\n".join(branches))
    return ScriptDirectory.from_config(config)


def known_revisions() -> frozenset[str]:
    """All revisions that this version knows."""
    return frozenset(script.revision for script in scripts().walk_revisions())


def upgrade(connection: sa.Connection) -> None:
    """Bring every branch to its head, inside the transaction of this connection."""
    directory = scripts()
    if not connection.in_transaction():
        connection.begin()  # so that Alembic leaves beginning and committing to us
    environment = EnvironmentContext(
        Config(),
        directory,
        fn=lambda revision, _context: directory._upgrade_revs("heads", revision),
    )
    environment.configure(connection=connection, target_metadata=metadata, transactional_ddl=False)
    with environment:
        environment.run_migrations()
