"""The tables of lineage."""

import sqlalchemy as sa
from alembic import op

revision = "lineage_0001"
down_revision: str | None = None
branch_labels: tuple[str, ...] | None = ("lineage",)
depends_on: tuple[str, ...] | None = None


def upgrade() -> None:
    """Take the step."""
    _lineage_edge()


def _lineage_edge() -> None:
    op.create_table(
        "lineage_edge",
        sa.Column("source_kind", sa.String(length=32), nullable=False),
        sa.Column("source_key", sa.String(length=128), nullable=False),
        sa.Column("target_kind", sa.String(length=32), nullable=False),
        sa.Column("target_key", sa.String(length=128), nullable=False),
        sa.Column("role", sa.String(length=64), nullable=False),
        sa.Column("source_label", sa.String(length=256), nullable=False),
        sa.Column("target_label", sa.String(length=256), nullable=False),
        sa.PrimaryKeyConstraint(
            "source_kind", "source_key", "target_kind", "target_key", "role", name=op.f("pk_lineage_edge")
        ),
        info={"room": "lineage"},
        sqlite_autoincrement=True,
    )
    op.create_index("ix_lineage_edge_target", "lineage_edge", ["target_kind", "target_key"], unique=False)
