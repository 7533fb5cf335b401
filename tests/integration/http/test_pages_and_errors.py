"""What the server answers beside operations, and the one form of an error on every path, with nothing kept of it."""

import json
import re
import socket
from collections.abc import Iterator

import pytest
from openapi_spec_validator import OpenAPIV31SpecValidator
from prometheus_client.parser import text_string_to_metric_families

from tests.contract.endpoints.serving_home import ROW
from tests.integration.http.served_home import ENDPOINT, JSON, Reply, ServedHome, log_version
from tidegate.workspace import SERVICES

PREDICT = "/api/v1/endpoints/late/predict"
LABELS = "/api/v1/endpoints/late/labels"
PEOPLE = "/api/v1/people"
LARGE = b'{"name":"' + b"x" * (10 << 20) + b'"}'


@pytest.fixture
def untouched(served: ServedHome) -> Iterator[ServedHome]:
    """The server, of which nothing may be kept by the end of the test."""
    before = served.kept()
    yield served
    assert served.kept() == before


def check_error(reply: Reply, status: int, code: str = "invalid", field: str | None = None) -> None:
    assert reply.status == status, reply
    assert reply.headers["content-type"] == "application/json"
    assert set(reply.json) == {"code", "message", "details"}
    assert reply.json["code"] == code, reply
    assert reply.json["message"]
    if field is not None:
        assert reply.json["details"]["field"] == field, reply


@pytest.mark.parametrize(
    ("path", "kind", "body"),
    [
        ("/health", "text/plain; charset=utf-8", b"OK"),
        ("/version", "text/plain; charset=utf-8", b"3.17.2"),
        ("/ready", "application/json", b'{"ready":true}'),
        ("/api/v1/version", "application/json", b'{"version":"0.1.0","mlflow":"3.17.2","api":"v1"}'),
    ],
)
def test_small_answers(served: ServedHome, path: str, kind: str, body: bytes) -> None:
    reply = served.ask("GET", path)
    assert (reply.status, reply.headers["content-type"], reply.body) == (200, kind, body)
    head = served.ask("HEAD", path)
    assert (head.status, head.body) == (200, b"")


def counted(served: ServedHome, name: str, **labels: str) -> float:
    """The sum of a counter's samples with these labels."""
    reply = served.ask("GET", "/metrics")
    assert reply.headers["content-type"].startswith("text/plain; version=0.0.4")
    families = list(text_string_to_metric_families(reply.body.decode()))
    samples = [sample for family in families for sample in family.samples if sample.name == name]
    return sum(sample.value for sample in samples if labels.items() <= sample.labels.items())


def test_metrics_count_operations_and_requests_to_endpoints(served: ServedHome) -> None:
    def figures() -> list[float]:
        return [
            counted(served, "tidegate_endpoint_requests_total", endpoint="late", action="predict", code="ok"),
            counted(served, "tidegate_endpoint_requests_total", endpoint="late", action="predict", code="invalid"),
            counted(served, "tidegate_endpoint_requests_total", endpoint="", action="predict", code="not_found"),
            counted(served, "tidegate_endpoint_request_seconds_count", endpoint="late", action="predict"),
            counted(served, "tidegate_operations_total", operation="models.list", code="ok"),
            counted(served, "tidegate_operations_total", operation="models.versions", code="not_found"),
            counted(served, "tidegate_operation_seconds_count", operation="models.list"),
        ]

    before = figures()
    for _ in range(3):
        assert served.post(PREDICT, {"rows": [ROW]}).status == 200
    served.post(PREDICT, {"rows": []})
    for name in ("nobody", "nobody either"):
        served.post(f"/api/v1/endpoints/{name.replace(' ', '%20')}/predict", {"rows": [ROW]})
    served.ask("GET", "/api/v1/models")
    served.ask("GET", "/api/v1/models/nothing/versions")
    assert [now - then for now, then in zip(figures(), before, strict=True)] == [3, 1, 2, 4, 1, 1, 1]


def test_metrics_count_what_is_unknown_or_missing(served: ServedHome) -> None:
    served.inside.endpoints.deploy("surprised", log_version(served.inside, "surprised", "linear, text"))
    absent = {name: value for name, value in ROW.items() if name != "distance"}
    rows = [ROW | {"carrier": "??"}, absent, ROW, absent | {"carrier": "!!"}]
    path, unknown = "/api/v1/endpoints/surprised/predict", "tidegate_endpoint_unknown_categories_total"
    assert served.post(path, {"rows": rows}).status == 200
    assert served.post(path, {"rows": [ROW | {"carrier": "??", "wind": "strong"}]}).status == 400
    assert counted(served, unknown, endpoint="surprised") == 2
    assert counted(served, unknown, endpoint="surprised", feature="carrier") == 2
    assert counted(served, "tidegate_endpoint_missing_features_total", endpoint="surprised", feature="distance") == 2


def test_openapi_is_valid_complete_and_has_clean_names(served: ServedHome) -> None:
    document = served.ask("GET", "/openapi.json").json
    OpenAPIV31SpecValidator(document).validate()
    described = {
        (method.upper(), path): operation
        for path, methods in document["paths"].items()
        for method, operation in methods.items()
    }
    declared = {(one.method, f"/api/v1{one.path}"): one for each in SERVICES.values() for one in each.operations()}
    assert declared.keys() <= described.keys()
    assert {path for _, path in described.keys() - declared.keys()} == {"/api/v1/objects/{digest}"}
    for key, one in declared.items():
        assert described[key]["operationId"] == f"{one.room}_{one.name}"
        assert described[key]["x-role"] == one.role
    ids = [operation["operationId"] for operation in described.values()]
    assert len(set(ids)) == len(ids)
    names = document["components"]["schemas"]
    assert not [name for name in names if not re.fullmatch(r"[A-Z][A-Za-z0-9]*", name)]
    assert not [name for name in names if name.endswith("Request") or "Page" in name.removesuffix("Page")]
    assert {"DataManifest", "ModelsManifest"} <= names.keys()  # two rooms, one name
    assert [name for name, schema in names.items() if schema["title"] != name] == []
    references = set(re.findall(r'"#/components/schemas/([^"]+)"', json.dumps(document)))
    assert references <= names.keys()


@pytest.mark.parametrize(
    ("path", "body", "field"),
    [
        (PEOPLE, b"{", None),
        (PEOPLE, b'{"name": "a", }', None),
        (PEOPLE, b"{}x", None),
        (PEOPLE, b'{"name": NaN, "role": "viewer"}', "name"),
        (PEOPLE, b'{"name": Infinity}', "name"),
        (PEOPLE, b'{"name": "\xff", "role": "viewer"}', "name"),
        (PEOPLE, b'{"name": "\\ud800", "role": "viewer"}', "name"),
        (PEOPLE, b'{"name": "twice", "role": "viewer", "role": "admin"}', "role"),
        (PEOPLE, b'{"name": "late", "role": "viewer", "lifetime_seconds": 1e999}', "lifetime_seconds"),
        ("/api/v1/runs", b'{"experiment": "e", "params": {"a": "x:y", "a": "z"}}', "params.a"),
        (PEOPLE, b'"text"', None),
        (PEOPLE, b"[]", None),
        (PEOPLE, b"null", None),
        (PEOPLE, b"[" * 200_000, None),
        (PEOPLE, b'{"a":' * 200_000, None),
        (PEOPLE, b'{"name": 5, "role": "viewer"}', "name"),
        (PEOPLE, b'{"name": null, "role": "viewer"}', "name"),
        (PEOPLE, b'{"name": "a", "role": "king"}', "role"),
        (PEOPLE, b'{"name": "a"}', "role"),
        (PEOPLE, b'{"name": "a", "role": "viewer", "shoe_size": 43}', "shoe_size"),
        (PEOPLE, b'{"name": "a", "role": "viewer", "lifetime_seconds": 1.5}', "lifetime_seconds"),
        (PEOPLE, b'{"name": "a", "role": "viewer", "lifetime_seconds": "60"}', "lifetime_seconds"),
        (PEOPLE, b"", "name"),
        ("/api/v1/runs", b'{"experiment": "e", "params": {"a": [1]}}', "params[...]"),
        ("/api/v1/people/a/roles", b'{"name": "b", "role": "viewer"}', "name"),
        ("/api/v1/models/late/versions/one/stage", b'{"to": "production"}', "number"),
        (PEOPLE + "?name=a", b'{"role": "viewer"}', "name"),
        (PREDICT, b'{"rows": [', "rows[0]"),
        (PREDICT, b'{"rows": NaN}', "rows"),
        (PREDICT, b'{"rows": [{"distance": NaN}]}', "rows[0].distance"),
        (PREDICT, b'{"rows": [{"distance": 5}, {"distance": 5, "distance": 6}]}', "rows[1].distance"),
        (PREDICT, b'{"rows": [], "at": ["2013-01-01T00:00:00Z"], "rows": [{"carrier": "a:b"}]}', "rows"),
        (PREDICT, b'{"rows": [{"carrier": "\\ud800"}]}', "rows[0].carrier"),
        (PREDICT, b'{"rows": {}}', "rows"),
        (PREDICT, b'{"rows": [5]}', None),
        (PREDICT, b'{"rows": [{"distance": "far", "low_visibility": false, "carrier": "c01"}]}', "distance"),
        (PREDICT, b'{"rows": [{"distance": 1e999, "low_visibility": false, "carrier": "c01"}]}', None),
        (PREDICT, b'{"rows": [{"distance": 5, "low_visibility": false, "carrier": "c01", "x": 1}]}', "x"),
        (PREDICT, b'{"rows": [], "more": 1}', "more"),
        (LABELS, b'{"labels": [{"prediction_id": "x"}]}', "labels[0].value"),
        (
            LABELS,
            b'{"labels": [{"prediction_id": "x", "value": 1, "observed_at": "2013-01-01T00:00:00Z", "value": 0}]}',
            "labels[0].value",
        ),
    ],
)
def test_a_wrong_body_is_refused_naming_the_field(
    untouched: ServedHome, path: str, body: bytes, field: str | None
) -> None:
    check_error(untouched.ask("POST", path, body), 400, field=field)


@pytest.mark.parametrize(
    ("query", "field"),
    [
        ("limit=NaN", "limit"),
        ("limit=inf", "limit"),
        ("limit=1e999", "limit"),
        ("limit=1.5", "limit"),
        ("limit=", "limit"),
        ("limit=0", "limit"),
        ("limit=-1", "limit"),
        ("limit=1" + "0" * 5000, "limit"),
        ("limit=1&limit=1", "limit"),
        ("cursor=%ff%fe", "cursor"),
        ("cursor=e30", "cursor"),
        ("cursor=" + "a" * 5000, "cursor"),
        ("cursor=%00", "cursor"),
        ("colour=blue", "colour"),
        ("Limit=1", "Limit"),
        ("limit%00=1", "limit\0"),
    ],
)
def test_a_wrong_query_is_refused_naming_the_parameter(untouched: ServedHome, query: str, field: str) -> None:
    check_error(untouched.ask("GET", f"/api/v1/models?{query}"), 400, field=field)


@pytest.mark.parametrize("path", [PEOPLE, PREDICT, "/v2/models/late/infer"])
def test_large_bodies_are_refused(untouched: ServedHome, path: str) -> None:
    reply = untouched.ask("POST", path, LARGE)
    if path.startswith("/v2"):
        assert (reply.status, list(reply.json)) == (413, ["error"])
    else:
        check_error(reply, 413)
        assert reply.json["details"]["limit"] == 8 << 20


@pytest.mark.parametrize("path", [PEOPLE, PREDICT, "/v2/models/late/infer"])
def test_an_endless_body_is_cut_off(untouched: ServedHome, path: str) -> None:
    """Announced as chunks without an end: the answer comes while the client is still sending."""
    with socket.create_connection(("127.0.0.1", untouched.port), timeout=20) as raw:
        head = f"POST {path} HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/json\r\n"
        raw.sendall(f"{head}transfer-encoding: chunked\r\n\r\n".encode())
        sent, piece = 0, b"40000\r\n" + b"x" * 0x40000 + b"\r\n"
        try:
            while sent < 64 << 20:
                raw.sendall(piece)
                sent += len(piece)
        except (ConnectionResetError, BrokenPipeError):
            pass
        assert sent < 64 << 20
    assert untouched.ask("GET", "/health").body == b"OK"


@pytest.mark.parametrize("path", [PEOPLE, PREDICT])
@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"content-type": "text/plain"},
        {"content-type": "application/x-www-form-urlencoded"},
        {"content-type": "multipart/form-data; boundary=x"},
        {"content-type": "application/jsonx"},
        {"content-type": "application/json", "content-encoding": "gzip"},
        {"content-type": "\xff"},
    ],
    ids=str,
)
def test_another_content_type_is_refused(untouched: ServedHome, path: str, headers: dict[str, str]) -> None:
    body = json.dumps({"rows": [ROW]} if path == PREDICT else {"name": "typed", "role": "viewer"}).encode()
    check_error(untouched.ask("POST", path, body, headers), 415, field="content-type")


@pytest.mark.parametrize("kind", ["application/json", "Application/JSON", "application/json; charset=utf-8"])
def test_json_may_be_announced_in_several_ways(served: ServedHome, kind: str) -> None:
    body = json.dumps({"rows": [ROW]}).encode()
    assert served.ask("POST", PREDICT, body, {"content-type": kind}).status == 200


@pytest.mark.parametrize(
    "path",
    [
        "/nothing",
        "/health/",
        "/api/v1/models/",
        "//api/v1/models",
        "/api/v1/../v1/models",
        "/../../../../etc/passwd",
        "/%2e%2e/%2e%2e/etc/passwd",
        "/api/v1/models/%2e%2e/versions",
        "/api/v1/models/..%2f..%2fetc%2fpasswd/versions",
        "/api/v1/models/a%00b/versions",
        "/api/v1/models/%ff%fe/versions",
        "/api/v1/models/" + "a" * 20_000 + "/versions",
        "/api/v1/models/" + "%F0%9F%92%A5" * 2_000 + "/versions",
        "/api/v1/runs/..",
        "/api/v1/runs/%00",
        "/api/v1/predictions/%2e%2e",
        "/api/v1/predictions/%ff",
        "/api/v1/endpoints/%00",
        "/api/v1/data/late/versions/" + "9" * 5_000,
        "/api/v1/data/late/versions/9223372036854775808",
        "/api/v1/data/late/versions/-9223372036854775809",
        "/api/v1/models/late/versions/2147483648",
        "/status.html",
        "/static/../pyproject.toml",
        "/" + "a" * 60_000,
    ],
    ids=lambda path: path[:48],
)
def test_hostile_paths_lead_nowhere(untouched: ServedHome, path: str) -> None:
    reply = untouched.ask("GET", path)
    assert reply.status in (400, 404), reply
    check_error(reply, reply.status, "not_found" if reply.status == 404 else "invalid")


@pytest.mark.parametrize("name", ["..", "%2e%2e", "%00", "%ff", "a%2fb", "x" * 5000, "%20"])
def test_hostile_names_of_endpoints_lead_nowhere(untouched: ServedHome, name: str) -> None:
    reply = untouched.post(f"/api/v1/endpoints/{name}/predict", {"rows": [ROW]})
    assert reply.status in (400, 404), reply
    check_error(reply, reply.status, "not_found" if reply.status == 404 else "invalid")


@pytest.mark.parametrize("action", ["predict", "labels"])
def test_a_slash_that_is_spelt_out_separates_nothing(untouched: ServedHome, action: str) -> None:
    reply = untouched.post(f"/api/v1/endpoints/{ENDPOINT}%2F{action}", {"rows": [ROW]})
    check_error(reply, 404, "not_found")
    assert "no name holds a slash" in reply.json["message"]


@pytest.mark.parametrize(
    ("method", "path", "allowed"),
    [
        ("POST", "/health", "GET, HEAD"),
        ("DELETE", PEOPLE, "GET, HEAD, POST"),
        ("PATCH", "/api/v1/people/a/tokens/b", "DELETE"),
        ("GET", PREDICT, "POST"),
        ("TRACE", "/", "GET, HEAD"),
        ("OPTIONS", "/api/v1/objects/" + "a" * 64, "GET, HEAD, PUT"),
    ],
)
def test_a_wrong_method_names_the_right_ones(untouched: ServedHome, method: str, path: str, allowed: str) -> None:
    reply = untouched.ask(method, path)
    check_error(reply, 405)
    assert reply.headers["allow"] == allowed


@pytest.mark.parametrize(
    ("sent", "status"),
    [
        (b"GET /" + b"a" * 70_000 + b" HTTP/1.1\r\n\r\n", 400),
        (b"GET /\xff HTTP/1.1\r\nhost: localhost\r\n\r\n", 400),
        (b"BREW / HTTP/1.1\r\n\r\n", 400),
        (b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" * 20, 400),
        (b"GET / HTTP/1.1\r\ncontent-length: -1\r\n\r\n", 400),
        (b"POST /api/v1/people HTTP/1.1\r\ncontent-length: 3\r\ntransfer-encoding: chunked\r\n\r\n", 400),
        (b"GET / HTTP/1.1\r\nname\x00: value\r\n\r\n", 400),
        (b"GET / HTTP/1.1\r\nlong: " + b"x" * (2 << 20), 431),
        (b"GET / HTTP/1.1\r\n" + b"many: 1\r\n" * 200_000, 431),
    ],
    ids=lambda sent: str(sent)[:40],
)
def test_what_is_not_http_is_refused_in_the_same_form(untouched: ServedHome, sent: bytes, status: int) -> None:
    with socket.create_connection(("127.0.0.1", untouched.port), timeout=20) as raw:
        try:
            raw.sendall(sent)
        except (ConnectionResetError, BrokenPipeError):
            assert status == 431
            return
        head, _, body = read_to_end(raw).partition(b"\r\n\r\n")
    if not head and status == 431:
        return  # the refusal was cut off by what was still being sent
    assert head.split(b" ")[1] == str(status).encode(), head
    check_error(Reply(status, {"content-type": "application/json"}, body), status)
    assert b"content-type: application/json" in head


def read_to_end(raw: socket.socket) -> bytes:
    """Everything until the server closes the connection."""
    received = b""
    try:
        while piece := raw.recv(65536):
            received += piece
    except ConnectionResetError:
        pass
    return received


def test_a_body_may_follow_headers_that_arrive_in_pieces(served: ServedHome) -> None:
    """Large bodies beside slow headers are no large headers."""
    body = json.dumps({"rows": [ROW] * 2000}).encode()
    head = f"POST {PREDICT} HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/json\r\n"
    with socket.create_connection(("127.0.0.1", served.port), timeout=20) as raw:
        for piece in (head[:20].encode(), head[20:].encode() + b"content-length: %d\r\n\r\n" % len(body) + body):
            raw.sendall(piece)
        assert raw.recv(15) == b"HTTP/1.1 200 OK"


@pytest.mark.parametrize(
    ("path", "body", "key"),
    [
        (
            "/v2/models/late/infer",
            b'{"inputs": [], "inputs": [{"name": "a:b", "shape": [1], "datatype": "x"}]}',
            "inputs",
        ),
        ("/v2/models/late/infer", b'{"inputs": [{"name": "a", "name": "b", "shape": [], "datatype": "x"}]}', "name"),
        ("/api/2.0/mlflow/experiments/create", b'{"name": "one", "name": "two"}', "name"),
    ],
)
def test_foreign_protocols_refuse_a_key_that_is_named_twice(
    untouched: ServedHome, path: str, body: bytes, key: str
) -> None:
    reply = untouched.ask("POST", path, body)
    assert reply.status == 400
    told = reply.json.get("error") or reply.json["message"]
    assert re.search(rf"an object names this key twice, at line 1, column \d+, in .*{key}$", told)


def test_a_deadline_that_passed_and_a_foreign_host_are_named(untouched: ServedHome) -> None:
    late = untouched.ask("GET", "/api/v1/models", None, {"tidegate-deadline": "0"})
    check_error(late, 503, "unavailable", field="tidegate-deadline")
    assert late.json["details"]["operation"] == "models.list"
    foreign = untouched.ask("GET", "/api/v1/models", None, {"host": "evil.example"})
    check_error(foreign, 403, "forbidden", field="host")
    assert foreign.json["details"]["value"] == "evil.example"


def test_headers_are_checked(untouched: ServedHome) -> None:
    for headers, field in [
        ({"idempotency-key": "two words"}, "idempotency-key"),
        ({"idempotency-key": "x" * 200}, "idempotency-key"),
        ({"idempotency-key": ""}, "idempotency-key"),
        ({"x-request-id": "\xff"}, "x-request-id"),
        ({"tidegate-deadline": "soon"}, "tidegate-deadline"),
        ({"tidegate-deadline": "nan"}, "tidegate-deadline"),
        ({"tidegate-time": "2013-01-01T00:00:00Z"}, "tidegate-time"),
    ]:
        body = b'{"name": "headed", "role": "viewer"}'
        check_error(untouched.ask("POST", PEOPLE, body, JSON | headers), 400, field=field)
