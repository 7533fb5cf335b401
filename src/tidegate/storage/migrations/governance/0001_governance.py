"""The tables of governance."""

import sqlalchemy as sa
from alembic import op

revision = "governance_0001"
down_revision: str | None = None
branch_labels: tuple[str, ...] | None = ("governance",)
depends_on: tuple[str, ...] | None = None


def upgrade() -> None:
    """Take the step."""
    _person()
    _person_role()
    _token()


def _person() -> None:
    op.create_table(
        "person",
        sa.Column("name", sa.String(length=128), nullable=False),
        sa.Column("created_at", sa.BigInteger(), nullable=False),
        sa.Column("created_by", sa.String(length=128), nullable=False),
        sa.PrimaryKeyConstraint("name", name=op.f("pk_person")),
        info={"room": "governance"},
        sqlite_autoincrement=True,
    )


def _person_role() -> None:
    op.create_table(
        "person_role",
        sa.Column("person", sa.String(length=128), nullable=False),
        sa.Column("role", sa.String(length=32), nullable=False),
        sa.PrimaryKeyConstraint("person", "role", name=op.f("pk_person_role")),
        info={"room": "governance"},
        sqlite_autoincrement=True,
    )
    op.create_index(op.f("ix_person_role_role"), "person_role", ["role"], unique=False)


def _token() -> None:
    op.create_table(
        "token",
        sa.Column("id", sa.String(length=32), nullable=False),
        sa.Column("person", sa.String(length=128), nullable=False),
        sa.Column("digest", sa.String(length=64), nullable=False),
        sa.Column("created_at", sa.BigInteger(), nullable=False),
        sa.Column("created_by", sa.String(length=128), nullable=False),
        sa.Column("expires_at", sa.BigInteger(), nullable=True),
        sa.Column("revoked_at", sa.BigInteger(), nullable=True),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_token")),
        sa.UniqueConstraint("digest", name=op.f("uq_token_digest")),
        info={"room": "governance"},
        sqlite_autoincrement=True,
    )
    op.create_index(op.f("ix_token_person"), "token", ["person"], unique=False)
