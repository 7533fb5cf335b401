"""Edges between versions: what was made from what."""
