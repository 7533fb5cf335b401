"""Laws of `QualityController`, each against windows that are computed from everything at once."""

import math
from collections.abc import Callable
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from tests.contract.monitors.brute_force import orphans_of, shown, windows_of
from tests.contract.predictions.logged_home import DAY, DELAY, LATE, START, LoggedHome
from tidegate.kernel.clock import to_micros
from tidegate.kernel.errors import Conflict
from tidegate.monitors.records import Changes, QualityWindow
from tidegate.predictions.records import LabelRow, PredictionRow, Shadow, Source

FLAGS = Source("flags", "f" * 32, "broken", 2, "stable", (False, True))
NEWER = Source("late", "c" * 32, "late-arrival", 4, "stable", ("late", "on time"))
CANARY = Source("late", "b" * 32, "late-arrival", 5, "canary", ("late", "on time"))
SOURCES = (LATE, NEWER, CANARY, DELAY, FLAGS)
HOUR = 3_600_000_000


def windows_in(home: LoggedHome) -> list[QualityWindow]:
    """Every window that the home shows."""
    endpoints = {source.endpoint for source in SOURCES}
    return [found.window for endpoint in endpoints for found in home.store.windows(endpoint, None, 1000, None)]


def assert_true(home: LoggedHome, rows: list[PredictionRow], labels: list[LabelRow], **seconds: int) -> None:
    """The home shows what everything at once comes to, and keeps no object beside what it needs."""
    expected = windows_of(rows, labels, seconds)
    found = shown(windows_in(home))
    assert found.keys() == expected.keys()
    for key, said in expected.items():
        assert found[key] == {
            name: pytest.approx(value, nan_ok=True) if name not in ("unknown", "missing") else value
            for name, value in said.items()
        }, key
    orphans = {endpoint: home.store.latest(endpoint).orphans for endpoint in {one.endpoint for one in SOURCES}}
    assert {endpoint: count for endpoint, count in orphans.items() if count} == orphans_of(rows, labels)


def some_row(home: LoggedHome, source: Source, hours: float, pick: int) -> PredictionRow:
    """A prediction among plain and odd ones."""
    share = (pick % 7) / 6
    shares = [1 - share, share] if pick % 11 else [math.nan, math.nan]
    value: Any = (
        [0.5 * pick, math.nan, math.inf, -3][min(3, pick % 9)] if source is DELAY else source.classes[pick % 2 :][:1]
    )
    if isinstance(value, tuple):
        value = value[0] if pick % 13 else None
    return PredictionRow(
        home.log.ids.new(),
        to_micros(START) + round(hours * HOUR),
        source,
        b"{}",
        value,
        None if source is DELAY else shares,
        pick * 17 % 1000,
        "ok" if pick % 10 else "error",
        {"carrier": 1} if pick % 4 == 0 else None,
        {"wind": pick} if pick % 6 == 1 else None,
        None,
        some_shadows(source, pick),
    )


def some_shadows(source: Source, pick: int) -> list[Shadow] | None:
    """What other variants of an endpoint say to every second row."""
    if pick % 2 or source not in (LATE, CANARY):
        return None
    others = [NEWER, CANARY if source is LATE else LATE][: 1 + pick % 3]
    return [Shadow(one, one.classes[pick % 4 // 2] if pick % 5 else None, [0.25, 0.75]) for one in others]


def some_value(source: Source, pick: int) -> Any:
    """A label among plain and odd ones."""
    if source is DELAY:
        return [1.5, 2, math.nan, math.inf, -4.0][pick % 5]
    if source is FLAGS:
        return [True, False, 1, 0.0][pick % 4]
    return ["late", "on time", "unheard of"][pick % 3]


actions = st.lists(
    st.tuples(
        st.sampled_from(
            ["predict", "predict", "predict", "label", "label", "early", "again", "stray", "seal", "step", "length"]
        ),
        st.integers(0, len(SOURCES) - 1),
        st.floats(-80, 80, allow_nan=False).map(lambda hours: round(hours, 3)),
        st.integers(0, 500),
    ),
    min_size=1,
    max_size=40,
)


class History:
    """A home to which things happen, and the plain list of what happened."""

    def __init__(self, home: LoggedHome) -> None:
        self.home = home
        self.rows: list[PredictionRow] = []
        self.labels: list[LabelRow] = []
        self.seconds: dict[str, int] = {}
        self.controller = home.controller(batch=3)

    def act(self, what: str, source: Source, hours: float, pick: int) -> None:
        """One thing happens."""
        if what == "predict":
            self._predict([some_row(self.home, source, hours + extra, pick + extra) for extra in range(pick % 4 + 1)])
        elif what == "label" and self.rows:
            row = self.rows[pick % len(self.rows)]
            self._label(row.id, row.source, hours, pick)
        elif what == "early":
            row = some_row(self.home, source, hours, pick)
            self._label(row.id, source, hours, pick)
            self.controller.step()
            self._predict([row])
        elif what == "again" and self.labels:
            self._log(self.labels[pick % len(self.labels)])
        elif what == "stray":
            self._label(["f" * 32, "e" * 32, "0" * 32][pick % 3], source, hours, pick)
        elif what == "seal":
            self.home.seal()
        elif what == "step":
            self.controller.step()
        elif what == "length":
            chosen = [3600, 86_400, 7 * 86_400, 5000][pick % 4]
            self.seconds[source.endpoint] = chosen
            self.home.catalog.write(lambda: self.home.store.set_seconds(source.endpoint, chosen))

    def _predict(self, rows: list[PredictionRow]) -> None:
        self.rows += rows
        self.home.log.append(rows)

    def _label(self, prediction_id: str, source: Source, hours: float, pick: int) -> None:
        seen = to_micros(START) + round(hours) * HOUR
        self._log(LabelRow(prediction_id, source.endpoint, some_value(source, pick), seen, seen + pick % 3))

    def _log(self, label: LabelRow) -> None:
        self.labels.append(label)
        self.home.log.append_labels([label])


OF_EVERYTHING = ["predict", "label", "early", "predict", "seal", "stray", "step", "again", "length"]


@settings(max_examples=25)
@given(actions)
@example([(OF_EVERYTHING[turn % 9], turn % len(SOURCES), turn * 1.7 - 40, turn) for turn in range(60)])
def test_law_1_windows_are_those_of_a_computation_from_scratch(
    new_catalog: Callable[[], str], acts: list[tuple[str, int, float, int]]
) -> None:
    with TemporaryDirectory() as folder:
        home = LoggedHome(Path(folder), new_catalog())
        history = History(home)
        try:
            for what, source, hours, pick in acts:
                history.act(what, SOURCES[source], hours, pick)
            home.settle(batch=4)
            assert_true(home, history.rows, history.labels, **history.seconds)
            objects = set(home.objects.list())
            sealed = {part.digest for part in home.index.list()}
            assert len(objects - sealed) == len(windows_in(home)) + len(orphans_of(history.rows, history.labels))
        finally:
            home.close()


def test_a_late_label_changes_the_old_window_and_no_other(watched: LoggedHome) -> None:
    ids = [watched.predict(watched.row(START + day * DAY, shares=[0.8, 0.2]))[0] for day in range(3)]
    watched.settle()
    before = {found.key: found for found in watched.store.windows("late", None, 10, None)}
    watched.clock.present += DAY * 30
    watched.label(ids[0], "late", observed=START + DAY * 30)
    watched.settle()
    after = {found.key: found for found in watched.store.windows("late", None, 10, None)}
    changed = [key for key in after if after[key].profile != before[key].profile]
    assert [key.start for key in changed] == [to_micros(START)]
    accuracy = after[changed[0]].window.accuracy
    assert accuracy is not None
    assert (accuracy.value, accuracy.n) == (1.0, 1)


def test_law_2_a_step_reads_only_the_windows_that_the_news_touches(watched: LoggedHome) -> None:
    ids = [watched.predict(watched.row(START + day * DAY))[0] for day in range(4)]
    watched.settle()
    for stored in watched.store.windows("late", None, 10, None):
        if stored.key.start != to_micros(START + DAY):
            watched.objects.delete(stored.profile)  # reading any of them would now raise
    watched.seal()
    watched.label(ids[1], "late")
    watched.settle()
    labels = [found.window.labels for found in watched.store.windows("late", None, 10, None)]
    assert labels == [0, 0, 1, 0]


def test_law_2_marks_do_not_grow_with_sealed_segments(watched: LoggedHome) -> None:
    for day in range(5):
        prediction = watched.predict(watched.row(START + day * DAY))[0]
        watched.label(prediction, "late")
        watched.settle()
        watched.seal()
    watched.settle()
    assert {topic: mark.numbers for topic, mark in watched.store.state().marks.items()} == {
        "predictions": {},
        "labels": {},
    }


def test_nothing_new_changes_nothing(watched: LoggedHome) -> None:
    watched.predict(watched.row())
    watched.settle()
    revision = watched.store.state().revision
    controller = watched.controller()
    assert controller.step() >= 5.0
    assert controller.step() >= 5.0
    assert watched.store.state().revision == revision


def test_law_3_a_controller_that_was_overtaken_saves_nothing(watched: LoggedHome) -> None:
    prediction = watched.predict(watched.row())[0]
    revision = watched.store.state().revision
    watched.settle()
    with pytest.raises(Conflict, match="another controller"):
        watched.store.save(Changes(marks={}), revision)
    watched.label(prediction, "late")

    def overtake(stage: str) -> None:
        if stage == "stored":
            watched.settle()

    slow = watched.controller(observe=overtake)
    with pytest.raises(Conflict):
        slow.step()
    assert slow.step() > 0
    assert watched.store.latest("late").newest[0].labels == 1


def test_law_3_a_fence_refuses(watched: LoggedHome) -> None:
    watched.predict(watched.row())

    def lost(connection: object) -> None:
        raise Conflict("the lease has passed to another holder")

    with pytest.raises(Conflict, match="lease"):
        watched.controller().step(lost)
    assert windows_in(watched) == []
    watched.settle()
    assert len(windows_in(watched)) == 1


def test_law_4_orphans_are_shown_and_wait(watched: LoggedHome) -> None:
    row = watched.row()
    watched.label(row.id, "late")
    watched.label(watched.predict(watched.row(source=DELAY, value=3.0))[0], "late")  # of another endpoint
    watched.settle()
    latest = watched.store.latest("late")
    assert latest.orphans == 2
    assert row.id in latest.orphan_examples
    assert latest.newest == []
    watched.predict(row)
    watched.settle()
    latest = watched.store.latest("late")
    assert (latest.orphans, latest.newest[0].labels) == (1, 1)
    assert latest.labelled == latest.newest


def test_an_endpoint_that_nobody_asked_has_no_windows(watched: LoggedHome) -> None:
    latest = watched.store.latest("silent")
    assert (latest.newest, latest.labelled, latest.orphans, latest.window_seconds) == ([], [], 0, 86_400)


def test_labels_that_matured_are_counted_by_when_their_windows_were(watched: LoggedHome) -> None:
    for day in range(4):
        at = START + day * DAY
        ids = watched.predict(
            *(watched.row(at) for _ in range(3)), watched.row(at, CANARY, shadows=[Shadow(LATE, "late")])
        )
        for name in ids[: 2 + day % 2]:
            watched.label(name, "late", observed=at)
        watched.label(ids[3], "late", observed=at)  # the shadow's window has it too, and is not counted
    watched.settle()
    days = [to_micros(START + day * DAY) for day in range(5)]
    assert watched.store.labelled("late", None, days[4]) == 3 + 4 + 3 + 4
    assert watched.store.labelled("late", days[1], days[3]) == 4 + 3
    assert watched.store.labelled("late", days[1] + 1, days[3] - 1) == 0
    assert watched.store.labelled("delay", None, days[4]) == 0
