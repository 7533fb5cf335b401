"""Step 2 of the tables of storage."""

import sqlalchemy as sa
from alembic import op

revision = "storage_0002"
down_revision: str | None = "storage_0001"
branch_labels: tuple[str, ...] | None = None
depends_on: tuple[str, ...] | None = None


def upgrade() -> None:
    """Take the step."""
    _released_object()


def _released_object() -> None:
    op.create_table(
        "released_object",
        sa.Column("digest", sa.String(length=64), nullable=False),
        sa.Column("due", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("digest", name=op.f("pk_released_object")),
        info={"room": "storage"},
        sqlite_autoincrement=True,
    )
    op.create_index(op.f("ix_released_object_due"), "released_object", ["due"], unique=False)
