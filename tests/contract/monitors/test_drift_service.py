"""The operations about drift, in every way to reach a home."""

import math
from typing import TYPE_CHECKING

import polars as pl
import pytest

from tests.contract.monitors.windy_days import REFERENCE, Change, inputs_of, log_days
from tests.contract.predictions.logged_home import DAY, START
from tidegate.kernel.errors import Invalid, NotFound

if TYPE_CHECKING:
    from tidegate.testing.workspaces import Home
    from tidegate.workspace import Workspace


def reference_frame(days: int = REFERENCE) -> pl.DataFrame:
    """What a model might have learnt from: the days before the first one."""
    import numpy as np

    frames = []
    for day in range(days):
        rng: np.random.Generator = np.random.default_rng(1000 + day)
        frames.append(pl.DataFrame(inputs_of(rng, 40, None)).with_columns(at=pl.lit(START + (day - days) * DAY)))
    return pl.concat(frames).with_columns(late=pl.lit(value=True))


def test_a_frame_as_reference_a_broken_unit_and_its_diagnosis(home: "Home") -> None:
    monitors = home.workspace.monitors
    assert monitors.set_segments("windy", columns=("carrier",)).segments == ("carrier",)
    settings = monitors.set_reference("windy", reference_frame(), at="at")
    assert settings.reference.at == "at"
    assert monitors.settings("windy") == settings
    log_days(home.inside.log, range(6), Change(2, wind=0.44704), rows=40)
    home.inside.controller_loop.until_idle()

    newest = monitors.features("windy")
    assert (newest.start, newest.rows) == (START + 5 * DAY, 40)
    assert "frame of 560 rows" in newest.reference
    columns = {each.column: each for each in newest.columns}
    assert set(columns) == {"wind", "length", "carrier"}  # what the inputs have; the label is none of them
    wind, carrier = columns["wind"], columns["carrier"]
    assert (wind.type, carrier.type) == ("number", "text")
    assert "miles an hour to metres a second" in wind.suspicion
    assert wind.unseen > 0.8
    assert wind.out["unseen"] > 3 > abs(carrier.out["nulls"])
    assert min(wind.psi, wind.jsd, wind.ks) > 0.1
    assert math.isnan(carrier.ks)
    assert math.isnan(carrier.mean)
    assert sum(wind.bins) == sum(carrier.categories.values()) == 40
    assert "natural log for PSI" in newest.rule

    episodes = monitors.episodes("windy", open_only=True).items
    assert [(each.kind, each.column, each.severity) for each in episodes] == [("feature", "wind", "incident")]
    assert monitors.episodes("windy", limit=1).next is None
    told = monitors.diagnosis("windy")
    assert (told.verdict, told.columns, told.retraining) == ("broken_input", ("wind",), "blocked")
    assert told.as_of == START + 6 * DAY
    assert "do not retrain" in told.advice

    first = monitors.segments("windy", limit=4)
    rest = monitors.segments("windy", limit=4, cursor=first.next or "")
    windows = [*first.items, *rest.items]
    assert [window.start for window in windows] == [START + day * DAY for day in range(5, -1, -1)]
    for window in windows:
        assert sum(each.predictions for each in window.segments) == 40
        assert {each.value for each in window.segments} <= {"UA", "B6", "EV", "DL"}
        assert window.segments[0].accuracy is not None
        assert window.segments[0].accuracy.n == window.segments[0].labels > 0
    assert len(monitors.segments("windy", since=START + 5 * DAY).items) == 1


def test_before_there_is_anything_to_compare(workspace: "Workspace") -> None:
    monitors = workspace.monitors
    told = monitors.diagnosis("quiet")
    assert (told.verdict, told.performance, told.as_of) == ("insufficient_labels", "unknown", None)
    assert "Post labels" in told.advice
    assert monitors.episodes("quiet").items == []
    assert monitors.segments("quiet").items == []
    with pytest.raises(NotFound, match="not complete yet"):
        monitors.features("quiet")
    assert monitors.settings("quiet").alarm_every == 100


def test_what_cannot_be_a_setting_is_refused(workspace: "Workspace") -> None:
    monitors = workspace.monitors
    with pytest.raises(Invalid, match="at most 8"):
        monitors.set_segments("late", columns=tuple("abcdefghi"))
    with pytest.raises(Invalid, match="named twice"):
        monitors.set_segments("late", columns=("a", "a"))
    with pytest.raises(Invalid, match="either"):
        monitors.use_reference("late")
    with pytest.raises(Invalid, match="either"):
        monitors.use_reference("late", windows=28, until=START)
    with pytest.raises(Invalid, match="outside 7"):
        monitors.use_reference("late", windows=3)
    with pytest.raises(Invalid, match="is empty"):
        monitors.use_reference("late", since=START, until=START)
    with pytest.raises(Invalid, match="other way round"):
        monitors.use_reference("late", frame="a" * 64)
    with pytest.raises(NotFound, match="put the frame first"):
        monitors.use_reference("late", frame="a" * 64, at="at")
    with pytest.raises(Invalid, match="digest"):
        monitors.use_reference("late", frame="nonsense", at="at")
    with pytest.raises(Invalid, match="labels_after"):
        monitors.set_detection("late", labels_after=60)
    with pytest.raises(Invalid, match="alarm_every"):
        monitors.set_detection("late", alarm_every=0)
    with pytest.raises(Invalid, match="no column 'when'"):
        monitors.set_reference("late", reference_frame(), at="when")
    with pytest.raises(Invalid, match="time zone"):
        monitors.set_reference("late", reference_frame().with_columns(pl.lit(1).alias("at")), at="at")
    chosen = monitors.set_detection("late", alarm_every=50, inputs_after=0, labels_after=3600, quiet=2)
    assert (chosen.alarm_every, chosen.inputs_after, chosen.labels_after, chosen.quiet) == (50, 0, 3600, 2)
    assert monitors.use_reference("late", windows=10).reference.since is not None
    assert monitors.settings("late").alarm_every == 50


def test_an_object_that_is_no_frame_is_told_and_stops_nothing(home: "Home") -> None:
    digest = home.workspace.objects.put(b"no parquet").digest
    home.workspace.monitors.use_reference("windy", frame=digest, at="at")
    log_days(home.inside.log, range(2), rows=5)
    home.inside.controller_loop.until_idle()
    told = home.workspace.monitors.diagnosis("windy")
    assert any("frame" in each for each in told.evidence)
