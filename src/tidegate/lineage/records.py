"""What an edge joins."""

from typing import Literal, Protocol

import msgspec

NodeKind = Literal["dataset", "run", "model", "deployment", "code", "environment"]


class Node(msgspec.Struct, frozen=True):
    """A version of something. ``key`` is its id or digest; ``label`` what people call it, such as ``flights/3``."""

    kind: NodeKind
    key: str
    label: str = ""


class Edge(msgspec.Struct, frozen=True):
    """``source`` went into ``target``. ``role`` says as what: ``training``, ``held-out`` and others."""

    source: Node
    target: Node
    role: str


class Graph(Protocol):
    """Where a service writes what it made from what, and reads it back."""

    def add(self, edge: Edge) -> None:
        """Add one edge, inside the ambient transaction; adding it twice is harmless."""
        ...

    def into(self, target: Node) -> list[Edge]:
        """What went into this node."""
        ...

    def out_of(self, source: Node) -> list[Edge]:
        """What this node went into."""
        ...

    def forget(self, target: Node) -> None:
        """Delete what is noted of what went into a node that is gone, inside the ambient transaction."""
        ...
