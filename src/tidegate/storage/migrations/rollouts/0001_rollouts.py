"""The tables of rollouts."""

import sqlalchemy as sa
from alembic import op

revision = "rollouts_0001"
down_revision: str | None = None
branch_labels: tuple[str, ...] | None = ("rollouts",)
depends_on: tuple[str, ...] | None = None


def upgrade() -> None:
    """Take the step."""
    _rollout()
    _rollout_following()


def _rollout() -> None:
    op.create_table(
        "rollout",
        sa.Column("id", sa.String(length=32), nullable=False),
        sa.Column("endpoint", sa.String(length=128), nullable=False),
        sa.Column("state", sa.String(length=16), nullable=False),
        sa.Column("started_at", sa.BigInteger(), nullable=False),
        sa.Column("kept", sa.LargeBinary(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_rollout")),
        info={"room": "rollouts"},
        sqlite_autoincrement=True,
    )
    op.create_index("ix_rollout_endpoint", "rollout", ["endpoint", "started_at", "id"], unique=False)
    op.create_index("ix_rollout_started", "rollout", ["started_at", "id"], unique=False)
    op.create_index(op.f("ix_rollout_state"), "rollout", ["state"], unique=False)


def _rollout_following() -> None:
    op.create_table(
        "rollout_following",
        sa.Column("id", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("revision", sa.BigInteger(), nullable=False),
        sa.Column("marks", sa.LargeBinary(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_rollout_following")),
        info={"room": "rollouts"},
        sqlite_autoincrement=True,
    )
