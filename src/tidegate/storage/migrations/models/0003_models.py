"""Step 3 of the tables of models."""

from alembic import op

revision = "models_0003"
down_revision: str | None = "models_0002"
branch_labels: tuple[str, ...] | None = None
depends_on: tuple[str, ...] | None = None


def upgrade() -> None:
    """Take the step."""
    _draft_metric()


def _draft_metric() -> None:
    op.create_index("ix_draft_metric_run_id", "draft_metric", ["run_id"], unique=False)
