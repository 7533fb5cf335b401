"""The room of features through a workspace: locally, over the wire, over HTTP, on SQLite and PostgreSQL."""

import json
from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec
import numpy as np
import polars as pl
import pytest

import tidegate as tg
from tests.contract.features.flight_views import INPUTS, LATE, commit
from tidegate.features.records import Push
from tidegate.kernel.errors import Conflict, Invalid, NotFound, Refused
from tidegate.testing.workspaces import Home
from tidegate.workspace import Workspace

AT = datetime(2013, 6, 1, 12, tzinfo=UTC)
HOUR = timedelta(hours=1)

temperature = tg.feature_view(
    "temperature", source="readings", entity=["place", "floor"], event_time="read_at", delay="10m", ttl="2h",
    features={"celsius": (tg.col("fahrenheit") - 32) / 1.8, "valid": ~tg.col("broken")},
)  # fmt: skip
readings = tg.feature_view(
    "readings_lately", source="readings", entity="place", event_time="read_at",
    features={"readings_1h": tg.count(over="1h"), "warmest_1h": tg.max("fahrenheit", over="1h")},
)  # fmt: skip
SERVICE = tg.feature_service("climate", views=[temperature, readings], request={"people": tg.Int64})


def reading(minutes: int, fahrenheit: float | None, place: str = "hall", floor: int = 1) -> dict[str, Any]:
    return {
        "place": place,
        "floor": floor,
        "read_at": AT + timedelta(minutes=minutes),
        "fahrenheit": fahrenheit,
        "broken": False,
    }


def commit_readings(workspace: Workspace) -> None:
    rows = [reading(minutes, 50.0 + minutes / 2) for minutes in range(-180, 1, 20)]
    rows += [reading(minutes, None, "roof", 9) for minutes in (-30, -10)]
    workspace.data.commit("readings", pl.DataFrame(rows).cast({"read_at": pl.Datetime("us", "UTC")}))


def commit_visits(workspace: Workspace) -> Any:
    frame = pl.DataFrame(
        {
            "place": ["hall", "hall", "roof", "cellar", None],
            "floor": [1, 1, 9, 1, 1],
            "at": [AT, AT, AT - HOUR / 2, AT, AT],
            "people": [3, 3, 0, 1, 2],
            "complaint": [True, True, None, False, True],
            "told_at": [AT + HOUR, AT + 3 * HOUR, None, AT + HOUR, AT + HOUR],
        }
    )
    return workspace.data.commit("visits", frame.cast({pl.Datetime: pl.Datetime("us", "UTC")}))


def test_laws_1_2_3_a_definition_becomes_a_version_once(workspace: Workspace) -> None:
    commit_readings(workspace)
    first = workspace.features.apply(SERVICE)
    assert (first.number, str(first)) == (1, "climate/1")
    assert workspace.features.apply(SERVICE) == first
    assert [one.name for one in first.inputs] == ["people", "celsius", "valid", "readings_1h", "warmest_1h"]
    assert [one.type for one in first.inputs] == ["Int64", "Float64", "Boolean", "Int64", "Float64"]
    other = workspace.features.apply(tg.feature_service("climate", views=[temperature]))
    assert (other.number, other.view_digests) == (2, first.view_digests[:1])
    assert workspace.features.get("climate") == other
    assert workspace.features.get("climate/1") == first == workspace.features.get(first.digest[:16])
    assert [(one.name, one.latest) for one in workspace.features.list().items] == [("climate", 2)]
    page = workspace.features.views(limit=1)
    assert page.next is not None
    more = workspace.features.views(cursor=page.next)
    assert [one.name for one in (*page.items, *more.items)] == ["readings_lately", "temperature"]
    assert page.items[0].applied.view == readings
    with pytest.raises(NotFound, match="no feature service 'nobody'"):
        workspace.features.get("nobody")
    with pytest.raises(Invalid, match="no aliases"):
        workspace.features.get("climate@champion")
    with pytest.raises(NotFound, match="no dataset 'nowhere'"):
        workspace.features.apply(
            tg.feature_service("x", views=[tg.feature_view("v", source="nowhere", entity="a", features={})])
        )


def test_a_version_is_noted_as_a_fact(home: Home) -> None:
    commit_readings(home.workspace)
    applied = home.workspace.features.apply(SERVICE)
    home.workspace.features.apply(SERVICE)
    from tidegate.events.store import EventLog

    storage = home.inside.storage
    found = EventLog(storage.catalog, storage.clock, storage.ids).after(0, type_prefix="tidegate.features")
    assert [(one.type, one.subject, one.data["digest"]) for one in found] == [
        ("tidegate.features.applied", "climate/1", applied.digest)
    ]


def test_a_training_set_holds_the_label_rows_and_nothing_else(workspace: Workspace) -> None:
    commit_readings(workspace)
    visits = commit_visits(workspace)
    workspace.features.apply(SERVICE)
    made = workspace.features.training_set(SERVICE, labels="visits", at="at", label="complaint")
    assert made.frame["place"].to_list() == ["hall", "hall", "roof", "cellar", None]
    assert made.frame["celsius"].to_list() == [pytest.approx((40.0 - 32) / 1.8)] * 2 + [None] * 3
    assert made.frame["readings_1h"].to_list() == [3, 3, 0, 0, None]
    assert made.frame["warmest_1h"].to_list() == [50.0 - 10.0, 40.0, None, None, None]
    assert (len(made), made.left_out) == (4, 1)
    assert made.X.shape == (4, 5)
    assert made.X.dtype == np.float32
    assert made.y.tolist() == [True, True, False, True]
    assert [one.label for one in made.lineage] == ["visits/1", "readings/1"]
    assert made.service == workspace.features.get("climate").digest
    assert made.requests()[0] == {"place": "hall", "floor": 1, "people": 3}
    assert set(made.records()[0]) == {"people", "celsius", "valid", "readings_1h", "warmest_1h"}
    again = workspace.features.training_set("climate/1", labels=visits, at="at", label=tg.col("complaint"))
    assert again.digest == made.digest
    with pytest.raises(NotFound, match="was not applied"):
        workspace.features.training_set(tg.feature_service("climate"), labels="visits", at="at", label="complaint")


def test_a_retraining_knows_what_was_known_then(workspace: Workspace) -> None:
    commit_readings(workspace)
    commit_visits(workspace)
    workspace.features.apply(SERVICE)
    wanted: dict[str, Any] = {"labels": "visits", "at": "at", "label": "complaint", "label_known_at": "told_at"}
    early = workspace.features.training_set(SERVICE, **wanted, known_by=AT + 2 * HOUR)
    assert early.y.tolist() == [True, False, True]
    assert early.left_out == 2
    unborn = workspace.features.training_set(SERVICE, **wanted, known_by=AT - HOUR)
    assert unborn.frame["readings_1h"].to_list()[:2] == [1, 1], "of the last hour only the first reading was known"
    some = workspace.features.training_set(SERVICE, **wanted, since=AT - HOUR, until=AT)
    assert some.frame["place"].to_list() == ["roof"]
    assert some.digest != early.digest
    for wrong, told in (
        ({"at": "people"}, "no column of instants"),
        ({"label_known_at": None, "known_by": AT}, "label_known_at="),
        ({"label": "nobody"}, "no column 'nobody'"),
        ({"extra": ["nobody"]}, "extra column 'nobody'"),
        ({"since": "2014-01-01"}, "no label row"),
    ):
        with pytest.raises(Invalid, match=told):
            workspace.features.training_set(SERVICE, **(wanted | wrong))
    more = workspace.features.training_set(SERVICE, **wanted, extra=["floor"])
    assert [one.name for one in more.columns][-1] == "floor"
    assert more.service is None, "the service does not know the extra column"


def test_what_was_pushed_is_seen_by_the_next_request(workspace: Workspace) -> None:
    commit_readings(workspace)
    workspace.features.apply(SERVICE)
    ask = {"place": "hall", "floor": 1, "people": 2}
    nothing = {"people": 2, "celsius": None, "valid": None, "readings_1h": 0, "warmest_1h": None}
    assert workspace.features.online("climate", [ask], at=AT) == [nothing]
    pushed = workspace.features.push("temperature", [reading(-20, 50.0), reading(-40, 41.0)])
    assert (pushed.rows, pushed.entities, pushed.changed, pushed.left_out) == (2, 1, 1, 0)
    assert workspace.features.push("temperature", [reading(-40, 41.0)]).changed == 0
    assert workspace.features.online("climate", [ask], at=AT)[0]["celsius"] == 10.0
    assert workspace.features.online("climate", [ask], at=AT + 3 * HOUR)[0]["celsius"] is None, "expired"
    left_out = workspace.features.push("readings_lately", [reading(-5, 1.0) | {"read_at": None}, reading(-5, 2.0)])
    assert left_out.left_out == 1
    assert workspace.features.online("climate", [ask], at=AT)[0]["readings_1h"] == 1
    row = reading(-5, 1.0)
    row.pop("broken")
    with pytest.raises(Invalid, match=r"rows\[0\]\.broken: it is missing, and a windowed view takes whole rows"):
        workspace.features.push("readings_lately", [row])
    with pytest.raises(Invalid, match=r"rows\[0\]\.read_at: the row is known only from"):
        workspace.features.push("temperature", [reading(0, 1.0) | {"read_at": datetime(2999, 1, 1, tzinfo=UTC)}])
    with pytest.raises(NotFound, match="no feature view 'nobody'"):
        workspace.features.push("nobody", [])
    with pytest.raises(NotFound, match="no feature service"):
        workspace.features.online("nobody", [])


def test_rows_of_several_sources_are_told_to_all_views_or_to_none(workspace: Workspace) -> None:
    commit_readings(workspace)
    commit_visits(workspace)
    workspace.features.apply(SERVICE)
    visits = tg.feature_view(
        "visits", source="visits", entity="place", features={"most": tg.col("people")}, event_time="at"
    )
    workspace.features.apply(tg.feature_service("visited", views=[visits]))
    visit = {"place": "hall", "floor": 1, "at": AT - HOUR, "people": 7, "complaint": False}
    told = [reading(-20, 50.0), reading(-40, 41.0), reading(-5, 1.0, "roof") | {"floor": None}]
    both = ("temperature", "readings_lately")
    pushed = workspace.features.push_all([Push(both, told), Push(("visits",), [visit])])
    assert [(one.view, one.rows, one.entities, one.changed, one.left_out) for one in pushed] == [
        ("temperature", 3, 3, 3, 1),
        ("visits", 1, 1, 1, 0),
    ]
    ask = {"place": "hall", "floor": 1}

    def seen() -> tuple[dict[str, Any], dict[str, Any]]:
        [climate] = workspace.features.online("climate", [ask], at=AT)
        [visited] = workspace.features.online("visited", [{"place": "hall"}], at=AT)
        return climate, visited

    before = climate, visited = seen()
    assert (climate["celsius"], climate["readings_1h"], climate["warmest_1h"], visited["most"]) == (10.0, 2, 50.0, 7)
    fresh, later = reading(-1, 1.0), visit | {"at": AT - HOUR / 2, "people": 9}
    other_values = [fresh, reading(-20, 51.0)]  # of a time of which the view of states knows others
    with pytest.raises(Conflict, match="'temperature' has a row of that event time with other values"):
        workspace.features.push_all([Push(("visits",), [later]), Push(both, other_values)])
    wrong = later | {"people": "x"}
    refused: list[tuple[list[Push], str, dict[str, object]]] = [
        (
            [Push(both, [fresh]), Push(("visits",), [wrong])],
            r"pushes\[1\]\.rows\[0\]\.people",
            {"push": 1},
        ),
        ([Push(both, [fresh]), Push(("visits", *both), [later])], "'temperature' is named twice", {"push": 1}),
        ([Push(("temperature", "visits"), [fresh])], "'visits' is over visits, and 'temperature' over readings", {}),
        ([Push(both, [fresh]), Push((), [later])], r"pushes\[1\] names no view", {"field": "views"}),
    ]
    for pushes, message, details in refused:
        with pytest.raises(Invalid, match=message) as error:
            workspace.features.push_all(pushes)
        assert details.items() <= error.value.details.items()
    with pytest.raises(NotFound, match="no feature view 'nobody'"):
        workspace.features.push_all([Push(both, [fresh]), Push(("nobody",), [later])])
    assert seen() == before, "nobody knows any of them"
    assert workspace.features.push_all([]) == []


def test_a_push_reaches_the_versions_that_were_made_since_the_last_one(workspace: Workspace) -> None:
    commit_readings(workspace)
    workspace.features.apply(SERVICE)
    workspace.features.push("temperature", [reading(-40, 41.0)])
    patient = msgspec.structs.replace(temperature, ttl=5 * 3600 * 10**6)
    workspace.features.apply(tg.feature_service("patient", views=[patient]))
    with pytest.raises(NotFound, match="no feature view 'other'"):
        workspace.features.push("other", [reading(-20, 50.0)])
    other = tg.feature_service("other", views=[msgspec.structs.replace(temperature, name="other")])
    workspace.features.apply(other)
    for view in ("temperature", "other"):
        assert workspace.features.push(view, [reading(-20, 50.0)]).changed == 1
    ask, late = {"place": "hall", "floor": 1}, AT + 3 * HOUR
    assert workspace.features.online("climate", [ask], at=late)[0]["celsius"] is None
    assert workspace.features.online("patient", [ask], at=late)[0]["celsius"] == 10.0
    assert workspace.features.online("other", [ask], at=AT)[0]["celsius"] == 10.0


def test_materialized_is_what_the_training_set_says(workspace: Workspace) -> None:
    commit_readings(workspace)
    commit_visits(workspace)
    workspace.features.apply(SERVICE)
    first = workspace.features.materialize(SERVICE, until=AT)
    assert [(one.view, one.entities, one.changed) for one in first] == [
        ("temperature", 2, 2),
        ("readings_lately", 2, 2),
    ]
    assert [one.changed for one in workspace.features.materialize("climate", until=AT)] == [0, 0]
    assert [one.changed for one in workspace.features.materialize("climate", until=AT - HOUR)] == [0, 0]
    made = workspace.features.training_set(SERVICE, labels="visits", at="at", label="complaint")
    rows = made.requests()
    answers = [
        workspace.features.online("climate", [row], at=at)[0] for row, at in zip(rows, made.frame["at"], strict=True)
    ]
    assert answers == made.frame.select(one.name for one in made.columns).to_dicts()
    assert workspace.features.moment() > AT
    digest = workspace.features.get("climate").view_digests[0]
    with pytest.raises(Invalid, match="no packed entities"):
        workspace.features.load(digest, entities=workspace.objects.put(b"anything").digest)
    with pytest.raises(NotFound, match="no version of a feature view"):
        workspace.features.load("0" * 64, entities="0" * 64)


HOSTILE: dict[str, Any] = {
    "a huge integer": lambda ws: ws.features.online("climate", [{"place": "hall", "floor": 10**400, "people": 1}]),
    "a huge number": lambda ws: ws.features.push("temperature", [reading(-9, 1.0) | {"fahrenheit": 10**400}]),
    "a naive instant": lambda ws: ws.features.push("temperature", [reading(-9, 1.0) | {"read_at": "2013-06-01T00:00"}]),
    "a list": lambda ws: ws.features.push("temperature", [reading(-9, 1.0) | {"place": [1]}]),
    "another field": lambda ws: ws.features.online("climate", [{"place": "hall", "floor": 1, "nobody": 1}]),
    "no key": lambda ws: ws.features.online("climate", [{"place": "hall"}]),
    "a naive moment": lambda ws: ws.features.online("climate", [], at=datetime(2013, 1, 1)),  # noqa: DTZ001
    "a deep expression": lambda ws: ws.features.apply(deep(5000)),
    "a large constant": lambda ws: ws.features.apply(of(tg.col("fahrenheit") + 2**64)),
    "an infinite constant": lambda ws: ws.features.apply(of(tg.col("fahrenheit") * float("inf"))),
    "an absent column": lambda ws: ws.features.apply(of(tg.col("nobody"))),
}


def of(expression: Any) -> Any:
    view = tg.feature_view("v", source="readings", entity="place", event_time="read_at", features={"x": expression})
    return tg.feature_service("s", views=[view])


def deep(levels: int) -> Any:
    expression: Any = tg.col("fahrenheit")
    for _ in range(levels):
        expression = expression + 1
    return of(expression)


def test_hostile_input_is_told_and_changes_nothing(workspace: Workspace) -> None:
    commit_readings(workspace)
    workspace.features.apply(SERVICE)
    for what, act in HOSTILE.items():
        with pytest.raises(Invalid) as error:
            act(workspace)
        assert error.value.message, what
        json.dumps(error.value.details)
    assert [one.latest for one in workspace.features.list().items] == [1]
    assert workspace.features.online("climate", [{"place": "hall", "floor": 1}], at=AT)[0]["readings_1h"] == 0


@pytest.mark.parametrize("home", ["http-sqlite"], indirect=True)
def test_real_flights_from_features_to_a_gate(workspace: Workspace) -> None:
    """Definitions, training set, model and gate, as the README has it."""
    from sklearn.tree import DecisionTreeClassifier

    flights = commit(workspace)
    workspace.features.apply(INPUTS)
    rows = workspace.features.training_set(INPUTS, labels=flights, at="scheduled_departure", label=LATE)
    train, held_out = rows.split(before="2013-01-04")
    assert train.columns == held_out.columns == rows.columns
    assert len(train) + len(held_out) == len(rows)
    assert held_out.left_out > 0, "cancelled flights never get a label"
    model = DecisionTreeClassifier(max_depth=4, random_state=0).fit(train.X, train.y)
    version = workspace.models.log("late-arrival", model, inputs=train)
    assert version.manifest.service == workspace.features.get("late_arrival_inputs").digest
    report = workspace.gates.check(version, on=held_out).require()
    assert report.figures.n == len(held_out) < held_out.frame.height
    with pytest.raises(Refused, match="trained on exactly these rows"):
        workspace.gates.check(version, on=train)
