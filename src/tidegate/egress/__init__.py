"""The one door through which Tidegate calls out over HTTP."""

from tidegate.egress.door import Door, Response

__all__ = ["Door", "Response"]
