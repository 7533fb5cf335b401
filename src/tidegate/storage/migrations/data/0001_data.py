"""The tables of data."""

import sqlalchemy as sa
from alembic import op

revision = "data_0001"
down_revision: str | None = None
branch_labels: tuple[str, ...] | None = ("data",)
depends_on: tuple[str, ...] | None = None


def upgrade() -> None:
    """Take the step."""
    _dataset()
    _dataset_contract()
    _dataset_version()


def _dataset() -> None:
    op.create_table(
        "dataset",
        sa.Column("name", sa.String(length=128), nullable=False),
        sa.PrimaryKeyConstraint("name", name=op.f("pk_dataset")),
        info={"room": "data"},
        sqlite_autoincrement=True,
    )


def _dataset_contract() -> None:
    op.create_table(
        "dataset_contract",
        sa.Column("name", sa.String(length=128), nullable=False),
        sa.Column("revision", sa.Integer(), nullable=False),
        sa.Column("contract", sa.LargeBinary(), nullable=False),
        sa.Column("digest", sa.String(length=64), nullable=False),
        sa.Column("created_at", sa.BigInteger(), nullable=False),
        sa.Column("created_by", sa.String(length=128), nullable=False),
        sa.Column("note", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("name", "revision", name=op.f("pk_dataset_contract")),
        info={"room": "data"},
        sqlite_autoincrement=True,
    )


def _dataset_version() -> None:
    op.create_table(
        "dataset_version",
        sa.Column("name", sa.String(length=128), nullable=False),
        sa.Column("number", sa.Integer(), nullable=False),
        sa.Column("digest", sa.String(length=64), nullable=False),
        sa.Column("rows", sa.BigInteger(), nullable=False),
        sa.Column("manifest", sa.LargeBinary(), nullable=False),
        sa.Column("contract_revision", sa.Integer(), nullable=False),
        sa.Column("created_at", sa.BigInteger(), nullable=False),
        sa.Column("created_by", sa.String(length=128), nullable=False),
        sa.Column("note", sa.Text(), nullable=False),
        sa.Column("source", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("name", "number", name=op.f("pk_dataset_version")),
        sa.UniqueConstraint("name", "digest", name=op.f("uq_dataset_version_name_digest")),
        info={"room": "data"},
        sqlite_autoincrement=True,
    )
    op.create_index(op.f("ix_dataset_version_digest"), "dataset_version", ["digest"], unique=False)
