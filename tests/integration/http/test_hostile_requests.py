"""Random requests to every operation: whatever is sent, the answer is no fault of ours, and a refusal keeps nothing."""

import json
import os
from collections.abc import Iterator
from typing import Any
from urllib.parse import quote, urlencode

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.contract.endpoints.serving_home import ROW
from tests.integration.http.hostile_json import ANYTHING, Schemas
from tests.integration.http.served_home import ENDPOINT, JSON, Reply, ServedHome, log_version
from tests.postgres import Databases, catalog_on
from tidegate.http.meter import PrometheusMeter
from tidegate.http.openapi import openapi
from tidegate.http.thread import serving
from tidegate.kernel.operation import Operation
from tidegate.kernel.settings import Settings
from tidegate.workspace import SERVICES, open_local

OPERATIONS = [operation for service in SERVICES.values() for operation in service.operations()]
DOCUMENT = openapi(SERVICES, "0")
SCHEMAS = Schemas(DOCUMENT)
EXAMPLES = int(os.environ.get("HOSTILE_EXAMPLES", "6"))
"""Requests for each operation and each database; thousands were sent once, by hand."""


@pytest.fixture(scope="module")
def databases() -> Iterator[Databases]:
    """A PostgreSQL server, from the wheel."""
    with Databases() as server:
        yield server


@pytest.fixture(scope="module", params=["sqlite", "postgres"])
def victim(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServedHome]:
    """A home of its own: random requests that are well-formed do write."""
    catalog = catalog_on(request.param, request)
    made = Settings(home=str(tmp_path_factory.mktemp("victim") / "home"), catalog=catalog)
    with open_local(made, meter=PrometheusMeter()) as workspace, serving(workspace) as url:
        workspace.endpoints.deploy(ENDPOINT, log_version(workspace, "late"))
        workspace.endpoints.predict(ENDPOINT, [ROW])
        yield ServedHome(workspace, url)


def described(operation: Operation) -> dict[str, Any]:
    """The operation in the document."""
    found: dict[str, Any] = DOCUMENT["paths"]["/api/v1" + operation.path][operation.method.lower()]
    return found


def targets(operation: Operation) -> st.SearchStrategy[str]:
    """Paths with their queries, of which some are not even UTF-8."""
    parts = described(operation).get("parameters", [])
    in_path = {part["name"]: SCHEMAS.values(part["schema"]) for part in parts if part["in"] == "path"}
    in_query = {part["name"]: SCHEMAS.values(part["schema"]) for part in parts if part["in"] == "query"}
    return st.builds(
        lambda path, query, more: _target(operation, path, query, more),
        st.fixed_dictionaries(in_path),
        st.fixed_dictionaries({}, optional=in_query),
        st.one_of(st.just(""), st.just(""), st.sampled_from(["limit=1&limit=2", "%ff=%fe", "=", "a[]=1", "%00=%00"])),
    )


def _target(operation: Operation, path: dict[str, Any], query: dict[str, Any], more: str) -> str:
    target = "/api/v1" + operation.path
    for name, value in path.items():
        target = target.replace("{" + name + "}", quote(_text(value), safe="") or "%20")
    asked = "&".join(part for part in (urlencode({name: _text(value) for name, value in query.items()}), more) if part)
    return f"{target}?{asked}" if asked else target


def _text(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value)


def bodies(operation: Operation) -> st.SearchStrategy[bytes | None]:
    """Bodies, of which a few are no JSON."""
    if not operation.writes:
        return st.none()
    schema = described(operation)["requestBody"]["content"]["application/json"]["schema"]
    spelt = st.one_of(*[SCHEMAS.values(schema)] * 6, ANYTHING).map(lambda value: json.dumps(value).encode())
    return st.one_of(*[spelt] * 8, st.binary(max_size=40), st.sampled_from([b"[" * 5000, b'{"a":' * 5000, b"", b"NaN"]))


HEADERS = st.fixed_dictionaries(
    {},
    optional={
        "idempotency-key": st.sampled_from(["again", "", "x" * 200, "\xff", "two words"]),
        "x-request-id": st.sampled_from(["r-1", "", "x" * 200, "\xff"]),
        "tidegate-deadline": st.sampled_from(["5", "-1", "NaN", "inf", "1e400", "soon"]),
        "tidegate-time": st.sampled_from(["2013-01-01T00:00:00Z", "yesterday", "9999-12-31T23:59:59-14:00"]),
    },
)


@pytest.mark.parametrize("operation", OPERATIONS, ids=lambda each: f"{each.room}.{each.name}")
def test_no_request_is_answered_with_a_fault(victim: ServedHome, operation: Operation) -> None:
    @settings(max_examples=EXAMPLES, deadline=None, database=None, suppress_health_check=list(HealthCheck))
    @given(target=targets(operation), body=bodies(operation), headers=st.one_of(st.just({}), HEADERS))
    def ask(target: str, body: bytes | None, headers: dict[str, str]) -> None:
        before = victim.kept()
        reply = victim.ask(operation.method, target, body, (JSON if body is not None else {}) | headers)
        assert reply.status < 500, (target, body, headers, reply)
        if reply.status >= 400:
            check_refusal(reply)
            check_kept(before, victim.kept(), reply)

    ask()


def check_refusal(reply: Reply) -> None:
    """The one form of an error."""
    assert reply.headers["content-type"] == "application/json", reply
    assert set(reply.json) == {"code", "message", "details"}, reply
    assert reply.json["message"], reply


def check_kept(before: dict[str, str], after: dict[str, str], reply: Reply) -> None:
    """Nothing has changed; but who was refused or forbidden a change stands in the audit chain."""
    changed = {name for name in before.keys() | after.keys() if before.get(name) != after.get(name)}
    if reply.json["code"] in ("refused", "forbidden"):
        changed -= {"table audit", "table audit_head", "table transaction_mark"}
    assert not changed, (changed, reply)
