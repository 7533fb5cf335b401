"""An operation is declared once, and says early what is wrong with its declaration."""

from typing import Any

import msgspec
import pytest

from tidegate.kernel.errors import Invalid
from tidegate.kernel.operation import Operation, Service, operation


class Spot(msgspec.Struct, frozen=True):
    """A place."""

    x: int
    y: int = 0


class Ships(Service):
    """Ships."""

    room = "ships"

    @operation("POST /ships/{name}/moves", role="contributor", audit="change")
    def move(self, name: str, to: Spot, *, speed: float = 1.0, tags: tuple[str, ...] = ()) -> str:
        """Move a ship.

        Slowly.
        """
        return f"{name} {to.x} {to.y} {speed} {tags}"

    @operation("GET /ships/{name}", role="viewer", audit="none")
    def get(self, name: str) -> str:
        """One ship."""
        return name

    @operation("POST /ships/logs", role="viewer", audit="none", transaction=False)
    def log(self, line: str) -> None:
        """Not in a transaction."""

    def plain(self) -> int:
        """Not an operation."""
        return 1


def at_once(operation: Operation, service: Service, request: msgspec.Struct) -> Any:
    """An invoker that does nothing but call."""
    return operation.invoke(service, request)


@pytest.fixture
def ships() -> Ships:
    ships = Ships()
    ships._invoke = at_once
    return ships


def declared(name: str) -> Operation:
    return {one.name: one for one in Ships.operations()}[name]


def test_the_operations_of_a_service_are_in_order() -> None:
    assert [one.name for one in Ships.operations()] == ["move", "get", "log"]
    assert {one.room for one in Ships.operations()} == {"ships"}


def test_an_operation_knows_its_route_and_its_words() -> None:
    move, get, log = Ships.operations()
    assert (move.method, move.path, move.path_fields) == ("POST", "/ships/{name}/moves", ("name",))
    assert move.doc == "Move a ship.\n\nSlowly."
    assert (move.writes, move.transaction, get.writes, get.transaction) == (True, True, False, False)
    assert (log.writes, log.transaction) == (True, False)
    assert move.returns is str
    assert move.positional == ("name", "to")


def test_the_request_is_a_record_of_the_arguments() -> None:
    request = declared("move").request
    assert request.__name__ == "ShipsMoveRequest"
    assert request.__struct_fields__ == ("name", "to", "speed", "tags")
    assert request.__struct_config__.forbid_unknown_fields
    assert request.__struct_config__.frozen


def test_arguments_bind_by_position_and_by_name(ships: Ships) -> None:
    assert ships.move("a", Spot(1)) == ships.move(to=Spot(1), name="a") == "a 1 0 1.0 ()"
    assert ships.move("a", {"x": 1, "y": 2}, tags=["t"]) == "a 1 2 1.0 ('t',)"  # type: ignore[arg-type]
    assert ships.plain() == 1


@pytest.mark.parametrize(
    ("args", "kwargs", "field"),
    [
        (("a",), {}, "to"),
        (("a", Spot(1)), {"colour": "red"}, "colour"),
        ((1, Spot(1)), {}, "name"),
        (("a", {"x": "1"}), {}, "to.x"),
        (("a", {"y": 1}), {}, "to"),
        (("a", Spot(1)), {"speed": "fast"}, "speed"),
        (("a", Spot(1)), {"tags": ["t", 2]}, "tags[1]"),
    ],
)
def test_what_is_wrong_is_named(ships: Ships, args: tuple[Any, ...], kwargs: dict[str, Any], field: str) -> None:
    with pytest.raises(Invalid) as caught:
        ships.move(*args, **kwargs)
    assert field in caught.value.message
    assert str(caught.value.details["field"]).startswith(field.partition(".")[0].partition("[")[0])
    assert "ships.move" in caught.value.message


def test_keyword_only_and_doubled_arguments_are_refused_as_by_python(ships: Ships) -> None:
    with pytest.raises(TypeError, match="2 positional"):
        ships.move("a", Spot(1), 2.0)  # type: ignore[call-arg]
    with pytest.raises(TypeError, match="name"):
        ships.move("a", Spot(1), name="b")  # type: ignore[misc]


def test_a_declaration_without_docstring_does_not_import() -> None:
    def silent(self: Service) -> None: ...

    with pytest.raises(TypeError, match="docstring"):
        operation("GET /ships", role="viewer", audit="none")(silent)


def spoken(self: Service, name: str) -> None:
    """Something."""


@pytest.mark.parametrize(
    ("route", "role", "audit", "why"),
    [
        ("PATCH /ships", "viewer", "none", "route"),
        ("GET ships", "viewer", "none", "route"),
        ("/ships", "viewer", "none", "route"),
        ("GET /ships", "captain", "none", "role"),
        ("GET /ships", "viewer", "always", "audit level"),
        ("GET /ships/{number}", "viewer", "none", "number"),
    ],
)
def test_a_wrong_declaration_is_refused(route: str, role: Any, audit: Any, why: str) -> None:
    with pytest.raises(TypeError, match=why):
        operation(route, role=role, audit=audit)(spoken)
