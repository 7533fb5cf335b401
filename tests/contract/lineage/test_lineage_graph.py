"""Edges: added once, walked both ways."""

from concurrent.futures import ThreadPoolExecutor

import pytest

from tidegate.lineage.records import Edge, Node
from tidegate.lineage.store import LineageGraph
from tidegate.storage.catalog import Catalog

DATA = Node("dataset", "d" * 64, "flights/3")
OTHER = Node("dataset", "e" * 64, "weather/1")
RUN = Node("run", "r" * 32, "r")
MODEL = Node("model", "m" * 64, "late-arrival/3")


def add(catalog: Catalog, *edges: Edge) -> None:
    graph = LineageGraph(catalog)

    def work() -> None:
        for edge in edges:
            graph.add(edge)

    catalog.write(work)


def test_edges_are_walked_both_ways(catalog: Catalog) -> None:
    edges = [Edge(DATA, MODEL, "training"), Edge(OTHER, MODEL, "held-out"), Edge(RUN, MODEL, "produced")]
    add(catalog, *edges)
    graph = LineageGraph(catalog)
    assert graph.into(MODEL) == [edges[1], edges[2], edges[0]]  # by role
    assert graph.out_of(DATA) == [edges[0]]
    assert graph.out_of(MODEL) == graph.into(DATA) == []


def test_adding_an_edge_twice_is_harmless(catalog: Catalog, replica: Catalog) -> None:
    edge = Edge(DATA, MODEL, "training")
    with ThreadPoolExecutor(4) as pool:
        list(pool.map(lambda one: add(one, edge, edge), [catalog, replica] * 4))
    assert LineageGraph(catalog).into(MODEL) == [edge]


def test_the_same_nodes_may_be_joined_in_two_roles(catalog: Catalog) -> None:
    add(catalog, Edge(DATA, MODEL, "training"), Edge(DATA, MODEL, "held-out"))
    assert [edge.role for edge in LineageGraph(catalog).out_of(DATA)] == ["held-out", "training"]


def test_a_node_is_known_by_kind_and_key_and_not_by_its_label(catalog: Catalog) -> None:
    add(catalog, Edge(DATA, MODEL, "training"))
    graph = LineageGraph(catalog)
    assert len(graph.out_of(Node("dataset", DATA.key, "renamed"))) == 1
    assert graph.out_of(Node("run", DATA.key)) == []


def test_an_edge_goes_with_its_transaction(catalog: Catalog) -> None:
    def work() -> None:
        LineageGraph(catalog).add(Edge(DATA, MODEL, "training"))
        raise ValueError("no")

    with pytest.raises(ValueError, match="no"):
        catalog.write(work)
    assert LineageGraph(catalog).into(MODEL) == []
