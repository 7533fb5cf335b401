"""Laws of `DriftController`, and what it finds in days that change."""

from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from msgspec.structs import replace

from tests.contract.monitors.windy_days import REFERENCE, Change, log_days
from tests.contract.predictions.logged_home import DAY, START, LoggedHome
from tidegate.kernel.clock import to_micros
from tidegate.kernel.errors import Conflict
from tidegate.monitors.drift_records import DriftSettings, Episode, Reference
from tidegate.monitors.judging import diagnose
from tidegate.monitors.progress import Outcome

KILOMETRES = Change(REFERENCE + 3, REFERENCE + 9, wind=1.609344)


def watch(home: LoggedHome, **settings: Any) -> None:
    """Take the first days for reference."""
    wanted = DriftSettings(reference=Reference(windows=REFERENCE), **settings)
    home.catalog.write(lambda: home.drift.set_settings("windy", wanted))


def pass_days(home: LoggedHome, days: int) -> None:
    """Let so many days pass since the first one, and everything be judged."""
    home.clock.present = START + days * DAY
    home.settle()
    home.judge()


def shown(home: LoggedHome) -> list[tuple[Any, ...]]:
    """The episodes without their ids, oldest first."""
    found = home.drift.episodes("windy", False, 100, "")
    return sorted(
        (each.kind, each.column, (each.opened - START).days, (each.last - START).days,
         None if each.closed is None else (each.closed - START).days, each.severity, each.diagnosis)
        for each in found
    )  # fmt: skip


def open_episodes(home: LoggedHome) -> list[Episode]:
    """Those that are not over."""
    return home.drift.episodes("windy", True, 100, "")


def test_a_unit_change_is_one_episode_that_is_broken_input_and_ends(watched: LoggedHome) -> None:
    watch(watched, quiet=3)
    log_days(watched.log, range(REFERENCE + 7), KILOMETRES)
    pass_days(watched, REFERENCE + 10)
    episode = open_episodes(watched)[0]
    assert (episode.kind, episode.column, episode.severity, episode.diagnosis) == (
        "feature", "wind", "incident", "broken_input",
    )  # fmt: skip
    assert "miles to kilometres" in episode.summary
    assert (episode.opened - START).days <= KILOMETRES.since + 2
    log_days(watched.log, range(REFERENCE + 7, REFERENCE + 18), KILOMETRES)
    pass_days(watched, REFERENCE + 25)
    assert [line[:2] for line in shown(watched)] == [("feature", "wind")]
    closed = watched.drift.episodes("windy", False, 10, "")[0]
    assert closed.closed is not None
    assert closed.closed_by == "return"
    assert KILOMETRES.until <= (closed.closed - START).days <= KILOMETRES.until + 6
    told = [event for event in watched.facts() if event.type.startswith("tidegate.monitors.episode")]
    assert [event.type.rpartition("_")[2] for event in told] == ["opened", "closed"]
    assert told[0].subject == "windy"
    assert told[0].data == {
        "episode": closed.id,
        "kind": "feature",
        "column": "wind",
        "severity": "incident",
        "diagnosis": "broken_input",
        "summary": closed.summary,
    }


def test_it_is_behind_until_everything_finished_is_counted_and_judged(watched: LoggedHome) -> None:
    drift = watched.drift_controller()
    assert not drift.behind("windy")
    log_days(watched.log, range(2), rows=5)
    assert not drift.behind("windy"), "no window has ended yet"
    watched.clock.present = START + 2 * DAY
    assert drift.behind("windy"), "nobody has counted the rows"
    watched.settle()
    assert drift.behind("windy"), "nobody has judged the windows"
    watched.judge()
    assert not drift.behind("windy")


@pytest.mark.parametrize(
    ("change", "column", "reason"),
    [
        (Change(REFERENCE + 3, nulls=0.4), "carrier", "null in"),
        (Change(REFERENCE + 3, stranger=0.4), "carrier", "such as ??"),
    ],
)
def test_nulls_and_strangers_are_broken_input(watched: LoggedHome, change: Change, column: str, reason: str) -> None:
    watch(watched)
    log_days(watched.log, range(REFERENCE + 9), change)
    pass_days(watched, REFERENCE + 12)
    broken = [each for each in open_episodes(watched) if each.diagnosis == "broken_input"]
    assert [each.column for each in broken] == [column]
    assert reason in broken[0].summary


def test_other_inputs_while_performance_holds_are_information(watched: LoggedHome) -> None:
    watch(watched)
    log_days(watched.log, range(REFERENCE + 12), Change(REFERENCE + 3, length=1.0))
    pass_days(watched, REFERENCE + 15)
    assert [line[:2] + line[5:] for line in shown(watched)] == [("feature", "length", "information", "covariate_shift")]
    state = watched.drift.watched("windy")
    performance = state.progress.performance(state.episodes, state.settings.quiet)
    told = diagnose("windy", state.episodes, performance, "", None)
    assert (told.verdict, told.performance, told.retraining) == ("covariate_shift", "holds", "not needed")


def test_performance_lost_with_inputs_as_they_were_is_a_concept_change(watched: LoggedHome) -> None:
    watch(watched)
    log_days(watched.log, range(REFERENCE + 10), Change(REFERENCE + 3, upside_down=True))
    pass_days(watched, REFERENCE + 13)
    assert [line[:2] + line[5:] for line in shown(watched)] == [
        ("quality", "performance", "incident", "concept_change")
    ]


def test_a_new_reference_ends_the_episodes_of_the_old(watched: LoggedHome) -> None:
    watch(watched)
    log_days(watched.log, range(REFERENCE + 9), Change(REFERENCE + 3, length=2.0))
    pass_days(watched, REFERENCE + 12)
    assert len(open_episodes(watched)) == 1
    span = Reference(since=START, until=START + 8 * DAY)
    watched.catalog.write(lambda: watched.drift.set_settings("windy", DriftSettings(reference=span)))
    watched.judge()
    found = watched.drift.episodes("windy", False, 10, "")
    assert [each.closed_by for each in found] == ["new reference"]
    log_days(watched.log, range(REFERENCE + 9, REFERENCE + 14), Change(0, length=2.0))
    pass_days(watched, REFERENCE + 17)
    assert [each.column for each in open_episodes(watched)] == ["length"]


def test_a_reference_of_too_few_windows_is_told(watched: LoggedHome) -> None:
    span = Reference(since=START, until=START + 3 * DAY)
    watched.catalog.write(lambda: watched.drift.set_settings("windy", DriftSettings(reference=span)))
    log_days(watched.log, range(5))
    pass_days(watched, 9)
    assert "has 3 windows, and at least 7 are needed" in watched.drift.watched("windy").progress.problem


def test_law_1_episodes_do_not_depend_on_when_steps_were_made(new_catalog: Callable[[], str], tmp_path: Path) -> None:
    changes = Change(REFERENCE + 2, REFERENCE + 8, length=2.0), Change(REFERENCE + 8, upside_down=True, stranger=0.5)
    days = REFERENCE + 14
    at_once, daily = (LoggedHome(tmp_path / name, new_catalog()) for name in ("once", "daily"))
    for home in (at_once, daily):
        watch(home, quiet=3)
    log_days(at_once.log, range(days), *changes)
    pass_days(at_once, days + 3)
    for day in range(days):
        log_days(daily.log, range(day, day + 1), *changes)
        pass_days(daily, day + 1 + day % 3)
    pass_days(daily, days + 3)
    assert shown(at_once) == shown(daily)
    assert len(shown(at_once)) >= 3
    kinds = [Counter(event.type for event in home.facts()) for home in (at_once, daily)]
    assert kinds[0] == kinds[1]
    at_once.close()
    daily.close()


class KilledError(Exception):
    """The process is gone."""


def test_law_2_a_controller_that_is_killed_anywhere_finds_the_same(watched: LoggedHome) -> None:
    watch(watched)
    log_days(watched.log, range(REFERENCE + 8), Change(REFERENCE + 3, stranger=0.5))
    watched.clock.present = START + (REFERENCE + 12) * DAY
    watched.settle()
    stages = Counter[str]()

    def kill(stage: str) -> None:
        stages[stage] += 1
        if stages.total() % 4 == 0:  # in turn after each of the three stages
            raise KilledError

    while True:
        try:
            if watched.drift_controller(observe=kill).step() != 0.0:
                break
        except KilledError:
            continue
    assert set(stages) == {"read", "judged", "saved"}
    assert [line[:3] for line in shown(watched)] == [("feature", "carrier", REFERENCE + 4)]
    told = [event.type for event in watched.facts() if "episode" in event.type]
    assert told == ["tidegate.monitors.episode_opened"]


def test_law_2_one_that_was_overtaken_or_fenced_saves_nothing(watched: LoggedHome) -> None:
    watch(watched)
    log_days(watched.log, range(3))
    watched.clock.present = START + 6 * DAY
    watched.settle()

    def lost(connection: object) -> None:
        raise Conflict("the lease has passed to another holder")

    with pytest.raises(Conflict, match="lease"):
        watched.drift_controller().step(lost)
    before = watched.drift.watched("windy")
    watched.judge()
    with pytest.raises(Conflict, match="another controller"):
        watched.drift.save(before, Outcome(before.progress, [], {}), lambda: None)
    now = watched.drift.watched("windy")
    changed = replace(now.settings, quiet=9)
    watched.catalog.write(lambda: watched.drift.set_settings("windy", changed))
    with pytest.raises(Conflict, match="settings changed"):
        watched.drift.save(now, Outcome(now.progress, [], {}), lambda: None)


def test_law_3_nothing_is_judged_before_it_is_counted(watched: LoggedHome) -> None:
    watch(watched)
    log_days(watched.log, range(2))
    watched.clock.present = START + 6 * DAY
    watched.settle()
    log_days(watched.log, range(1, 2))
    assert watched.judge() == 2  # it takes note of the reference, and judges the inputs of the first day alone
    progress = watched.drift.watched("windy").progress
    assert (progress.inputs_until, progress.labels_until) == (to_micros(START), None)
    watched.settle()
    watched.judge()
    progress = watched.drift.watched("windy").progress
    assert progress.inputs_until == progress.labels_until == to_micros(START + DAY)


def test_law_4_a_step_reads_one_window_once_there_is_a_baseline(watched: LoggedHome) -> None:
    watch(watched)
    log_days(watched.log, range(REFERENCE + 2))
    pass_days(watched, REFERENCE + 5)
    for stored in watched.store.windows("windy", None, 100, None):
        watched.objects.delete(stored.profile)  # reading any of them would now raise
    log_days(watched.log, range(REFERENCE + 2, REFERENCE + 4))
    pass_days(watched, REFERENCE + 7)
    progress = watched.drift.watched("windy").progress
    assert progress.labels_until == progress.inputs_until == watched.store.windows("windy", None, 1, None)[0].key.start
