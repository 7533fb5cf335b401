"""The tables of runs."""

import sqlalchemy as sa
from alembic import op

revision = "runs_0001"
down_revision: str | None = None
branch_labels: tuple[str, ...] | None = ("runs",)
depends_on: tuple[str, ...] | None = None


def upgrade() -> None:
    """Take the step."""
    _experiment()
    _experiment_tag()
    _run()
    _run_artifact()
    _run_input()
    _run_metric_blob()
    _run_metric_chunk()
    _run_metric_tail()
    _run_param()
    _run_series()
    _run_tag()


def _experiment() -> None:
    op.create_table(
        "experiment",
        sa.Column("id", sa.String(length=32), nullable=False),
        sa.Column("name", sa.String(length=500), nullable=False),
        sa.Column("by", sa.String(length=128), nullable=False),
        sa.Column("created_at", sa.BigInteger(), nullable=False),
        sa.Column("updated_at", sa.BigInteger(), nullable=False),
        sa.Column("deleted_at", sa.BigInteger(), nullable=True),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_experiment")),
        info={"room": "runs"},
        sqlite_autoincrement=True,
    )
    op.create_index(
        "ux_experiment_name",
        "experiment",
        ["name"],
        unique=True,
        sqlite_where=sa.text("deleted_at IS NULL"),
        postgresql_where=sa.text("deleted_at IS NULL"),
    )


def _experiment_tag() -> None:
    op.create_table(
        "experiment_tag",
        sa.Column("experiment_id", sa.String(length=32), nullable=False),
        sa.Column("name", sa.String(length=250), nullable=False),
        sa.Column("text", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("experiment_id", "name", name=op.f("pk_experiment_tag")),
        info={"room": "runs"},
        sqlite_autoincrement=True,
    )


def _run() -> None:
    op.create_table(
        "run",
        sa.Column("id", sa.String(length=32), nullable=False),
        sa.Column("name", sa.String(length=250), nullable=False),
        sa.Column("experiment_id", sa.String(length=32), nullable=False),
        sa.Column("parent", sa.String(length=32), nullable=True),
        sa.Column("status", sa.String(length=16), nullable=False),
        sa.Column("started_at", sa.BigInteger(), nullable=False),
        sa.Column("ended_at", sa.BigInteger(), nullable=True),
        sa.Column("deleted_at", sa.BigInteger(), nullable=True),
        sa.Column("actor", sa.String(length=128), nullable=False),
        sa.Column("error", sa.Text(), nullable=False),
        sa.Column("code", sa.LargeBinary(), nullable=False),
        sa.Column("environment", sa.LargeBinary(), nullable=True),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_run")),
        info={"room": "runs"},
        sqlite_autoincrement=True,
    )
    op.create_index("ix_run_experiment_id", "run", ["experiment_id", "id"], unique=False)
    op.create_index("ix_run_experiment_started_at", "run", ["experiment_id", "started_at"], unique=False)
    op.create_index("ix_run_parent", "run", ["parent"], unique=False)
    op.create_index("ix_run_started_at", "run", ["started_at"], unique=False)


def _run_artifact() -> None:
    op.create_table(
        "run_artifact",
        sa.Column("run_id", sa.String(length=32), nullable=False),
        sa.Column("name", sa.String(length=250), nullable=False),
        sa.Column("digest", sa.String(length=64), nullable=False),
        sa.Column("bytes", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("run_id", "name", name=op.f("pk_run_artifact")),
        info={"room": "runs"},
        sqlite_autoincrement=True,
    )


def _run_input() -> None:
    op.create_table(
        "run_input",
        sa.Column("run_id", sa.String(length=32), nullable=False),
        sa.Column("digest", sa.String(length=64), nullable=False),
        sa.Column("label", sa.String(length=256), nullable=False),
        sa.Column("foreign", sa.LargeBinary(), nullable=True),
        sa.PrimaryKeyConstraint("run_id", "digest", "label", name=op.f("pk_run_input")),
        info={"room": "runs"},
        sqlite_autoincrement=True,
    )


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


def _run_param() -> None:
    op.create_table(
        "run_param",
        sa.Column("run_id", sa.String(length=32), nullable=False),
        sa.Column("name", sa.String(length=250), nullable=False),
        sa.Column("kind", sa.String(length=8), nullable=False),
        sa.Column("text", sa.Text(), nullable=False),
        sa.Column("head", sa.String(length=64), nullable=False),
        sa.Column("number", sa.Double(), nullable=True),
        sa.PrimaryKeyConstraint("run_id", "name", name=op.f("pk_run_param")),
        info={"room": "runs"},
        sqlite_autoincrement=True,
    )
    op.create_index("ix_run_param_head", "run_param", ["name", "head", "run_id"], unique=False)
    op.create_index("ix_run_param_number", "run_param", ["name", "number", "run_id"], unique=False)


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


def _run_tag() -> None:
    op.create_table(
        "run_tag",
        sa.Column("run_id", sa.String(length=32), nullable=False),
        sa.Column("name", sa.String(length=250), nullable=False),
        sa.Column("text", sa.Text(), nullable=False),
        sa.Column("head", sa.String(length=64), nullable=False),
        sa.PrimaryKeyConstraint("run_id", "name", name=op.f("pk_run_tag")),
        info={"room": "runs"},
        sqlite_autoincrement=True,
    )
    op.create_index("ix_run_tag_head", "run_tag", ["name", "head", "run_id"], unique=False)
