"""The laws of the serving engine, with real models."""

from datetime import timedelta
from typing import Any

import msgspec
import numpy as np
import pytest

from tests.contract.endpoints.serving_home import ROW, ServingHome
from tests.contract.models.fitted_models import fitted
from tidegate.endpoints.records import OutcomeIn
from tidegate.kernel.clock import to_micros
from tidegate.kernel.errors import Invalid, NotFound, TidegateError, Unavailable


def ask(home: ServingHome, name: str, body: object) -> Any:
    return msgspec.json.decode(home.engine.predict_bytes(name, msgspec.json.encode(body)))


def test_an_answer_is_what_the_model_says(late_home: ServingHome) -> None:
    made = fitted("linear, text")
    rows = [ROW, ROW | {"wind": 40.0, "low_visibility": True}]
    answer = ask(late_home, "late", {"rows": rows})["predictions"]
    matrix = np.array([[1400, 12.5, 0, 1], [1400, 40.0, 1, 1]], np.float32)
    shares = made.model.predict_proba(matrix)
    for index, one in enumerate(answer):
        assert one["value"] == made.model.predict(matrix)[index]
        assert list(one["probabilities"]) == ["late", "on time"]
        assert np.allclose(list(one["probabilities"].values()), shares[index], atol=1e-5)
        assert (one["model"], one["variant"]) == ("late/1", "stable")


def test_law_1_a_prediction_is_logged_before_its_answer(late_home: ServingHome) -> None:
    before = late_home.logged()
    [one] = ask(late_home, "late", {"rows": [ROW]})["predictions"]
    kept = late_home.reader.get(one["id"])
    assert (kept.endpoint, kept.model, kept.value, kept.status) == ("late", "late/1", one["value"], "ok")
    assert kept.inputs == ROW
    assert kept.probabilities == pytest.approx(list(one["probabilities"].values()))
    assert late_home.logged() == before + 1


def test_a_regression_answers_numbers(late_home: ServingHome) -> None:
    [one] = ask(late_home, "delay", {"rows": [ROW]})["predictions"]
    assert isinstance(one["value"], float)
    assert one["probabilities"] is None


def test_surprises_are_served_by_policy_and_counted(late_home: ServingHome) -> None:
    rows = [{**ROW, "carrier": "unheard of"}, {"wind": 1.0, "low_visibility": True, "carrier": "c01"}, ROW]
    answer = ask(late_home, "late", {"rows": rows})["predictions"]
    kept = [late_home.reader.get(one["id"]) for one in answer]
    assert [one.unknown for one in kept] == [{"carrier": 1}, {}, {}]
    assert [one.missing for one in kept] == [{}, {"distance": 1}, {}]
    assert kept[0].inputs["carrier"] == "unheard of"


def test_surprises_are_refused_by_policy(serving_home: ServingHome) -> None:
    serving_home.deployed("linear, text", "strict", unknown="refuse", missing="refuse")
    with pytest.raises(Invalid, match=r"rows\[1\]\.carrier") as error:
        ask(serving_home, "strict", {"rows": [ROW, ROW | {"carrier": "cO1"}]})
    assert error.value.details["field"] == "carrier"
    with pytest.raises(Invalid, match=r"rows\[0\]\.distance: expected a number, it is missing"):
        ask(serving_home, "strict", {"rows": [{"wind": 1, "low_visibility": True, "carrier": "c01"}]})
    assert serving_home.logged() == 0


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({}, "rows"),
        ({"rows": []}, "rows"),
        ({"rows": [3]}, r"rows\[0\]"),
        ({"rows": [ROW] * 10_001}, "rows"),
        ({"rows": [ROW | {"wind": "strong"}]}, r"rows\[0\]\.wind"),
        ({"rows": [ROW | {"wind": [1]}]}, r"rows\[0\]\.wind"),
        ({"rows": [ROW | {"distance": 1e39}]}, r"rows\[0\]\.distance"),
        ({"rows": [ROW | {"wnid": 1}]}, r"rows\[0\]\.wnid.*did you mean 'wind'"),
        ({"rows": [ROW], "row": 1}, "row"),
        ({"rows": [ROW], "at": []}, "at"),
        ({"rows": [ROW], "at": ["2013-01-01T00:00:00"]}, r"at\[0\]"),
        ({"rows": [ROW], "at": ["2999-01-01T00:00:00Z"]}, r"at\[0\].*future"),
    ],
)
def test_law_3_what_is_wrong_is_named_and_leaves_no_row(late_home: ServingHome, body: object, field: str) -> None:
    before = late_home.logged()
    with pytest.raises(Invalid, match=field):
        ask(late_home, "late", body)
    assert late_home.logged() == before


@pytest.mark.parametrize(
    ("row", "said", "field"),
    [
        (b"3", r"^rows\[1\]: expected `object`", "rows[1]"),
        (b'{"wind": 1, "distance": 1e999}', r"^rows\[1\]\.distance: number out of range", "distance"),
        (b'{"distance": ' + b"9" * 5000 + b"}", r"^rows\[1\]\.distance: integer value out of range", "distance"),
        (b'{"carrier": "\xff"}', r"^rows\[1\]\.carrier is not valid JSON", "carrier"),
    ],
    ids=["no row", "too large", "many digits", "not UTF-8"],
)
def test_law_3_a_value_that_cannot_be_read_is_named(late_home: ServingHome, row: bytes, said: str, field: str) -> None:
    body = b'{"rows": [%b, %b]}' % (msgspec.json.encode(ROW), row)
    before = late_home.logged()
    with pytest.raises(Invalid, match=said) as error:
        late_home.engine.predict_bytes("late", body)
    assert error.value.details == {"row": 1, "field": field}
    assert late_home.logged() == before


def test_rows_may_be_of_another_time(late_home: ServingHome) -> None:
    [one] = ask(late_home, "late", {"rows": [ROW], "at": ["2013-10-01T06:00:00+02:00"]})["predictions"]
    assert late_home.reader.get(one["id"]).at.isoformat() == "2013-10-01T04:00:00+00:00"


def test_law_4_what_is_not_finite_is_null(serving_home: ServingHome) -> None:
    serving_home.deployed("regression", "delay")
    huge = ROW | {"wind": 3.4e38, "distance": -3.4e38}
    [one] = ask(serving_home, "delay", {"rows": [huge]})["predictions"]
    assert one["value"] is None or np.isfinite(one["value"])
    raw = serving_home.engine.predict_bytes("delay", msgspec.json.encode({"rows": [huge, ROW]}))
    assert b"NaN" not in raw
    assert b"Infinity" not in raw


def test_an_unknown_endpoint_is_not_found(late_home: ServingHome) -> None:
    with pytest.raises(NotFound, match="nowhere"):
        ask(late_home, "nowhere", {"rows": [ROW]})


def test_labels_are_taken_and_found(late_home: ServingHome) -> None:
    answer = ask(late_home, "late", {"rows": [ROW, ROW]})["predictions"]
    now = late_home.clock.now()
    labels = [{"prediction_id": one["id"], "value": "late", "observed_at": now.isoformat()} for one in answer]
    accepted = msgspec.json.decode(late_home.engine.label_bytes("late", msgspec.json.encode({"labels": labels})))
    assert accepted == {"accepted": 2}
    label = late_home.reader.get(answer[1]["id"]).label
    assert label is not None
    assert (label.value, to_micros(label.observed_at)) == ("late", to_micros(now))


@pytest.mark.parametrize(
    ("wrong", "field"),
    [
        ({"value": "early"}, "value"),
        ({"value": 1}, "value"),
        ({"value": None}, "value"),
        ({"prediction_id": "7"}, "prediction_id"),
        ({"prediction_id": "f" * 12 + "7" + "0" * 3 + "8" + "0" * 15}, "prediction_id"),
        ({"observed_at": "2013-01-01"}, "observed_at"),
        ({"observed_at": "2013-01-01T00:00:00"}, "observed_at"),
        ({"observed_at": "2999-01-01T00:00:00Z"}, "observed_at"),
        ({"stranger": 1}, ""),
    ],
)
def test_one_wrong_label_refuses_all(late_home: ServingHome, wrong: dict[str, object], field: str) -> None:
    good = {"prediction_id": late_home.log.ids.new(), "value": "late", "observed_at": "2013-01-01T00:00:00Z"}
    before = late_home.logged()
    with pytest.raises(Invalid, match=rf"labels\[1\].*{field}|{field}.*labels\[1\]") as error:
        late_home.engine.label_bytes("late", msgspec.json.encode({"labels": [good, good | wrong]}))
    assert str(error.value.details["field"]).startswith("labels[1]")
    assert late_home.logged() == before


def test_a_regression_takes_numbers_as_labels(late_home: ServingHome) -> None:
    now = late_home.clock.now()
    prediction = late_home.log.ids.new()
    assert late_home.engine.label("delay", [OutcomeIn(prediction, 12.5, now)]).accepted == 1
    for value in ("12", True, float("nan")):
        with pytest.raises(Invalid, match=r"labels\[0\]\.value: expected a finite number"):
            late_home.engine.label("delay", [OutcomeIn(prediction, value, now)])


def test_a_label_takes_the_class_as_the_model_spells_it(serving_home: ServingHome) -> None:
    serving_home.deployed("linear, booleans", "late")
    [one] = serving_home.engine.predict("late", [ROW])
    assert one.probabilities is not None
    assert list(one.probabilities) == ["false", "true"]
    assert one.value in (True, False)
    serving_home.engine.label("late", [OutcomeIn(one.id, 1, serving_home.clock.now())])
    label = serving_home.reader.get(one.id).label
    assert label is not None
    assert label.value is True


def test_a_label_may_name_a_class_that_an_earlier_version_knew(serving_home: ServingHome) -> None:
    serving_home.deployed("linear, three classes", "late")
    serving_home.deployed("linear, booleans", "late")
    prediction = serving_home.log.ids.new()
    assert serving_home.engine.label("late", [OutcomeIn(prediction, 2, serving_home.clock.now())]).accepted == 1


def test_a_model_that_does_not_load_is_unavailable_and_stops_no_other(serving_home: ServingHome) -> None:
    deployment = serving_home.deployed("linear, text", "late")
    serving_home.deployed("regression", "delay")
    version = serving_home.models.resolve(deployment.version)
    for digest in version.manifest.files.values():
        serving_home.objects.delete(digest)
    with pytest.raises(Unavailable, match="late/1 does not load"):
        serving_home.engine.predict("late", [ROW])
    assert serving_home.engine.predict("delay", [ROW])
    assert not serving_home.engine.routing.ready


def test_law_3_a_version_that_does_not_load_leaves_the_earlier_one_answering(serving_home: ServingHome) -> None:
    serving_home.deployed("linear, text", "late")
    assert serving_home.engine.predict("late", [ROW])[0].model == "late/1"
    reference = serving_home.promoted("boosting, text", "late")
    for digest in serving_home.models.resolve(reference).manifest.files.values():
        serving_home.objects.delete(digest)
    serving_home.endpoints.deploy("late", reference)
    assert serving_home.engine.predict("late", [ROW])[0].model == "late/1"


def test_law_2_a_deployment_elsewhere_is_seen_in_time(serving_home: ServingHome) -> None:
    serving_home.deployed("linear, text", "late")
    serving_home.engine.start()
    second = serving_home.promoted("boosting, text", "late")
    deadline = serving_home.clock.now() + timedelta(seconds=10)
    serving_home.catalog.write(lambda: None)
    other = ServingHome(*serving_home.place)  # as another process would open it
    other.endpoints.deploy("late", second)
    other.close()
    while serving_home.engine.predict("late", [ROW])[0].model != second:
        assert serving_home.clock.now() < deadline


def test_errors_are_of_the_closed_tree(late_home: ServingHome) -> None:
    for body in (b"", b"{", b"[]", b"null", b'"rows"', b"\xff\xfe", b'{"rows": NaN}', b"[" * 100_000):
        with pytest.raises(TidegateError) as error:
            late_home.engine.predict_bytes("late", body)
        assert error.value.status == 400
