"""The tables of models."""

import sqlalchemy as sa
from alembic import op

revision = "models_0001"
down_revision: str | None = None
branch_labels: tuple[str, ...] | None = ("models",)
depends_on: tuple[str, ...] | None = None


def upgrade() -> None:
    """Take the step."""
    _attestation()
    _model_alias()
    _model_version()
    _stage_policy()


def _attestation() -> None:
    op.create_table(
        "attestation",
        sa.Column("id", sa.String(length=32), nullable=False),
        sa.Column("subject", sa.String(length=64), nullable=False),
        sa.Column("kind", sa.String(length=140), nullable=False),
        sa.Column("verdict", sa.String(length=32), nullable=False),
        sa.Column("policy_digest", sa.String(length=64), nullable=False),
        sa.Column("made_by", sa.String(length=128), nullable=False),
        sa.Column("made_at", sa.BigInteger(), nullable=False),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.Column("evidence", sa.LargeBinary(), nullable=False),
        sa.Column("place", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_attestation")),
        info={"room": "models"},
        sqlite_autoincrement=True,
    )
    op.create_index("ix_attestation_subject_place", "attestation", ["subject", "place"], unique=True)


def _model_alias() -> None:
    op.create_table(
        "model_alias",
        sa.Column("name", sa.String(length=128), nullable=False),
        sa.Column("alias", sa.String(length=128), nullable=False),
        sa.Column("number", sa.Integer(), nullable=False),
        sa.Column("moved_at", sa.BigInteger(), nullable=False),
        sa.Column("moved_by", sa.String(length=128), nullable=False),
        sa.PrimaryKeyConstraint("name", "alias", name=op.f("pk_model_alias")),
        info={"room": "models"},
        sqlite_autoincrement=True,
    )


def _model_version() -> None:
    op.create_table(
        "model_version",
        sa.Column("name", sa.String(length=128), nullable=False),
        sa.Column("number", sa.Integer(), nullable=False),
        sa.Column("digest", sa.String(length=64), nullable=False),
        sa.Column("stage", sa.String(length=32), nullable=False),
        sa.Column("created_at", sa.BigInteger(), nullable=False),
        sa.Column("created_by", sa.String(length=128), nullable=False),
        sa.Column("note", sa.Text(), nullable=False),
        sa.Column("manifest", sa.LargeBinary(), nullable=False),
        sa.PrimaryKeyConstraint("name", "number", name=op.f("pk_model_version")),
        sa.UniqueConstraint("digest", name=op.f("uq_model_version_digest")),
        info={"room": "models"},
        sqlite_autoincrement=True,
    )


def _stage_policy() -> None:
    op.create_table(
        "stage_policy",
        sa.Column("name", sa.String(length=128), nullable=False),
        sa.Column("stage", sa.String(length=32), nullable=False),
        sa.Column("policy", sa.LargeBinary(), nullable=False),
        sa.Column("digest", sa.String(length=64), nullable=False),
        sa.Column("set_at", sa.BigInteger(), nullable=False),
        sa.Column("set_by", sa.String(length=128), nullable=False),
        sa.PrimaryKeyConstraint("name", "stage", name=op.f("pk_stage_policy")),
        info={"room": "models"},
        sqlite_autoincrement=True,
    )
