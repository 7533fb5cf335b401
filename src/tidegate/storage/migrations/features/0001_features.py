"""The tables of features."""

import sqlalchemy as sa
from alembic import op

revision = "features_0001"
down_revision: str | None = None
branch_labels: tuple[str, ...] | None = ("features",)
depends_on: tuple[str, ...] | None = None


def upgrade() -> None:
    """Take the step."""
    _feature_service()
    _feature_view()


def _feature_service() -> None:
    op.create_table(
        "feature_service",
        sa.Column("name", sa.String(length=128), nullable=False),
        sa.Column("number", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("digest", sa.String(length=64), nullable=False),
        sa.Column("created_at", sa.BigInteger(), nullable=False),
        sa.Column("record", sa.LargeBinary(), nullable=False),
        sa.PrimaryKeyConstraint("name", "number", name=op.f("pk_feature_service")),
        sa.UniqueConstraint("digest", name=op.f("uq_feature_service_digest")),
        info={"room": "features"},
        sqlite_autoincrement=True,
    )


def _feature_view() -> None:
    op.create_table(
        "feature_view",
        sa.Column("name", sa.String(length=128), nullable=False),
        sa.Column("number", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("digest", sa.String(length=64), nullable=False),
        sa.Column("record", sa.LargeBinary(), nullable=False),
        sa.PrimaryKeyConstraint("name", "number", name=op.f("pk_feature_view")),
        sa.UniqueConstraint("digest", name=op.f("uq_feature_view_digest")),
        info={"room": "features"},
        sqlite_autoincrement=True,
    )
