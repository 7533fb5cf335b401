"""Step 2 of the tables of runs."""

import sqlalchemy as sa
from alembic import op

revision = "runs_0002"
down_revision: str | None = "runs_0001"
branch_labels: tuple[str, ...] | None = None
depends_on: tuple[str, ...] | None = None


def upgrade() -> None:
    """Take the step."""
    _run_beat()


def _run_beat() -> None:
    op.create_table(
        "run_beat",
        sa.Column("run_id", sa.String(length=32), nullable=False),
        sa.Column("heard", sa.Float(precision=53), nullable=False),
        sa.PrimaryKeyConstraint("run_id", name=op.f("pk_run_beat")),
        info={"room": "runs"},
        sqlite_autoincrement=True,
    )
