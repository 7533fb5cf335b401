"""Step 4 of the tables of runs."""

import sqlalchemy as sa
from alembic import op

revision = "runs_0004"
down_revision: str | None = "runs_0003"
branch_labels: tuple[str, ...] | None = None
depends_on: tuple[str, ...] | None = None


def upgrade() -> None:
    """Take the step."""
    _run_metric_chunk()


def _run_metric_chunk() -> None:
    op.add_column("run_metric_chunk", sa.Column("least_at", sa.BigInteger(), nullable=True))
    op.add_column("run_metric_chunk", sa.Column("greatest_at", sa.BigInteger(), nullable=True))
