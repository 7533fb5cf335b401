"""Step 2 of the tables of endpoints."""

import sqlalchemy as sa
from alembic import op

revision = "endpoints_0002"
down_revision: str | None = "endpoints_0001"
branch_labels: tuple[str, ...] | None = None
depends_on: tuple[str, ...] | None = None


def upgrade() -> None:
    """Take the step."""
    _deployment()
    _endpoint()


def _deployment() -> None:
    op.add_column("deployment", sa.Column("share", sa.Float(precision=53), nullable=True))
    op.create_index("ix_deployment_variant", "deployment", ["state", "variant"], unique=False)


def _endpoint() -> None:
    op.add_column("endpoint", sa.Column("outcome_independent", sa.Boolean(), nullable=True))
