"""The newest revision of each room, so that opening a home need not import Alembic; a test compares them."""

HEADS: dict[str, str] = {}
