"""Facts in the order of commits, and consumers that never go back."""

import threading
from concurrent.futures import ThreadPoolExecutor

import pytest

from tidegate.events.store import EventLog
from tidegate.kernel.clock import SystemClock
from tidegate.kernel.context import Call, current
from tidegate.kernel.ids import IdFactory
from tidegate.storage.catalog import Catalog


def log_of(catalog: Catalog) -> EventLog:
    return EventLog(catalog, SystemClock(), IdFactory(SystemClock()))


def append(catalog: Catalog, log: EventLog, kind: str, subject: str, **data: object) -> None:
    catalog.write(lambda: log.append(kind, subject, **data))


def test_an_event_says_what_happened(catalog: Catalog) -> None:
    log = log_of(catalog)
    token = current.set(Call(actor="ann"))
    append(catalog, log, "tidegate.models.promoted", "late-arrival/3", to="production", number=3, none=None)
    current.reset(token)
    append(catalog, log, "tidegate.models.promoted", "late-arrival/4")
    first, second = log.after(0)
    assert (first.actor, first.subject, first.data) == (
        "ann",
        "late-arrival/3",
        {"to": "production", "number": 3, "none": None},
    )
    assert (second.actor, second.data) == ("local", {})
    assert first.time.tzinfo is not None
    assert (len(first.id), second.id > first.id) == (32, True)


def test_an_event_goes_with_its_transaction(catalog: Catalog) -> None:
    log = log_of(catalog)

    def work() -> None:
        log.append("tidegate.test.done", "x")
        raise ValueError("no")

    with pytest.raises(ValueError, match="no"):
        catalog.write(work)
    assert log.after(0) == []
    assert log.last_position() == 0
    with pytest.raises(RuntimeError):
        log.append("tidegate.test.done", "outside")


def test_events_come_in_pages_and_by_type(catalog: Catalog) -> None:
    log = log_of(catalog)
    for number in range(7):
        append(catalog, log, f"tidegate.{'models' if number % 2 else 'data'}.made", f"{number}")
    append(catalog, log, "tidegateXmodels.made", "not a match")
    page = log.after(0, limit=3)
    rest = log.after(page[-1].position)
    assert [event.subject for event in page + rest] == [*map(str, range(7)), "not a match"]
    assert [event.subject for event in log.after(0, type_prefix="tidegate.models.")] == ["1", "3", "5"]
    assert log.last_position() == rest[-1].position


def test_a_reader_beside_many_writers_misses_nothing(catalog: Catalog, replica: Catalog) -> None:
    done = threading.Event()

    def write(number: int) -> None:
        one = (catalog, replica)[number % 2]
        log = log_of(one)
        for step in range(20):
            append(one, log, "tidegate.test.written", f"{number}", step=step)

    def follow() -> list[tuple[str, object]]:
        log, position, seen = log_of(catalog), 0, list[tuple[str, object]]()
        while True:
            finished = done.is_set()
            events = log.after(position, limit=7)
            for event in events:
                assert event.position > position
                position = event.position
                seen.append((event.subject, event.data["step"]))
            if finished and not events:
                return seen

    with ThreadPoolExecutor(5) as pool:
        reader = pool.submit(follow)
        for writer in [pool.submit(write, number) for number in range(4)]:
            writer.result(60)
        done.set()
        seen = reader.result(60)
    for number in range(4):
        assert [step for subject, step in seen if subject == f"{number}"] == list(range(20))


def test_a_cursor_never_goes_back(catalog: Catalog, replica: Catalog) -> None:
    logs = (log_of(catalog), log_of(replica))
    assert logs[0].cursor("webhooks") == 0

    def move(position: int) -> None:
        one = position % 2
        (catalog, replica)[one].write(lambda: logs[one].advance("webhooks", position))

    with ThreadPoolExecutor(4) as pool:
        list(pool.map(move, (3, 9, 1, 8, 12, 2, 11, 5)))
    assert logs[0].cursor("webhooks") == logs[1].cursor("webhooks") == 12
    assert logs[0].cursor("others") == 0


def test_a_cursor_moves_with_what_was_done(catalog: Catalog) -> None:
    log = log_of(catalog)

    def work() -> None:
        log.advance("webhooks", 5)
        raise ValueError("not done")

    with pytest.raises(ValueError, match="not done"):
        catalog.write(work)
    assert log.cursor("webhooks") == 0
