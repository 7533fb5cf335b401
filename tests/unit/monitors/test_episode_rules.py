"""How signals become episodes, and episodes a verdict."""

from datetime import UTC, datetime, timedelta

from msgspec.structs import replace

from tidegate.monitors.drift_records import Episode
from tidegate.monitors.judging import Signal, diagnose, judge

MONDAY = datetime(2013, 6, 3, tzinfo=UTC)
DAY = timedelta(days=1)
WIND = Signal("feature", "wind", alarmed=True, returned=False, out=4.5, figure="location", psi=0.4)
WORTH = Signal("quality", "performance", alarmed=True, returned=False, out=5.0, figure="performance")


def opened(*signals: Signal) -> list[Episode]:
    """The episodes of a first window, with ids."""
    return [replace(each.episode, id=str(place)) for place, each in enumerate(judge("late", MONDAY, [], signals))]


def test_an_alarm_opens_one_episode_and_nothing_else_does() -> None:
    assert judge("late", MONDAY, [], [WIND._replace(alarmed=False)]) == []
    [changed] = judge("late", MONDAY, [], [WIND])
    assert changed.fact == "opened"
    assert (changed.episode.severity, changed.episode.diagnosis) == ("information", "covariate_shift")
    assert (
        "location is 4.5 standard deviations between windows above the reference, PSI 0.40" in changed.episode.summary
    )


def test_an_open_episode_is_continued_without_a_fact_and_ends_with_one() -> None:
    known = opened(WIND)
    [more] = judge("late", MONDAY + DAY, known, [WIND._replace(alarmed=False, out=-6.0, psi=float("nan"))])
    assert (more.fact, more.episode.last, more.episode.peak, more.episode.psi) == (None, MONDAY + DAY, 6.0, 0.4)
    [over] = judge("late", MONDAY + 2 * DAY, [more.episode], [WIND._replace(alarmed=False, returned=True)])
    assert (over.fact, over.episode.closed, over.episode.closed_by) == ("closed", MONDAY + 2 * DAY, "return")


def test_lost_performance_makes_incidents_of_what_was_information() -> None:
    known = opened(WIND)
    found = {each.episode.kind: each for each in judge("late", MONDAY + DAY, known, [WORTH])}
    assert found["feature"].fact == "updated"
    assert found["feature"].episode.severity == "incident"
    assert found["quality"].fact == "opened"
    assert found["quality"].episode.diagnosis == "covariate_shift"
    both = [replace(each.episode, id=kind) for kind, each in found.items()]
    back = judge("late", MONDAY + 2 * DAY, both, [WORTH._replace(alarmed=False, returned=True)])
    assert {each.episode.kind: (each.fact, each.episode.severity) for each in back} == {
        "feature": ("updated", "information"),
        "quality": ("closed", "incident"),
    }


def test_a_suspicion_lasts_as_long_as_its_episode() -> None:
    [broken] = opened(WIND._replace(suspicion="values look multiplied by 0.447"))
    assert (broken.severity, broken.diagnosis) == ("incident", "broken_input")
    [later] = judge("late", MONDAY + DAY, [broken], [WIND._replace(out=9.0)])
    assert later.episode.diagnosis == "broken_input"
    assert later.episode.summary == broken.summary


def test_verdicts() -> None:
    wind, worth = opened(WIND, WORTH)
    [broken] = opened(WIND._replace(suspicion="odd"))
    cases = {
        "no_change": diagnose("late", [], "holds", "", None),
        "insufficient_labels": diagnose("late", [wind], "unknown", "", None),
        "covariate_shift": diagnose("late", [wind], "holds", "", None),
        "concept_change": diagnose("late", [worth], "lost", "", None),
        "broken_input": diagnose("late", [broken, worth], "lost", "", None),
    }
    assert {name: told.verdict for name, told in cases.items()} == {name: name for name in cases}
    assert {name: told.retraining for name, told in cases.items()} == {
        "no_change": "not needed",
        "insufficient_labels": "undecided",
        "covariate_shift": "not needed",
        "concept_change": "advised",
        "broken_input": "blocked",
    }
    assert diagnose("late", [wind, worth], "lost", "", None).retraining == "advised"
