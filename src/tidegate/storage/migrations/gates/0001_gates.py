"""The tables of gates."""

import sqlalchemy as sa
from alembic import op

revision = "gates_0001"
down_revision: str | None = None
branch_labels: tuple[str, ...] | None = ("gates",)
depends_on: tuple[str, ...] | None = None


def upgrade() -> None:
    """Take the step."""
    _gate()


def _gate() -> None:
    op.create_table(
        "gate",
        sa.Column("id", sa.String(length=32), nullable=False),
        sa.Column("digest", sa.String(length=64), nullable=False),
        sa.Column("plan", sa.LargeBinary(), nullable=False),
        sa.Column("verdict", sa.String(length=32), nullable=True),
        sa.Column("report", sa.LargeBinary(), nullable=True),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_gate")),
        info={"room": "gates"},
        sqlite_autoincrement=True,
    )
    op.create_index(op.f("ix_gate_digest"), "gate", ["digest"], unique=False)
