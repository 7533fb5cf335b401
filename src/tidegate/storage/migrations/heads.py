"""The newest revision of each room, so that opening a home need not import Alembic; a test compares them."""

HEADS: dict[str, str] = {
    "data": "data_0001",
    "endpoints": "endpoints_0002",
    "events": "events_0001",
    "features": "features_0001",
    "gates": "gates_0001",
    "governance": "governance_0001",
    "incidents": "incidents_0001",
    "lineage": "lineage_0001",
    "loop": "loop_0001",
    "models": "models_0003",
    "monitors": "monitors_0001",
    "pipelines": "pipelines_0001",
    "rollouts": "rollouts_0001",
    "runs": "runs_0004",
    "storage": "storage_0002",
}
