"""The tables of monitors."""

import sqlalchemy as sa
from alembic import op

revision = "monitors_0001"
down_revision: str | None = None
branch_labels: tuple[str, ...] | None = ("monitors",)
depends_on: tuple[str, ...] | None = None


def upgrade() -> None:
    """Take the step."""
    _monitor_drift()
    _monitor_endpoint()
    _monitor_episode()
    _monitor_mark()
    _monitor_number()
    _monitor_profile()
    _monitor_revision()
    _monitor_window()


def _monitor_drift() -> None:
    op.create_table(
        "monitor_drift",
        sa.Column("endpoint", sa.String(length=128), nullable=False),
        sa.Column("settings", sa.LargeBinary(), nullable=True),
        sa.Column("revision", sa.BigInteger(), nullable=True),
        sa.Column("progress", sa.LargeBinary(), nullable=True),
        sa.PrimaryKeyConstraint("endpoint", name=op.f("pk_monitor_drift")),
        info={"room": "monitors"},
        sqlite_autoincrement=True,
    )


def _monitor_endpoint() -> None:
    op.create_table(
        "monitor_endpoint",
        sa.Column("endpoint", sa.String(length=128), nullable=False),
        sa.Column("seconds", sa.BigInteger(), nullable=True),
        sa.Column("orphans", sa.LargeBinary(), nullable=True),
        sa.PrimaryKeyConstraint("endpoint", name=op.f("pk_monitor_endpoint")),
        info={"room": "monitors"},
        sqlite_autoincrement=True,
    )


def _monitor_episode() -> None:
    op.create_table(
        "monitor_episode",
        sa.Column("id", sa.String(length=32), nullable=False),
        sa.Column("endpoint", sa.String(length=128), nullable=False),
        sa.Column("closed", sa.BigInteger(), nullable=True),
        sa.Column("body", sa.LargeBinary(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_monitor_episode")),
        info={"room": "monitors"},
        sqlite_autoincrement=True,
    )
    op.create_index(op.f("ix_monitor_episode_endpoint_closed"), "monitor_episode", ["endpoint", "closed"], unique=False)


def _monitor_mark() -> None:
    op.create_table(
        "monitor_mark",
        sa.Column("topic", sa.String(length=128), nullable=False),
        sa.Column("sequence", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("topic", name=op.f("pk_monitor_mark")),
        info={"room": "monitors"},
        sqlite_autoincrement=True,
    )


def _monitor_number() -> None:
    op.create_table(
        "monitor_number",
        sa.Column("topic", sa.String(length=128), nullable=False),
        sa.Column("segment", sa.String(length=32), nullable=False),
        sa.Column("number", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("topic", "segment", name=op.f("pk_monitor_number")),
        info={"room": "monitors"},
        sqlite_autoincrement=True,
    )


def _monitor_profile() -> None:
    op.create_table(
        "monitor_profile",
        sa.Column("endpoint", sa.String(length=128), nullable=False),
        sa.Column("start", sa.BigInteger(), nullable=False),
        sa.Column("seconds", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("inputs", sa.String(length=64), nullable=True),
        sa.Column("segments", sa.String(length=64), nullable=True),
        sa.PrimaryKeyConstraint("endpoint", "start", "seconds", name=op.f("pk_monitor_profile")),
        info={"room": "monitors"},
        sqlite_autoincrement=True,
    )


def _monitor_revision() -> None:
    op.create_table(
        "monitor_revision",
        sa.Column("id", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("revision", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_monitor_revision")),
        info={"room": "monitors"},
        sqlite_autoincrement=True,
    )


def _monitor_window() -> None:
    op.create_table(
        "monitor_window",
        sa.Column("endpoint", sa.String(length=128), nullable=False),
        sa.Column("start", sa.BigInteger(), nullable=False),
        sa.Column("seconds", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("model", sa.String(length=128), nullable=False),
        sa.Column("number", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("variant", sa.String(length=32), nullable=False),
        sa.Column("first_id", sa.String(length=32), nullable=False),
        sa.Column("last_id", sa.String(length=32), nullable=False),
        sa.Column("labels", sa.BigInteger(), nullable=False),
        sa.Column("profile", sa.String(length=64), nullable=False),
        sa.Column("figures", sa.LargeBinary(), nullable=False),
        sa.PrimaryKeyConstraint(
            "endpoint", "start", "seconds", "model", "number", "variant", name=op.f("pk_monitor_window")
        ),
        info={"room": "monitors"},
        sqlite_autoincrement=True,
    )
    op.create_index(op.f("ix_monitor_window_endpoint_last_id"), "monitor_window", ["endpoint", "last_id"], unique=False)
