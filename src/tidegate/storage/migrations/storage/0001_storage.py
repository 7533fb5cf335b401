"""The tables of storage."""

import sqlalchemy as sa
from alembic import op

revision = "storage_0001"
down_revision: str | None = None
branch_labels: tuple[str, ...] | None = ("storage",)
depends_on: tuple[str, ...] | None = None


def upgrade() -> None:
    """Take the step."""
    _audit()
    _audit_head()
    _home()
    _idempotency()
    _journal_head()
    _journal_segment()
    _journal_writer()
    _lease()
    _transaction_mark()


def _audit() -> None:
    op.create_table(
        "audit",
        sa.Column("position", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), autoincrement=True, nullable=False),
        sa.Column("at", sa.BigInteger(), nullable=False),
        sa.Column("actor", sa.String(length=128), nullable=False),
        sa.Column("operation", sa.String(length=128), nullable=False),
        sa.Column("subject", sa.String(length=512), nullable=False),
        sa.Column("outcome", sa.String(length=32), nullable=False),
        sa.Column("detail", sa.Text(), nullable=False),
        sa.Column("request_id", sa.String(length=64), nullable=False),
        sa.Column("request_digest", sa.String(length=64), nullable=False),
        sa.Column("previous", sa.String(length=64), nullable=False),
        sa.Column("hash", sa.String(length=64), nullable=False),
        sa.PrimaryKeyConstraint("position", name=op.f("pk_audit")),
        info={"room": "storage"},
        sqlite_autoincrement=True,
    )
    op.create_index(op.f("ix_audit_actor"), "audit", ["actor"], unique=False)
    op.create_index(op.f("ix_audit_subject"), "audit", ["subject"], unique=False)


def _audit_head() -> None:
    op.create_table(
        "audit_head",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("rows", sa.BigInteger(), nullable=False),
        sa.Column("hash", sa.String(length=64), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_audit_head")),
        info={"room": "storage"},
        sqlite_autoincrement=True,
    )


def _home() -> None:
    op.create_table(
        "home",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("home_id", sa.String(length=32), nullable=False),
        sa.Column("simulated", sa.Boolean(), nullable=False),
        sa.Column("business_now", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_home")),
        info={"room": "storage"},
        sqlite_autoincrement=True,
    )


def _idempotency() -> None:
    op.create_table(
        "idempotency",
        sa.Column("actor", sa.String(length=128), nullable=False),
        sa.Column("key", sa.String(length=128), nullable=False),
        sa.Column("operation", sa.String(length=128), nullable=False),
        sa.Column("request_digest", sa.String(length=64), nullable=False),
        sa.Column("answer", sa.LargeBinary(), nullable=False),
        sa.Column("written_at", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("actor", "key", name=op.f("pk_idempotency")),
        info={"room": "storage"},
        sqlite_autoincrement=True,
    )
    op.create_index(op.f("ix_idempotency_written_at"), "idempotency", ["written_at"], unique=False)


def _journal_head() -> None:
    op.create_table(
        "journal_head",
        sa.Column("id", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("sequence", sa.BigInteger(), nullable=False),
        sa.Column("hash", sa.String(length=64), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_journal_head")),
        info={"room": "storage"},
        sqlite_autoincrement=True,
    )


def _journal_segment() -> None:
    op.create_table(
        "journal_segment",
        sa.Column(
            "sequence", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), autoincrement=False, nullable=False
        ),
        sa.Column("segment", sa.String(length=32), nullable=False),
        sa.Column("topic", sa.String(length=128), nullable=False),
        sa.Column("writer", sa.Integer(), nullable=False),
        sa.Column("opened_at", sa.BigInteger(), nullable=False),
        sa.Column("sealed_at", sa.BigInteger(), nullable=False),
        sa.Column("digest", sa.String(length=64), nullable=False),
        sa.Column("sha256", sa.String(length=64), nullable=False),
        sa.Column("size", sa.BigInteger(), nullable=False),
        sa.Column("rows", sa.BigInteger(), nullable=False),
        sa.Column("first_number", sa.BigInteger(), nullable=False),
        sa.Column("last_number", sa.BigInteger(), nullable=False),
        sa.Column("first_time", sa.BigInteger(), nullable=True),
        sa.Column("last_time", sa.BigInteger(), nullable=True),
        sa.Column("first_id", sa.String(length=128), nullable=True),
        sa.Column("last_id", sa.String(length=128), nullable=True),
        sa.Column("previous_hash", sa.String(length=64), nullable=False),
        sa.Column("hash", sa.String(length=64), nullable=False),
        sa.PrimaryKeyConstraint("sequence", name=op.f("pk_journal_segment")),
        sa.UniqueConstraint("segment", "topic", name=op.f("uq_journal_segment_segment_topic")),
        info={"room": "storage"},
        sqlite_autoincrement=True,
    )
    op.create_index(op.f("ix_journal_segment_topic_last_time"), "journal_segment", ["topic", "last_time"], unique=False)
    op.create_index(
        op.f("ix_journal_segment_topic_writer_first_id"),
        "journal_segment",
        ["topic", "writer", "first_id"],
        unique=False,
    )


def _journal_writer() -> None:
    op.create_table(
        "journal_writer",
        sa.Column("allocation", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
        sa.Column("holder", sa.String(length=256), nullable=False),
        sa.Column("allocated_at", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("allocation", name=op.f("pk_journal_writer")),
        info={"room": "storage"},
        sqlite_autoincrement=True,
    )


def _lease() -> None:
    op.create_table(
        "lease",
        sa.Column("name", sa.String(length=128), nullable=False),
        sa.Column("holder", sa.String(length=64), nullable=False),
        sa.Column("term", sa.BigInteger(), nullable=False),
        sa.Column("expires", sa.Float(precision=53), nullable=False),
        sa.PrimaryKeyConstraint("name", name=op.f("pk_lease")),
        info={"room": "storage"},
        sqlite_autoincrement=True,
    )


def _transaction_mark() -> None:
    op.create_table(
        "transaction_mark",
        sa.Column("writer", sa.String(length=32), nullable=False),
        sa.Column("number", sa.BigInteger(), nullable=False),
        sa.Column("seen", sa.Float(precision=53), nullable=False),
        sa.PrimaryKeyConstraint("writer", name=op.f("pk_transaction_mark")),
        info={"room": "storage"},
        sqlite_autoincrement=True,
    )
