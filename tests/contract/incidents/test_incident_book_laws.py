"""The numbered laws of the book of incidents, on both catalogs."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.contract.incidents.told import BROKEN, kinds, log_of, tell
from tests.postgres import catalog_on
from tidegate.events.store import cursors
from tidegate.incidents.controller import CONSUMER, IncidentController
from tidegate.incidents.records import IncidentStory
from tidegate.incidents.store import SqlIncidents, entries, incidents
from tidegate.kernel.errors import Conflict, Unavailable
from tidegate.kernel.settings import Settings
from tidegate.workspace import LocalWorkspace, open_local

FACTS = st.sampled_from(
    [
        ("monitors.episode_opened", "one", BROKEN),
        ("monitors.episode_opened", "two", {**BROKEN, "episode": "e2", "severity": "information"}),
        ("monitors.episode_updated", "two", {**BROKEN, "episode": "e2"}),
        ("monitors.episode_closed", "one", {**BROKEN, "summary": "back"}),
        ("rollouts.rolled_back", "one", {"rollout": "r1", "version": "m/2"}),
        ("loop.retraining_suppressed", "one", {"reason": "an input is broken"}),
        ("loop.retraining_suppressed", "two", {}),
        ("models.promoted", "m/2", {}),
    ]
)


@pytest.fixture(params=["sqlite", "postgres"])
def space(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[LocalWorkspace]:
    """A home."""
    catalog = catalog_on(request.param, request)
    with open_local(Settings(home=str(tmp_path / "home"), catalog=catalog)) as opened:
        yield opened


def controller(space: LocalWorkspace, batch: int = 500) -> IncidentController:
    store = SqlIncidents(space.storage.catalog)
    return IncidentController(store=store, book=space.incident_book, events=log_of(space), batch=batch)


def read_all(space: LocalWorkspace, batch: int = 500) -> list[IncidentStory]:
    """Read every fact, in steps of so many; all incidents, the oldest first."""
    one = controller(space, batch)
    while one.step() is not None:
        pass
    return [space.incidents.get(each.id) for each in reversed(space.incidents.list().items)]


def forget(space: LocalWorkspace, everything: bool) -> None:
    """Read the facts from the first again, and where that is asked for without any incident."""

    def work() -> None:
        with space.storage.catalog.connect() as connection:
            connection.execute(cursors.delete().where(cursors.c.consumer == CONSUMER))
            for each in (incidents, entries) if everything else ():
                connection.execute(each.delete())

    space.storage.catalog.write(work)


def test_law_1_the_same_cause_opens_no_second_one(space: LocalWorkspace) -> None:
    for _ in range(2):
        tell(space, "monitors.episode_opened", "late", **BROKEN)
    (story,) = read_all(space)
    assert [entry.kind for entry in story.timeline] == ["opened", "seen"]
    space.incidents.resolve(story.id, reason="mended")
    tell(space, "monitors.episode_updated", "late", **BROKEN)
    tell(space, "monitors.episode_closed", "late", **BROKEN)
    (story,) = read_all(space)
    assert [entry.kind for entry in story.timeline] == ["opened", "seen", "resolved", "seen", "seen"]
    assert (story.state, story.automatic, story.resolution) == ("resolved", False, "mended")


@settings(max_examples=12, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(facts=st.lists(FACTS, max_size=8), batch=st.integers(1, 5))
def test_law_2_facts_read_again_change_nothing(
    space: LocalWorkspace, facts: list[tuple[str, str, dict[str, object]]], batch: int
) -> None:
    forget(space, everything=True)
    start = log_of(space).last_position()
    space.storage.catalog.write(lambda: log_of(space).advance(CONSUMER, start))
    for kind, subject, data in facts:
        tell(space, kind, subject, **data)
    once = read_all(space, batch)
    said = kinds(space)
    forget(space, everything=False)
    space.storage.catalog.write(lambda: log_of(space).advance(CONSUMER, start))
    assert read_all(space) == once
    assert kinds(space) == said
    causes = [each.cause for each in once]
    assert len(causes) == len(set(causes))
    for story in once:
        assert story.timeline[0].kind == "opened"
        assert [entry.kind for entry in story.timeline].count("resolved") == (story.state == "resolved")


def test_law_3_a_change_its_entry_and_its_fact_are_one(space: LocalWorkspace) -> None:
    tell(space, "monitors.episode_opened", "late", **BROKEN)
    (before,) = read_all(space)
    said = kinds(space)

    def broken(move: str) -> None:
        getattr(space.incident_book, move)(before.id, "because")
        raise Unavailable("the database is gone")

    for move in ("acknowledge", "resolve", "note"):
        with pytest.raises(Unavailable):
            space.storage.catalog.write(lambda move=move: broken(move))  # type: ignore[misc]
    assert space.incidents.get(before.id) == before
    assert kinds(space) == said


def test_a_controller_that_lost_its_lease_opens_nothing(space: LocalWorkspace) -> None:
    tell(space, "monitors.episode_opened", "late", **BROKEN)
    lost = space.storage.leases.acquire("controllers", "one", 5.0)
    assert lost is not None
    space.storage.leases.release(lost)
    space.storage.leases.acquire("controllers", "another", 5.0)
    with pytest.raises(Conflict, match="has passed to another holder"):
        controller(space).step(lost.fence)
    assert space.incidents.list().items == []
    assert log_of(space).cursor(CONSUMER) == 0
