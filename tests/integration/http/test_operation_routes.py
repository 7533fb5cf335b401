"""Operations are found by their paths, known first, run off the loop, and whatever goes wrong has one form."""

import asyncio
import json
import threading
from collections.abc import Mapping, Sequence
from typing import Any

import pytest
from starlette.applications import Starlette

from tests.integration.http.served_home import ServedHome
from tidegate.endpoints.body import SMALL_BODY
from tidegate.http.routes import PREFIX, OperationRoutes, Paths
from tidegate.kernel.context import Call
from tidegate.kernel.errors import Unauthenticated
from tidegate.kernel.identity import Authenticator
from tidegate.kernel.operation import Operation
from tidegate.workspace import SERVICES

OPERATIONS = [one for service in SERVICES.values() for one in service.operations()]


class Tokens:
    """A token is the name of its person."""

    def identify(self, headers: Mapping[str, str]) -> Call:
        token = headers.get("authorization")
        if token is None:
            raise Unauthenticated("a token is needed")
        return Call(actor=token)


class Slow:
    """Takes until somebody lets it go on."""

    def __init__(self) -> None:
        self.asked, self.go_on = threading.Event(), threading.Event()

    def identify(self, _headers: Mapping[str, str]) -> Call:
        self.asked.set()
        assert self.go_on.wait(20)
        return Call(actor="local")


def routes(served: ServedHome, authenticator: Authenticator) -> OperationRoutes:
    inside = served.inside
    return OperationRoutes(inside.services, inside.dispatcher, authenticator, Starlette(), body_bytes=1 << 20)


async def asked(
    app: OperationRoutes, method: str, path: str, body: Sequence[bytes] = (), headers: Mapping[str, str] | None = None
) -> tuple[int, Any, int]:
    """Status and JSON of an answer, and how many pieces of the body were read."""
    pieces, sent = list(body), []

    async def receive() -> dict[str, Any]:
        piece = pieces.pop(0)
        return {"type": "http.request", "body": piece, "more_body": bool(pieces)}

    async def send(message: Any) -> None:
        sent.append(message)

    given = {"content-type": "application/json", "content-length": str(sum(map(len, body))), **(headers or {})}
    raw = [(name.encode(), value.encode()) for name, value in given.items()]
    scope = {"type": "http", "method": method, "path": path, "raw_path": path.encode(), "query_string": b""}
    await app({**scope, "headers": raw}, receive, send)
    return sent[0]["status"], json.loads(sent[1]["body"]), len(body) - len(pieces)


@pytest.mark.parametrize("operation", OPERATIONS, ids=lambda one: f"{one.room}.{one.name}")
def test_every_operation_is_found_by_its_path_and_no_other_is(served: ServedHome, operation: Operation) -> None:
    values = {name: f"~{name} ü" for name in operation.path_fields}
    found = Paths(served.inside.services).match(operation.method, operation.path.format(**values))
    assert found is not None
    operations, given = found
    assert operations[operation.method][0] is operation
    assert dict(zip(operation.path_fields, given, strict=True)) == values


@pytest.mark.parametrize("path", ["", "/", "/runs/", "/runs//", "//runs", "/runs/a/b/c/d/e", "/endpoints//predict"])
def test_nothing_stands_at_a_path_that_is_no_operations(served: ServedHome, path: str) -> None:
    assert Paths(served.inside.services).match("GET", path) is None


def test_a_path_may_be_read_in_two_ways_and_the_method_decides(served: ServedHome) -> None:
    paths = Paths(served.inside.services)
    for method, path, name, values in (
        ("POST", "/pipelines/runs/versions", "register", ["runs"]),  # which refuses the name, and says so
        ("GET", "/pipelines/runs/versions", "get_run", ["versions"]),
    ):
        found = paths.match(method, path)
        assert found is not None
        assert (found[0][method][0].name, found[1]) == (name, values)
    nothing = paths.match("DELETE", "/pipelines/runs/versions")
    assert nothing is not None
    assert set(nothing[0]) == {"GET", "POST"}


def test_law_1_a_large_body_is_read_only_once_it_is_known_who_sends_it(served: ServedHome) -> None:
    app, path = routes(served, Tokens()), PREFIX + "/features/online"
    large = [b" " * SMALL_BODY] * 4
    status, told, read = asyncio.run(asked(app, "POST", path, large))
    assert (status, told["code"], read) == (401, "unauthenticated", 0)
    status, told, read = asyncio.run(asked(app, "POST", path, [b"{}"]))
    assert (status, told["code"]) == (401, "unauthenticated")
    status, told, read = asyncio.run(asked(app, "POST", path, large, {"authorization": "local"}))
    assert (status, read) == (400, 4)
    status, told, read = asyncio.run(asked(app, "POST", path, [b" " * 400_000] * 3, {"authorization": "local"}))
    assert (status, read) == (413, 0)


def test_law_2_the_loop_goes_on_while_an_operation_takes_its_time(served: ServedHome) -> None:
    slow = Slow()

    async def both() -> int:
        waiting = asyncio.create_task(asked(routes(served, slow), "GET", PREFIX + "/endpoints"))
        while not slow.asked.is_set():
            await asyncio.sleep(0.001)
        quick, _, _ = await asked(
            routes(served, Tokens()), "GET", PREFIX + "/endpoints", (), {"authorization": "local"}
        )
        assert not waiting.done()
        slow.go_on.set()
        status, _, _ = await waiting
        assert quick == 200
        return status

    assert asyncio.run(both()) == 200


def test_law_3_whatever_goes_wrong_has_one_form(served: ServedHome) -> None:
    for method, path, status, code in (
        ("PATCH", "/endpoints", 405, "invalid"),
        ("GET", "/runs/nobody%2Fknows", 404, "not_found"),
        ("GET", "/endpoints/nowhere", 404, "not_found"),
        ("GET", "/endpoints?limit=many", 400, "invalid"),
    ):
        reply = served.ask(method, PREFIX + path)
        assert (reply.status, reply.json["code"], set(reply.json)) == (status, code, {"code", "message", "details"})
        assert ("allow" in reply.headers) == (status == 405)
    assert served.ask("HEAD", PREFIX + "/endpoints").status == 200
