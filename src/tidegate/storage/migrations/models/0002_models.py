"""Step 2 of the tables of models."""

import json

import sqlalchemy as sa
from alembic import op

revision = "models_0002"
down_revision: str | None = "models_0001"
branch_labels: tuple[str, ...] | None = None
depends_on: tuple[str, ...] | None = None


def upgrade() -> None:
    """Take the step."""
    _draft()
    _draft_file()
    _draft_metric()
    _draft_text()
    _draft_use()
    _model()
    _model_tag()
    _model_version()
    _fill()


def _draft() -> None:
    op.create_table(
        "draft",
        sa.Column("id", sa.String(length=32), nullable=False),
        sa.Column("experiment_id", sa.String(length=32), nullable=False),
        sa.Column("name", sa.String(length=250), nullable=False),
        sa.Column("kind", sa.String(length=250), nullable=False),
        sa.Column("run_id", sa.String(length=32), nullable=True),
        sa.Column("status", sa.String(length=16), nullable=False),
        sa.Column("created_at", sa.BigInteger(), nullable=False),
        sa.Column("created_by", sa.String(length=128), nullable=False),
        sa.Column("updated_at", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_draft")),
        info={"room": "models"},
        sqlite_autoincrement=True,
    )
    op.create_index("ix_draft_experiment_id", "draft", ["experiment_id", "name"], unique=False)
    op.create_index("ix_draft_run_id", "draft", ["run_id"], unique=False)


def _draft_file() -> None:
    op.create_table(
        "draft_file",
        sa.Column("draft_id", sa.String(length=32), nullable=False),
        sa.Column("name", sa.String(length=250), nullable=False),
        sa.Column("digest", sa.String(length=64), nullable=False),
        sa.Column("bytes", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("draft_id", "name", name=op.f("pk_draft_file")),
        info={"room": "models"},
        sqlite_autoincrement=True,
    )


def _draft_metric() -> None:
    op.create_table(
        "draft_metric",
        sa.Column("draft_id", sa.String(length=32), nullable=False),
        sa.Column("name", sa.String(length=250), nullable=False),
        sa.Column("at", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("step", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("run_id", sa.String(length=32), nullable=False),
        sa.Column("value", sa.Double(), nullable=True),
        sa.Column("dataset", sa.String(length=500), nullable=False),
        sa.Column("dataset_digest", sa.String(length=36), nullable=False),
        sa.PrimaryKeyConstraint("draft_id", "name", "at", "step", "run_id", name=op.f("pk_draft_metric")),
        info={"room": "models"},
        sqlite_autoincrement=True,
    )


def _draft_text() -> None:
    op.create_table(
        "draft_text",
        sa.Column("draft_id", sa.String(length=32), nullable=False),
        sa.Column("part", sa.String(length=8), nullable=False),
        sa.Column("name", sa.String(length=250), nullable=False),
        sa.Column("text", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("draft_id", "part", "name", name=op.f("pk_draft_text")),
        info={"room": "models"},
        sqlite_autoincrement=True,
    )


def _draft_use() -> None:
    op.create_table(
        "draft_use",
        sa.Column("run_id", sa.String(length=32), nullable=False),
        sa.Column("draft_id", sa.String(length=32), nullable=False),
        sa.Column("role", sa.String(length=8), nullable=False),
        sa.Column("step", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("run_id", "draft_id", "role", name=op.f("pk_draft_use")),
        info={"room": "models"},
        sqlite_autoincrement=True,
    )
    op.create_index("ix_draft_use_draft_id", "draft_use", ["draft_id"], unique=False)


def _model() -> None:
    op.create_table(
        "model",
        sa.Column("name", sa.String(length=128), nullable=False),
        sa.Column("owner", sa.String(length=128), nullable=False),
        sa.Column("note", sa.Text(), nullable=False),
        sa.Column("numbered", sa.Integer(), nullable=False),
        sa.Column("created_at", sa.BigInteger(), nullable=False),
        sa.Column("created_by", sa.String(length=128), nullable=False),
        sa.Column("updated_at", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("name", name=op.f("pk_model")),
        info={"room": "models"},
        sqlite_autoincrement=True,
    )


def _model_tag() -> None:
    op.create_table(
        "model_tag",
        sa.Column("name", sa.String(length=128), nullable=False),
        sa.Column("number", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("tag", sa.String(length=250), nullable=False),
        sa.Column("text", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("name", "number", "tag", name=op.f("pk_model_tag")),
        info={"room": "models"},
        sqlite_autoincrement=True,
    )


def _model_version() -> None:
    op.add_column("model_version", sa.Column("updated_at", sa.BigInteger(), nullable=True))
    op.add_column("model_version", sa.Column("run_id", sa.String(length=32), nullable=True))
    op.add_column("model_version", sa.Column("draft_id", sa.String(length=32), nullable=True))
    op.create_index("ix_model_version_draft_id", "model_version", ["draft_id"], unique=False)
    op.create_index("ix_model_version_run_id", "model_version", ["run_id"], unique=False)
    op.create_index("ix_model_version_stage", "model_version", ["name", "stage", "number"], unique=False)


def _fill() -> None:
    """What the versions that are there tell of their models, and their manifests of their runs."""
    bind = op.get_bind()
    bind.exec_driver_sql("UPDATE model_version SET updated_at = created_at")
    bind.exec_driver_sql(
        "INSERT INTO model (name, owner, note, numbered, created_at, created_by, updated_at) "
        "SELECT v.name, v.created_by, '', last.number, v.created_at, v.created_by, v.created_at FROM model_version v "
        "JOIN (SELECT name, MAX(number) AS number, MIN(number) AS first FROM model_version GROUP BY name) last "
        "ON last.name = v.name AND last.first = v.number"
    )
    versions = sa.table("model_version", sa.column("digest"), sa.column("manifest"), sa.column("run_id"))
    for digest, manifest in bind.execute(sa.select(versions.c.digest, versions.c.manifest)).all():
        run_id = json.loads(manifest).get("run_id")
        bind.execute(versions.update().where(versions.c.digest == digest).values(run_id=run_id))
