"""The tables of loop."""

import sqlalchemy as sa
from alembic import op

revision = "loop_0001"
down_revision: str | None = None
branch_labels: tuple[str, ...] | None = ("loop",)
depends_on: tuple[str, ...] | None = None


def upgrade() -> None:
    """Take the step."""
    _retraining_decision()
    _retraining_policy()
    _tick()


def _retraining_decision() -> None:
    op.create_table(
        "retraining_decision",
        sa.Column("id", sa.String(length=32), nullable=False),
        sa.Column("endpoint", sa.String(length=128), nullable=False),
        sa.Column("at", sa.BigInteger(), nullable=False),
        sa.Column("fired", sa.Boolean(), nullable=False),
        sa.Column("proposal", sa.String(length=32), nullable=False),
        sa.Column("reason", sa.String(length=32), nullable=False),
        sa.Column("summary", sa.Text(), nullable=False),
        sa.Column("policy", sa.String(length=64), nullable=False),
        sa.Column("run", sa.String(length=32), nullable=False),
        sa.Column("decided_by", sa.String(length=128), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_retraining_decision")),
        info={"room": "loop"},
        sqlite_autoincrement=True,
    )
    op.create_index("ix_retraining_decision_endpoint", "retraining_decision", ["endpoint", "at", "id"], unique=False)


def _retraining_policy() -> None:
    op.create_table(
        "retraining_policy",
        sa.Column("endpoint", sa.String(length=128), nullable=False),
        sa.Column("policy", sa.LargeBinary(), nullable=False),
        sa.Column("digest", sa.String(length=64), nullable=False),
        sa.Column("active", sa.Boolean(), nullable=False),
        sa.Column("set_by", sa.String(length=128), nullable=False),
        sa.Column("set_at", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("endpoint", name=op.f("pk_retraining_policy")),
        info={"room": "loop"},
        sqlite_autoincrement=True,
    )


def _tick() -> None:
    op.create_table(
        "tick",
        sa.Column("number", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), autoincrement=True, nullable=False),
        sa.Column("answer", sa.LargeBinary(), nullable=True),
        sa.PrimaryKeyConstraint("number", name=op.f("pk_tick")),
        info={"room": "loop"},
        sqlite_autoincrement=True,
    )
