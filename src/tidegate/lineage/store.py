"""The table of edges. Adding one twice is harmless."""

import sqlalchemy as sa

from tidegate.lineage.records import Edge, Node
from tidegate.storage.catalog import Catalog
from tidegate.storage.schema import table

edges = table(
    "lineage_edge",
    sa.Column("source_kind", sa.String(32), primary_key=True),
    sa.Column("source_key", sa.String(128), primary_key=True),
    sa.Column("target_kind", sa.String(32), primary_key=True),
    sa.Column("target_key", sa.String(128), primary_key=True),
    sa.Column("role", sa.String(64), primary_key=True),
    sa.Column("source_label", sa.String(256), nullable=False),
    sa.Column("target_label", sa.String(256), nullable=False),
    sa.Index("ix_lineage_edge_target", "target_kind", "target_key"),
    room="lineage",
)


class LineageGraph:
    """Adds and walks edges."""

    def __init__(self, catalog: Catalog) -> None:
        self._catalog = catalog
        self._add = catalog.prepared(catalog.insert(edges).on_conflict_do_nothing())

    def add(self, edge: Edge) -> None:
        """Add one edge, inside the ambient transaction."""
        self._add.soon(
            source_kind=edge.source.kind,
            source_key=edge.source.key,
            source_label=edge.source.label,
            target_kind=edge.target.kind,
            target_key=edge.target.key,
            target_label=edge.target.label,
            role=edge.role,
        )

    def into(self, target: Node) -> list[Edge]:
        """What went into this node: one step back towards the data."""
        return self._select(edges.c.target_kind == target.kind, edges.c.target_key == target.key)

    def out_of(self, source: Node) -> list[Edge]:
        """What this node went into: one step forward towards the deployments."""
        return self._select(edges.c.source_kind == source.kind, edges.c.source_key == source.key)

    def forget(self, target: Node) -> None:
        """Delete what is noted of what went into a node that is gone."""
        into = sa.and_(edges.c.target_kind == target.kind, edges.c.target_key == target.key)
        with self._catalog.connect() as connection:
            connection.execute(edges.delete().where(into))

    def _select(self, *conditions: sa.ColumnElement[bool]) -> list[Edge]:
        query = sa.select(edges).where(*conditions).order_by(edges.c.role, edges.c.source_key, edges.c.target_key)
        with self._catalog.connect() as connection:
            return [
                Edge(
                    Node(row.source_kind, row.source_key, row.source_label),
                    Node(row.target_kind, row.target_key, row.target_label),
                    row.role,
                )
                for row in connection.execute(query)
            ]
