"""Training set, oracle and replay agree on random rows: ties, late corrections, boundaries, nulls, duplicates."""

import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import polars as pl
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.unit.features.tables import Served, applied, instant, over, table, training_set
from tidegate.features.expressions import col
from tidegate.features.records import Aggregate, AppliedService, FeatureView
from tidegate.kernel.clock import to_micros

WINDOWS = (9,)
TIMES = st.integers(0, 30)
ENTITIES = st.sampled_from(["a", "b", None])
ROW = st.fixed_dictionaries(
    {
        "entity": ENTITIES,
        "second": st.one_of(st.none(), st.integers(0, 1), st.integers(0, 1)),
        "event": st.one_of(TIMES, TIMES, TIMES, st.none()),
        "late": st.one_of(st.integers(0, 30), st.none()),
        "number": st.one_of(st.none(), st.integers(-5, 5), st.integers(2**60, 2**62)),
        "real": st.one_of(st.none(), st.floats(-1e6, 1e6)),
        "flag": st.one_of(st.none(), st.booleans()),
    }
)
LABEL = st.fixed_dictionaries(
    {"entity": st.sampled_from(["a", "b", "c", None]), "second": st.sampled_from([0, 1, None]), "at": TIMES}
)
VIEW = st.fixed_dictionaries(
    {
        "kind": st.sampled_from(["state", "windowed"]),
        "compound": st.booleans(),
        "known": st.sampled_from(["at once", "delay", "column"]),
        "ttl": st.sampled_from([None, 0, 10]),
    }
)


def view_of(how: dict[str, Any]) -> FeatureView:
    """The view that was drawn."""
    features: dict[str, Any] = {"number": col("number"), "real": col("real") * 2, "flag": col("flag")}
    if how["kind"] == "windowed":
        features = {
            f"{kind}_{name}_{width}": over(kind, col(name), width)
            for kind in ("sum", "mean", "min", "max")
            for name in ("number", "real", "flag")
            for width in WINDOWS
        }
        features |= {f"count_{width}": over("count", None, width) for width in WINDOWS}
    return FeatureView(
        name="view",
        source="source",
        entity=("entity", "second") if how["compound"] else ("entity",),
        event_time="event",
        known_at="known" if how["known"] == "column" else None,
        delay=5 if how["known"] == "delay" else None,
        ttl=how["ttl"] if how["kind"] == "state" else None,
        features=features,
    )


def oracle(view: FeatureView, rows: Sequence[dict[str, Any]], label: dict[str, Any]) -> dict[str, Any]:
    """What is known of the label's entity at its instant, one row after the other."""
    names, at = view.entity, label["at"]
    mine = [row for row in rows if all(row[n] is not None and row[n] == label[n] for n in names) and usable(view, row)]
    known = [row for row in mine if since(view, row) <= at]
    if None in [label[name] for name in names]:
        return dict.fromkeys(view.features)
    if view.kind == "state":
        past = [row for row in known if row["event"] <= at and (view.ttl is None or row["event"] >= at - view.ttl)]
        newest = max(past, key=lambda row: (row["event"], since(view, row)), default=None)
        if newest is None:
            return dict.fromkeys(view.features)
        real = newest["real"]
        return {"number": newest["number"], "real": None if real is None else real * 2, "flag": newest["flag"]}
    return {name: window(one, known, at) for name, one in view.features.items()}  # type: ignore[arg-type]


def window(one: Aggregate, known: Sequence[dict[str, Any]], at: int) -> Any:
    """An aggregate of rows that are known."""
    rows = [row for row in known if at - one.over <= row["event"] < at]
    if one.kind == "count":
        return len(rows)
    name = one.of.name  # type: ignore[union-attr]
    values = [int(row[name]) if name == "flag" else row[name] for row in rows if row[name] is not None]
    if not values:
        return None
    if one.kind in ("min", "max"):
        return {"min": min, "max": max}[one.kind](values)
    exact = sum(values)
    if isinstance(exact, int) and not -(2**63) <= exact < 2**63:
        return None
    return exact if one.kind == "sum" else float(exact) / len(values)


def usable(view: FeatureView, row: dict[str, Any]) -> bool:
    return row["event"] is not None and (view.known_at is None or row["late"] is not None)


def since(view: FeatureView, row: dict[str, Any]) -> int:
    """Since when a row is known."""
    late = row["late"] if view.known_at is not None else view.delay or 0
    return int(row["event"] + late)


def without_ties(view: FeatureView, rows: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """Of the states of one entity and one time only the first: ties are refused."""
    if view.kind != "state":
        return list(rows)
    first: dict[Any, dict[str, Any]] = {}
    for row in rows:
        key = (
            *[row[name] for name in view.entity],
            row["event"],
            since(view, row) if usable(view, row) else row["late"],
        )
        first.setdefault(key, row)
    return list(first.values())


def source_row(number: int, row: dict[str, Any]) -> dict[str, Any]:
    """The row as the source holds it; `id` tells rows apart."""
    known = None if row["event"] is None or row["late"] is None else row["event"] + row["late"]
    kept = {name: row[name] for name in ("entity", "second", "number", "real", "flag")}
    return {"id": number, **kept, "event": instant(row["event"]), "known": instant(known)}


SCHEMA: dict[str, Any] = {
    "id": pl.Int64, "entity": pl.String, "second": pl.Int64, "number": pl.Int64, "real": pl.Float64, "flag": pl.Boolean,
    "event": pl.Datetime("us", "UTC"), "known": pl.Datetime("us", "UTC"),
}  # fmt: skip


def close(one: Any, two: Any) -> bool:
    """Exactly, but for sums of floats, whose order of addition the oracle does not know."""
    if isinstance(one, float) and isinstance(two, float):
        return abs(one - two) <= 1e-6 * max(1.0, abs(one))
    return type(one) is type(two) and one == two


def both(how: dict[str, Any], rows: list[dict[str, Any]], labels: list[dict[str, Any]]) -> tuple[Any, Any, Any]:
    """The view, its rows, and service and training set over them."""
    view = view_of(how)
    rows = without_ties(view, rows)
    source = [source_row(number, row) for number, row in enumerate(rows)]
    tables = {
        "source": table("source", pl.DataFrame(source, schema=SCHEMA)),
        "labels": table(
            "labels",
            pl.DataFrame(
                [{**one, "at": instant(one["at"]), "label": True} for one in labels],
                schema={"entity": pl.String, "second": pl.Int64, "at": pl.Datetime("us", "UTC"), "label": pl.Boolean},
            ),
        ),
    }
    service = applied([view], tables)
    return (view, rows, source), service, training_set(service, tables, "labels")


CASES = {
    "how": VIEW,
    "rows": st.lists(ROW, min_size=1, max_size=14),
    "labels": st.lists(LABEL, min_size=1, max_size=6),
}


@settings(max_examples=60, deadline=None)
@given(**CASES)
def test_a_training_set_equals_the_oracle(
    how: dict[str, Any], rows: list[dict[str, Any]], labels: list[dict[str, Any]]
) -> None:
    (view, rows, _), _, made = both(how, rows, labels)
    assert made.frame.height == len(labels)
    assert [instant(label["at"]) for label in labels] == made.frame["at"].to_list()
    for got, label in zip(made.frame.select(list(view.features)).to_dicts(), labels, strict=True):
        expected = oracle(view, rows, label)
        assert got.keys() == expected.keys()
        assert all(close(got[name], expected[name]) for name in got), (label, got, expected)


@settings(max_examples=40, deadline=None)
@given(**CASES, shuffle=st.randoms(use_true_random=False))
def test_a_replay_of_pushes_equals_the_training_set_to_the_bit(
    how: dict[str, Any], rows: list[dict[str, Any]], labels: list[dict[str, Any]], shuffle: Any
) -> None:
    """Each row is pushed at the moment from which it is known, each label's question asked at its instant."""
    (view, _, source), service, made = both(how, rows, labels)
    due = [(moment, 0, place) for place, row in enumerate(source) if (moment := known_from(view, row)) is not None]
    asked = [(to_micros(instant(label["at"])), 1, place) for place, label in enumerate(labels)]  # type: ignore[arg-type]
    shuffle.shuffle(due)  # among rows of one moment the order is anybody's
    answers: dict[int, dict[str, Any]] = {}
    with tempfile.TemporaryDirectory() as folder:
        served = Served(service, Path(folder) / "online.db")
        for moment, what, place in sorted(due + asked, key=lambda one: one[:2]):
            if what == 0:
                served.push(0, [source[place]], now=moment)
                again = served.push(0, [source[place]], now=moment)
                assert again.changed == 0, "the same row twice changes nothing"
            else:
                row = {name: labels[place][name] for name in view.entity}
                answers[place] = served.answer([row], [moment])[0]
        served.store.close()
    expected = made.frame.select(list(view.features)).to_dicts()
    assert [answers[place] for place in range(len(labels))] == expected
    check_service(service, answers)


def check_service(service: AppliedService, answers: dict[int, dict[str, Any]]) -> None:
    """Answers hold the inputs of the service and nothing else."""
    assert all(set(answer) == {one.name for one in service.inputs} for answer in answers.values())


def known_from(view: FeatureView, row: dict[str, Any]) -> int | None:
    """When the row is pushed; None for one that is never known."""
    if row["event"] is None or (view.known_at is not None and row["known"] is None):
        return None
    since_ = row["known"] if view.known_at is not None else row["event"]
    return to_micros(since_) + (view.delay or 0)
