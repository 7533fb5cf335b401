"""The tables of pipelines."""

import sqlalchemy as sa
from alembic import op

revision = "pipelines_0001"
down_revision: str | None = None
branch_labels: tuple[str, ...] | None = ("pipelines",)
depends_on: tuple[str, ...] | None = None


def upgrade() -> None:
    """Take the step."""
    _pipeline()
    _pipeline_run()


def _pipeline() -> None:
    op.create_table(
        "pipeline",
        sa.Column("name", sa.String(length=128), nullable=False),
        sa.Column("number", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("digest", sa.String(length=64), nullable=False),
        sa.Column("pipeline", sa.LargeBinary(), nullable=False),
        sa.PrimaryKeyConstraint("name", "number", name=op.f("pk_pipeline")),
        info={"room": "pipelines"},
        sqlite_autoincrement=True,
    )


def _pipeline_run() -> None:
    op.create_table(
        "pipeline_run",
        sa.Column("id", sa.String(length=32), nullable=False),
        sa.Column("pipeline", sa.String(length=128), nullable=False),
        sa.Column("key", sa.String(length=128), nullable=False),
        sa.Column("state", sa.String(length=16), nullable=False),
        sa.Column("ended_at", sa.BigInteger(), nullable=True),
        sa.Column("term", sa.BigInteger(), nullable=False),
        sa.Column("heard", sa.BigInteger(), nullable=False),
        sa.Column("run", sa.LargeBinary(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_pipeline_run")),
        sa.UniqueConstraint("pipeline", "key", name=op.f("uq_pipeline_run_pipeline_key")),
        info={"room": "pipelines"},
        sqlite_autoincrement=True,
    )
    op.create_index(op.f("ix_pipeline_run_ended_at"), "pipeline_run", ["ended_at"], unique=False)
    op.create_index(op.f("ix_pipeline_run_pipeline_id"), "pipeline_run", ["pipeline", "id"], unique=False)
