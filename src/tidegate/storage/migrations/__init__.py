"""Changes of the catalog's tables, one Alembic branch a room."""
