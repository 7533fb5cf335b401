"""Whatever a body holds: an answer that was logged, or a 4xx in one form and nothing in the log."""

import json
import math
from typing import Any

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from tests.contract.endpoints.asgi_client import Reply, call
from tests.contract.endpoints.serving_home import ROW, ServingHome
from tests.integration.endpoints.serving_process import application
from tidegate.endpoints.asgi import HotPath

PREDICT = "/api/v1/endpoints/late/predict"
LABELS = "/api/v1/endpoints/late/labels"
BODY_BYTES = 4 << 20

scalars = st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20)
anything = st.recursive(
    scalars, lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=10), inner, max_size=4)
)
names = st.sampled_from(["distance", "wind", "low_visibility", "carrier", "wnid", ""])
rows = st.dictionaries(names, anything, max_size=5)
requests = st.fixed_dictionaries(
    {"rows": st.lists(rows | anything, max_size=3)}, optional={"at": anything, "more": anything}
)
outcomes = st.fixed_dictionaries(
    {}, optional={"prediction_id": anything, "value": anything, "observed_at": anything, "more": anything}
)
bodies = st.binary(max_size=200) | (anything | requests).map(lambda value: json.dumps(value).encode())
quickly = settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])


@pytest.fixture(scope="module")
def app(late_home: ServingHome) -> HotPath:
    return application(late_home, BODY_BYTES)


def appended(home: ServingHome) -> int:
    """Bytes in the journal."""
    return sum(path.stat().st_size for path in home.writer._folder.glob("*"))


def check(home: ServingHome, reply: Reply, before: int) -> None:
    """Answered and logged, or refused in the one form and not logged."""
    if reply.status == 200:
        assert appended(home) > before
        assert b"NaN" not in reply.body
        assert b"Infinity" not in reply.body
        return
    assert 400 <= reply.status < 500
    assert set(reply.json) == {"code", "message", "details"}
    assert reply.json["code"] == "invalid"
    assert reply.json["message"]
    assert appended(home) == before


@quickly
@given(body=bodies)
@example(b'{"rows": [{"wind": NaN}]}')
@example(b'{"rows": [{"wind": 1e999}]}')
@example(b'{"rows": [{"wind": Infinity}]}')
@example(b'{"rows": [{"wind": -1e38, "distance": 1e38}]}')
@example(b'{"rows": [{"wind": 123456789012345678901234567890}]}')
@example(b'{"rows": [{"carrier": "\\ud800"}]}')
@example(b'{"rows": [{"carrier": "\xff"}]}')
@example(b'{"rows": [{"carrier": "' + b"x" * 100_000 + b'"}]}')
@example(b'{"rows": [{"' + b"x" * 100_000 + b'": 1}]}')
@example(b'{"rows": ' + b"[" * 100_000 + b"]" * 100_000 + b"}")
@example(b'{"rows": [{"wind": ' + b"[" * 100_000 + b"]" * 100_000 + b"}]}")
@example(b'{"rows": [{"wind": ' + b'{"a":' * 50_000 + b"1" + b"}" * 50_000 + b"}]}")
@example(b"[" * 1_000_000)
@example(b'{"rows": [' + b"{}," * 100_000 + b"{}]}")
@example(b'{"rows": [{}], "rows": [{}]}')
@example(b'{"rows": [{}], "at": ["0001-01-01T00:00:00+23:59"]}')
@example(b'{"rows": [{}], "at": ["0001-01-01T00:00:00Z"]}')
@example(b'{"rows": [{}], "at": ["9999-12-31T23:59:59-23:59"]}')
@example(b"\xef\xbb\xbf{}")
def test_law_5_any_body_is_answered_in_one_form(late_home: ServingHome, app: HotPath, body: bytes) -> None:
    before = appended(late_home)
    check(late_home, call(app, PREDICT, [body]), before)


@quickly
@given(labels=st.lists(outcomes | anything, max_size=3) | anything)
@example([{"prediction_id": "0" * 12 + "7" + "0" * 3 + "8" + "0" * 15, "value": 1e400, "observed_at": "now"}])
@example([{"prediction_id": "f" * 32, "value": "late", "observed_at": "2013-01-01T00:00:00Z"}])
@example([{"prediction_id": "0x" + "0" * 30, "value": "late", "observed_at": "2013-01-01T00:00:00Z"}])
@example(
    [
        {
            "prediction_id": "0" * 12 + "7" + "0" * 3 + "8" + "0" * 15,
            "value": "late",
            "observed_at": "0001-01-01T00:00:00+23:59",
        }
    ]
)
def test_any_labels(late_home: ServingHome, app: HotPath, labels: Any) -> None:
    before = appended(late_home)
    check(late_home, call(app, LABELS, [json.dumps({"labels": labels}).encode()]), before)


@quickly
@given(row=st.fixed_dictionaries({
    "distance": st.floats(width=32) | st.integers(-(10**40), 10**40) | st.none(),
    "wind": st.floats() | st.none(),
    "low_visibility": st.booleans() | st.none(),
    "carrier": st.text() | st.sampled_from(["c01", "c11"]) | st.none(),
}))  # fmt: skip
def test_rows_of_the_right_shape_are_answered_or_named(
    late_home: ServingHome, app: HotPath, row: dict[str, Any]
) -> None:
    before = appended(late_home)
    reply = call(app, PREDICT, [json.dumps({"rows": [row]}).encode()])
    check(late_home, reply, before)
    numbers = [value for value in (row["distance"], row["wind"]) if value is not None]
    if all(math.isfinite(value) and abs(value) < 1e38 for value in numbers) and row["carrier"] in ("c01", "c11", None):
        assert reply.status == 200
    if reply.status != 200 and b"not valid JSON" not in reply.body:
        assert "rows[0]" in reply.json["message"]


def test_law_2_ten_megabytes_are_refused(late_home: ServingHome, app: HotPath) -> None:
    before = appended(late_home)
    reply = call(app, PREDICT, [b" " * 1_000_000] * 10)
    assert reply.status == 413
    check(late_home, reply, before)


def test_a_body_in_pieces_is_one_body(late_home: ServingHome, app: HotPath) -> None:
    body = json.dumps({"rows": [ROW]}).encode()
    reply = call(app, PREDICT, [body[index : index + 1] for index in range(len(body))])
    assert reply.status == 200


def test_law_1_a_client_that_leaves_gets_no_answer_and_leaves_no_row(late_home: ServingHome, app: HotPath) -> None:
    before = appended(late_home)
    for parts in ([json.dumps({"rows": [ROW]}).encode()], [b"{"], [b""], []):
        assert call(app, PREDICT, parts, leaves=True).status == 0
    assert appended(late_home) == before


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("GET", PREDICT),
        ("POST", "/api/v1/endpoints/late"),
        ("POST", "/api/v1/endpoints/late/predict/"),
        ("POST", "/api/v1/endpoints//predict"),
        ("POST", "/api/v1/endpoints/a/b/predict"),
        ("POST", "/api/v1/models"),
    ],
)
def test_everything_else_is_handed_on(app: HotPath, method: str, path: str) -> None:
    reply = call(app, path, method=method)
    assert (reply.status, reply.body) == (404, b"Not Found")
