"""The tables of endpoints."""

import sqlalchemy as sa
from alembic import op

revision = "endpoints_0001"
down_revision: str | None = None
branch_labels: tuple[str, ...] | None = ("endpoints",)
depends_on: tuple[str, ...] | None = None


def upgrade() -> None:
    """Take the step."""
    _deployment()
    _endpoint()


def _deployment() -> None:
    op.create_table(
        "deployment",
        sa.Column("id", sa.String(length=32), nullable=False),
        sa.Column("endpoint", sa.String(length=128), nullable=False),
        sa.Column("model", sa.String(length=128), nullable=False),
        sa.Column("number", sa.Integer(), nullable=False),
        sa.Column("digest", sa.String(length=64), nullable=False),
        sa.Column("strategy", sa.LargeBinary(), nullable=False),
        sa.Column("variant", sa.String(length=32), nullable=False),
        sa.Column("state", sa.String(length=16), nullable=False),
        sa.Column("task", sa.String(length=32), nullable=False),
        sa.Column("classes", sa.LargeBinary(), nullable=False),
        sa.Column("created_at", sa.BigInteger(), nullable=False),
        sa.Column("created_by", sa.String(length=128), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_deployment")),
        info={"room": "endpoints"},
        sqlite_autoincrement=True,
    )
    op.create_index("ix_deployment_endpoint", "deployment", ["endpoint", "created_at", "id"], unique=False)


def _endpoint() -> None:
    op.create_table(
        "endpoint",
        sa.Column("name", sa.String(length=128), nullable=False),
        sa.Column("state", sa.String(length=16), nullable=False),
        sa.Column("deployment", sa.String(length=32), nullable=True),
        sa.Column("task", sa.String(length=32), nullable=False),
        sa.Column("classes", sa.LargeBinary(), nullable=False),
        sa.Column("created_at", sa.BigInteger(), nullable=False),
        sa.Column("created_by", sa.String(length=128), nullable=False),
        sa.PrimaryKeyConstraint("name", name=op.f("pk_endpoint")),
        info={"room": "endpoints"},
        sqlite_autoincrement=True,
    )
