"""Metrics are series. What was measured before is not kept: no release had made a home."""

import sqlalchemy as sa
from alembic import op

revision = "runs_0002"
down_revision: str | None = "runs_0001"
branch_labels: tuple[str, ...] | None = None
depends_on: tuple[str, ...] | None = None


def upgrade() -> None:
    """Take the step."""
    op.drop_table("run_metric")
    op.drop_table("run_metric_latest")
    _run_metric_blob()
    _run_metric_chunk()
    _run_metric_tail()
    _run_series()


def _run_metric_blob() -> None:
    op.create_table(
        "run_metric_blob",
        sa.Column("id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), autoincrement=True, nullable=False),
        sa.Column("blob", sa.LargeBinary(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_run_metric_blob")),
        info={"room": "runs"},
        sqlite_autoincrement=True,
    )


def _run_metric_chunk() -> None:
    op.create_table(
        "run_metric_chunk",
        sa.Column("series_id", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("level", sa.SmallInteger(), autoincrement=False, nullable=False),
        sa.Column("first_step", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("first_at", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("first_rank", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("last_step", sa.BigInteger(), nullable=False),
        sa.Column("last_at", sa.BigInteger(), nullable=False),
        sa.Column("last_rank", sa.BigInteger(), nullable=False),
        sa.Column("count", sa.BigInteger(), nullable=False),
        sa.Column("nan_count", sa.BigInteger(), nullable=False),
        sa.Column("least_rank", sa.BigInteger(), nullable=True),
        sa.Column("least_step", sa.BigInteger(), nullable=True),
        sa.Column("greatest_rank", sa.BigInteger(), nullable=True),
        sa.Column("greatest_step", sa.BigInteger(), nullable=True),
        sa.Column("blob_id", sa.BigInteger(), nullable=True),
        sa.PrimaryKeyConstraint(
            "series_id", "level", "first_step", "first_at", "first_rank", name=op.f("pk_run_metric_chunk")
        ),
        info={"room": "runs"},
        sqlite_autoincrement=True,
        sqlite_with_rowid=False,
    )


def _run_metric_tail() -> None:
    op.create_table(
        "run_metric_tail",
        sa.Column("series_id", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("step", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("at", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("rank", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.PrimaryKeyConstraint("series_id", "step", "at", "rank", name=op.f("pk_run_metric_tail")),
        info={"room": "runs"},
        sqlite_autoincrement=True,
        sqlite_with_rowid=False,
    )


def _run_series() -> None:
    op.create_table(
        "run_series",
        sa.Column("id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), autoincrement=True, nullable=False),
        sa.Column("run_id", sa.String(length=32), nullable=False),
        sa.Column("name", sa.String(length=250), nullable=False),
        sa.Column("count", sa.BigInteger(), nullable=False),
        sa.Column("nan_count", sa.BigInteger(), nullable=False),
        sa.Column("first_step", sa.BigInteger(), nullable=False),
        sa.Column("first_at", sa.BigInteger(), nullable=False),
        sa.Column("first_value", sa.Double(), nullable=True),
        sa.Column("last_step", sa.BigInteger(), nullable=False),
        sa.Column("last_at", sa.BigInteger(), nullable=False),
        sa.Column("last_value", sa.Double(), nullable=True),
        sa.Column("least_step", sa.BigInteger(), nullable=True),
        sa.Column("least_value", sa.Double(), nullable=True),
        sa.Column("greatest_step", sa.BigInteger(), nullable=True),
        sa.Column("greatest_value", sa.Double(), nullable=True),
        sa.Column("tail_count", sa.BigInteger(), nullable=False),
        sa.Column("sealed_step", sa.BigInteger(), nullable=True),
        sa.Column("sealed_at", sa.BigInteger(), nullable=True),
        sa.Column("sealed_rank", sa.BigInteger(), nullable=True),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_run_series")),
        sa.UniqueConstraint("run_id", "name", name=op.f("uq_run_series_run_id_name")),
        info={"room": "runs"},
        sqlite_autoincrement=True,
    )
    op.create_index("ix_run_series_name_last_value", "run_series", ["name", "last_value", "run_id"], unique=False)
