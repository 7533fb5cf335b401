"""The tables of events."""

import sqlalchemy as sa
from alembic import op

revision = "events_0001"
down_revision: str | None = None
branch_labels: tuple[str, ...] | None = ("events",)
depends_on: tuple[str, ...] | None = None


def upgrade() -> None:
    """Take the step."""
    _event()
    _event_cursor()


def _event() -> None:
    op.create_table(
        "event",
        sa.Column("position", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), autoincrement=True, nullable=False),
        sa.Column("id", sa.String(length=32), nullable=False),
        sa.Column("type", sa.String(length=128), nullable=False),
        sa.Column("subject", sa.String(length=512), nullable=False),
        sa.Column("time", sa.BigInteger(), nullable=False),
        sa.Column("actor", sa.String(length=128), nullable=False),
        sa.Column("data", sa.LargeBinary(), nullable=False),
        sa.PrimaryKeyConstraint("position", name=op.f("pk_event")),
        info={"room": "events"},
        sqlite_autoincrement=True,
    )
    op.create_index(op.f("ix_event_subject"), "event", ["subject"], unique=False)
    op.create_index(op.f("ix_event_type"), "event", ["type"], unique=False)


def _event_cursor() -> None:
    op.create_table(
        "event_cursor",
        sa.Column("consumer", sa.String(length=128), nullable=False),
        sa.Column("position", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("consumer", name=op.f("pk_event_cursor")),
        info={"room": "events"},
        sqlite_autoincrement=True,
    )
