"""The tables of incidents."""

import sqlalchemy as sa
from alembic import op

revision = "incidents_0001"
down_revision: str | None = None
branch_labels: tuple[str, ...] | None = ("incidents",)
depends_on: tuple[str, ...] | None = None


def upgrade() -> None:
    """Take the step."""
    _incident()
    _incident_entry()


def _incident() -> None:
    op.create_table(
        "incident",
        sa.Column("id", sa.String(length=32), nullable=False),
        sa.Column("cause", sa.String(length=256), nullable=False),
        sa.Column("endpoint", sa.String(length=128), nullable=True),
        sa.Column("state", sa.String(length=16), nullable=False),
        sa.Column("incident", sa.LargeBinary(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_incident")),
        sa.UniqueConstraint("cause", name=op.f("uq_incident_cause")),
        info={"room": "incidents"},
        sqlite_autoincrement=True,
    )
    op.create_index(op.f("ix_incident_endpoint_id"), "incident", ["endpoint", "id"], unique=False)
    op.create_index(op.f("ix_incident_state_id"), "incident", ["state", "id"], unique=False)


def _incident_entry() -> None:
    op.create_table(
        "incident_entry",
        sa.Column("incident", sa.String(length=32), nullable=False),
        sa.Column("number", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("position", sa.BigInteger(), nullable=True),
        sa.Column("entry", sa.LargeBinary(), nullable=False),
        sa.PrimaryKeyConstraint("incident", "number", name=op.f("pk_incident_entry")),
        sa.UniqueConstraint("incident", "position", name=op.f("uq_incident_entry_incident_position")),
        info={"room": "incidents"},
        sqlite_autoincrement=True,
    )
