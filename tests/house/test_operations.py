"""House rule: every operation has a role, an audit level, a sentence, a route of its own, and a test."""

import ast
from collections import Counter

import pytest

from tests.house.census import called_in, count_mocks, count_tests, mentions, places
from tests.house.source import ROOT, python_files, tree_of
from tidegate.kernel.operation import Operation, Service, operation
from tidegate.workspace import SERVICES

OPERATIONS = [one for service in SERVICES.values() for one in service.operations()]
PLACES = 2.5
"""On the average: the method, and a query in the store where it is new."""
MOCKS = 0.05


def named(one: Operation) -> str:
    """The operation as people know it."""
    return f"{one.room}.{one.name}"


def test_services_are_found() -> None:
    assert len(SERVICES) >= 8
    assert len(OPERATIONS) >= 20
    assert {room: service.room for room, service in SERVICES.items()} == {room: room for room in SERVICES}


@pytest.mark.parametrize("one", OPERATIONS, ids=named)
def test_an_operation_says_what_types_cannot(one: Operation) -> None:
    first = one.doc.partition("\n")[0]
    assert first.endswith("."), f"{named(one)}: the docstring begins with a plain sentence"
    assert one.role
    assert one.audit
    assert one.audit != "change" or one.writes, f"{named(one)}: a GET changes nothing"
    assert one.room == one.path.split("/")[1] or one.room in ("loop", "people", "approvals", "audit"), (
        f"{named(one)}: the path begins with another collection, {one.path}"
    )
    assert "return" in one.hints


def test_routes_are_unique() -> None:
    routes = Counter((one.method, one.path) for one in OPERATIONS)
    assert not [route for route, count in routes.items() if count > 1]


def test_every_operation_has_a_test() -> None:
    files = [path for path in python_files(ROOT / "tests") if "house" not in path.parts]
    called = {pair for path in files for pair in called_in(tree_of(path), path.stem, SERVICES)}
    untested = [named(one) for one in OPERATIONS if (one.room, one.name) not in called]
    assert not untested, f"no test calls {', '.join(untested)}"


def test_an_operation_touches_few_places() -> None:
    counts = {named(one): places(one) for one in OPERATIONS}
    average = sum(map(len, counts.values())) / len(counts)
    worst = max(counts.items(), key=lambda item: len(item[1]))
    assert all(counts.values()), "an operation was not found where it is declared"
    assert average <= PLACES, f"{average:.2f} places an operation; the worst is {worst[0]}: {', '.join(worst[1])}"


def test_tests_use_no_mocks() -> None:
    found = mentions()
    assert found.tests > 100
    assert found.per_test < MOCKS, f"{found.mocks} mentions of mocks in {found.tests} tests"


def test_the_rule_knows_a_call_from_a_mention() -> None:
    rooms = ["models", "runs"]
    tree = ast.parse("ws.models.promote('a', 1)\nruns.start\nstore.finish()\n")
    assert ("models", "promote") in called_in(tree, "test_walk", rooms)
    assert ("runs", "start") not in called_in(tree, "test_walk", rooms)
    assert ("runs", "finish") in called_in(tree, "test_run_service", rooms)
    assert ("runs", "finish") not in called_in(tree, "test_walk", rooms)


def test_the_census_counts_mocks() -> None:
    sample = "from unittest.mock import patch\ndef test_a(): patch('x')\nasync def test_b(): dispatch('y')\n"
    assert (count_tests(sample), count_mocks(sample)) == (2, 2)


def test_an_operation_without_a_role_or_docstring_does_not_import() -> None:
    def silent(self: Service) -> None: ...

    with pytest.raises(TypeError, match="docstring"):
        operation("POST /models/silent", role="viewer", audit="none")(silent)
    silent.__doc__ = "Say nothing."
    with pytest.raises(TypeError, match="role"):
        operation("POST /models/silent", role="", audit="none")(silent)  # type: ignore[arg-type]
