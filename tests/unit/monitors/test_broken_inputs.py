"""What looks broken about a column, and what does not."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta

import numpy as np
import polars as pl
import pytest
from msgspec.structs import replace
from numpy.typing import NDArray

from tidegate.monitors import baseline, broken, columns
from tidegate.monitors.baseline import Baseline
from tidegate.monitors.drift_records import ColumnType
from tidegate.monitors.records import DAY
from tidegate.statistics import drift

Floats = NDArray[np.float64]

START = datetime(2013, 6, 3, tzinfo=UTC)


def day_of(seed: int) -> dict[str, Floats]:
    """A day of columns of numbers: one of countless values, one of few."""
    rng = np.random.default_rng(seed)
    return {"weight": 70 + 12 * rng.normal(size=200), "celsius": np.round(15 + 5 * rng.normal(size=200) + rng.normal())}


@pytest.fixture(scope="module")
def known() -> Baseline:
    """Four weeks."""
    days = [(START + timedelta(days=day), pl.DataFrame(day_of(day))) for day in range(28)]
    return baseline.build("four weeks", DAY, days)


def said(known: Baseline, column: str, change: Callable[[Floats], Floats], *, alone: bool = True) -> str:
    """The suspicion of a column that changed from one day to the next."""
    frame = pl.DataFrame(day_of(99)).with_columns(pl.Series(column, change(day_of(99)[column])))
    values = columns.typed(frame, known.types())
    measured = known.measure(values)
    streams = [value for one in measured for value in one.values]
    noise = [value for one in measured for value in one.noise]
    out = drift.deviations(known.calibrated(), np.array(streams), np.array(noise))
    named = [stream.figure for stream in known.streams() if stream.column == column]
    mine = [place for place, stream in enumerate(known.streams()) if stream.column == column]
    index = [each.column for each in known.columns].index(column)
    window = replace(measured[index].window, out=dict(zip(named, out[mine].tolist(), strict=True)))
    numbers = columns.finite(values[column])
    return broken.suspicion(known.columns[index], window, numbers, sudden=True, alone=alone)


def test_an_ordinary_day_looks_sound(known: Baseline) -> None:
    assert said(known, "weight", lambda values: values) == ""
    assert said(known, "celsius", lambda values: values) == ""


def test_another_unit_is_named(known: Baseline) -> None:
    assert "kilograms to pounds" in said(known, "weight", lambda values: values * 2.204623)
    assert "degrees Celsius to Fahrenheit" in said(known, "celsius", lambda values: values * 1.8 + 32)
    assert "multiplied by about 12" in said(known, "weight", lambda values: values * 12)


def test_a_column_of_countless_values_must_be_alone(known: Baseline) -> None:
    assert said(known, "weight", lambda values: values * 2.204623, alone=False) == ""
    assert "Fahrenheit" in said(known, "celsius", lambda values: values * 1.8 + 32, alone=False)


def test_nulls_and_a_frozen_column(known: Baseline) -> None:
    assert said(known, "weight", lambda values: np.where(values > 70, np.nan, values)).startswith("null in")
    assert "one value only" in said(known, "weight", lambda values: np.full_like(values, 70.0))


def test_a_shift_is_not_a_mistake(known: Baseline) -> None:
    assert said(known, "weight", lambda values: values + 30) == ""
    assert said(known, "celsius", lambda values: values + 4) == ""


def test_inputs_are_taken_out_whatever_they_hold() -> None:
    texts = pl.Series(["""{"a": 1, "b": "x", "c": null}""", """{"a": "y", "c": true}""", """{"b": "1e999"}"""])
    names = ["a", "b", "c", "d"]
    frame = columns.taken_out(texts, names)
    assert frame.rows() == [("1", "x", None, None), ("y", None, "true", None), (None, "1e999", None, None)]
    typed = columns.typed(frame, {"a": "number", "b": "number", "c": "text"})
    assert typed["a"].to_list() == [1.0, None, None]
    assert typed["b"].to_list() == [None, None, None]
    assert columns.names_in(texts) == ["a", "b", "c"]


def test_columns_of_numbers_come_as_numbers_and_others_as_they_would_be_without() -> None:
    lines = ["""{"a": 1, "b": 1, "c": 1, "d": [1, {"e": 2.5}]}""", """{"a": -0.5, "b": "12"}""", """{"c": true}"""]
    texts, names = pl.Series([*lines, None]), ["a", "b", "c", "d"]
    plain, read = columns.taken_out(texts, names), columns.taken_out(texts, names, set(names))
    assert read["a"].to_list() == [1.0, -0.5, None, None]
    assert read.drop("a").equals(plain.drop("a"))
    assert plain["d"].to_list() == ["""[1,{"e":2.5}]""", None, None, None]
    types: dict[str, ColumnType] = dict.fromkeys(names, "number")
    assert columns.typed(read, types).equals(columns.typed(plain, types))
    assert columns.typed(read, types)["b"].to_list() == [1.0, 12.0, None, None]
