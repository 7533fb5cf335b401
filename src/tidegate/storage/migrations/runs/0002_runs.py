"""Step 2 of the tables of runs."""

import sqlalchemy as sa
from alembic import op

revision = "runs_0002"
down_revision: str | None = "runs_0001"
branch_labels: tuple[str, ...] | None = None
depends_on: tuple[str, ...] | None = None


def upgrade() -> None:
    """Take the step."""
    _run()
    _run_beat()
    _run_purged()
    _run_upload()


def _run() -> None:
    op.create_index(
        "ix_run_deleted_at",
        "run",
        ["deleted_at"],
        unique=False,
        sqlite_where=sa.text("deleted_at IS NOT NULL"),
        postgresql_where=sa.text("deleted_at IS NOT NULL"),
    )


def _run_beat() -> None:
    op.create_table(
        "run_beat",
        sa.Column("run_id", sa.String(length=32), nullable=False),
        sa.Column("heard", sa.Float(precision=53), nullable=False),
        sa.PrimaryKeyConstraint("run_id", name=op.f("pk_run_beat")),
        info={"room": "runs"},
        sqlite_autoincrement=True,
    )


def _run_purged() -> None:
    op.create_table(
        "run_purged",
        sa.Column("run_id", sa.String(length=32), nullable=False),
        sa.Column("purged_at", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("run_id", name=op.f("pk_run_purged")),
        info={"room": "runs"},
        sqlite_autoincrement=True,
    )


def _run_upload() -> None:
    op.create_table(
        "run_upload",
        sa.Column("run_id", sa.String(length=32), nullable=False),
        sa.Column("entries", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("run_id", name=op.f("pk_run_upload")),
        info={"room": "runs"},
        sqlite_autoincrement=True,
    )
