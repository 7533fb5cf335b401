"""The verbs of every room. Written by `make index`; a test compares it with the operations."""

ROOMS: dict[str, tuple[str, dict[str, str]]] = {}
