"""The laws of the catalog, on SQLite and on PostgreSQL."""

import signal
import threading
import time
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from functools import partial
from typing import Any

import pytest
import sqlalchemy as sa

from tests.contract.storage.catalog_home import (
    CatalogHome,
    add_one,
    counters,
    make_tables,
    metadata,
    one_group,
    put,
    sequence,
    values,
    wait_until,
)
from tidegate.events.store import EventLog
from tidegate.kernel.clock import SystemClock
from tidegate.kernel.errors import Conflict, Internal, TidegateError
from tidegate.kernel.ids import IdFactory
from tidegate.storage.catalog import Catalog, open_catalog
from tidegate.storage.leases import Leases


def durability(catalog: Catalog) -> str:
    with catalog.connect() as connection:
        if catalog.dialect == "sqlite":
            return str(connection.exec_driver_sql("PRAGMA synchronous").scalar_one())
        return str(connection.exec_driver_sql("SHOW synchronous_commit").scalar_one())


def test_law_1_what_write_returned_from_is_committed(catalog: Catalog, replica: Catalog) -> None:
    for number in range(20):
        catalog.write(put(catalog, f"c{number}", number), durable=number % 2 == 0)
        assert values(replica)[f"c{number}"] == number


def test_law_1_durable_is_synced_and_telemetry_is_not(catalog: Catalog) -> None:
    full, relaxed = {"sqlite": ("2", "1"), "postgresql": ("on", "off")}[catalog.dialect]
    for _ in range(2):
        assert catalog.write(lambda: durability(catalog)) == full
        assert catalog.write(lambda: durability(catalog), durable=False) == relaxed
        catalog._drop_connection()  # a new connection must not forget it


def test_law_1_a_group_is_as_durable_as_its_strictest_work(catalog: Catalog) -> None:
    entered, release = threading.Event(), threading.Event()

    def hold() -> None:
        entered.set()
        assert release.wait(20)

    with ThreadPoolExecutor(3) as pool:
        leader = pool.submit(catalog.write, hold, durable=False)
        assert entered.wait(20)
        relaxed = pool.submit(catalog.write, lambda: durability(catalog), durable=False)
        strict = pool.submit(catalog.write, lambda: durability(catalog), durable=True)
        wait_until(lambda: len(catalog._line) == 2)
        release.set()
        leader.result(20)
        assert relaxed.result(20) == strict.result(20) == {"sqlite": "2", "postgresql": "on"}[catalog.dialect]


def test_law_2_a_work_that_raises_changes_nothing(catalog: Catalog) -> None:
    def work() -> None:
        put(catalog, "half")()
        raise ValueError("mine")

    with pytest.raises(ValueError, match="mine"):
        catalog.write(work)
    assert values(catalog) == {}
    assert catalog.write(put(catalog, "after", 1)) == 1


def test_law_2_an_integrity_error_surfaces_as_it_is(catalog: Catalog) -> None:
    catalog.write(put(catalog, "taken"))

    def work() -> None:
        put(catalog, "first")()
        put(catalog, "taken")()

    with pytest.raises(sa.exc.IntegrityError):
        catalog.write(work)
    assert values(catalog) == {"taken": 0}


def test_law_2_a_failed_statement_that_nobody_passed_on_is_not_a_silent_loss(catalog: Catalog) -> None:
    catalog.write(put(catalog, "taken"))

    def work() -> str:
        put(catalog, "beside")()
        try:
            put(catalog, "taken")()
        except sa.exc.IntegrityError:
            return "swallowed"
        return "inserted"

    try:
        assert catalog.write(work) == "swallowed"
    except Internal:
        assert "beside" not in values(catalog)
    else:
        assert "beside" in values(catalog)


def test_law_2_a_wrong_statement_is_not_called_unavailable(catalog: Catalog) -> None:
    def work() -> None:
        with catalog.connect() as connection:
            connection.exec_driver_sql("SELECT * FROM no_such_table")

    with pytest.raises(sa.exc.DBAPIError, match="no_such_table"):
        catalog.write(work)
    with pytest.raises(sa.exc.DBAPIError, match="no_such_table"):
        work()


def test_law_3_one_work_that_raises_takes_nothing_of_the_others(catalog: Catalog) -> None:
    catalog.write(put(catalog, "taken"))

    def breaks() -> None:
        put(catalog, "broken")()
        raise ValueError("mine")

    def exits() -> None:
        put(catalog, "left")()
        raise SystemExit(3)

    good = [put(catalog, f"good{number}", number) for number in range(6)]
    futures = one_group(catalog, [*good[:2], breaks, *good[2:4], put(catalog, "taken"), exits, *good[4:]])
    errors = [future.exception(20) for future in futures]
    kinds = [None, None, ValueError, None, None, sa.exc.IntegrityError, SystemExit, None, None]
    assert [error and type(error) for error in errors] == kinds
    assert values(catalog) == {"taken": 0} | {f"good{number}": number for number in range(6)}


def test_law_3_works_of_a_group_share_a_transaction(catalog: Catalog, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tidegate.storage.catalog.catalog.GROUP_SECONDS", 60.0)  # however slow this machine is

    def transaction() -> int:
        with catalog.connect() as connection:
            if catalog.dialect == "sqlite":
                count = sa.select(sa.func.count()).select_from(counters)
                return int(connection.execute(count).scalar_one())
            return int(connection.exec_driver_sql("SELECT pg_current_xact_id()::text").scalar_one())

    if catalog.dialect == "postgresql":
        assert len({future.result(20) for future in one_group(catalog, [transaction] * 4)}) == 1
        return
    pulse_before = catalog.pulse()
    outside: list[object] = []

    def look() -> None:
        outside.append(catalog.pulse())

    one_group(catalog, [put(catalog, "a"), look, put(catalog, "b"), look])
    assert outside == [pulse_before, pulse_before]  # nobody has seen a commit between the works
    assert catalog.pulse() != pulse_before


def test_law_3_a_nested_write_joins_and_stands_in_a_savepoint(catalog: Catalog) -> None:
    def inner() -> None:
        put(catalog, "inner")()
        raise ValueError("inner")

    def outer() -> None:
        put(catalog, "outer")()
        with pytest.raises(ValueError, match="inner"):
            catalog.write(inner)
        catalog.write(put(catalog, "joined"))
        with pytest.raises(sa.exc.IntegrityError):
            catalog.write(put(catalog, "joined"))

    catalog.write(outer)
    assert set(values(catalog)) == {"outer", "joined"}


def test_law_4_reads_inside_see_what_was_written_and_reads_outside_do_not(catalog: Catalog, replica: Catalog) -> None:
    def work() -> None:
        put(catalog, "mine", 7)()
        assert values(catalog) == {"mine": 7}
        assert values(replica) == {}
        with ThreadPoolExecutor(1) as pool:
            assert pool.submit(values, catalog).result(20) == {}

    catalog.write(work)
    assert values(replica) == {"mine": 7}


def test_law_4_reads_outside_stay_on_one_snapshot(catalog: Catalog, replica: Catalog) -> None:
    catalog.write(put(catalog, "n"))
    with catalog.connect() as connection:
        query = sa.select(counters.c.value)
        assert connection.execute(query).scalar_one() == 0
        replica.write(add_one(replica, "n"))
        assert connection.execute(query).scalar_one() == 0
    assert values(catalog) == {"n": 1}


def test_law_4_a_read_cannot_write(catalog: Catalog) -> None:
    with pytest.raises((sa.exc.DBAPIError, TidegateError)), catalog.connect() as connection:
        connection.execute(counters.insert(), {"name": "sly", "value": 1})
    assert values(catalog) == {}


def test_law_4_the_transaction_of_one_home_is_not_that_of_another(
    catalog: Catalog, tmp_path_factory: pytest.TempPathFactory
) -> None:
    other_home = CatalogHome("", tmp_path_factory.mktemp("other"))
    other = other_home.open()
    make_tables(other)

    def work() -> None:
        other.write(put(other, "there"))
        put(catalog, "here")()
        raise ValueError("mine")

    with pytest.raises(ValueError, match="mine"):
        catalog.write(work)
    assert (values(catalog), values(other)) == ({}, {"there": 0})
    other_home.close()


def test_law_5_threads_that_read_modify_and_write_lose_nothing(catalog: Catalog, replica: Catalog) -> None:
    catalog.write(put(catalog, "n"))

    def load(one: Catalog) -> list[int]:
        return [one.write(add_one(one, "n"), durable=False) for _ in range(25)]

    with ThreadPoolExecutor(8) as pool:
        seen = [number for numbers in pool.map(load, [catalog, replica] * 4) for number in numbers]
    assert sorted(seen) == list(range(1, 201))
    assert values(catalog) == {"n": 200}


def test_law_6_a_write_under_an_old_term_is_refused(catalog: Catalog, replica: Catalog) -> None:
    old = Leases(catalog, SystemClock()).acquire("scheduler", "a", 30)
    assert old is not None
    catalog.write(put(catalog, "mine"), fence=old.fence)
    Leases(catalog, SystemClock()).release(Leases(catalog, SystemClock()).acquire("scheduler", "a", 30) or old)
    new = Leases(replica, SystemClock()).acquire("scheduler", "b", 30)
    assert new is not None
    assert new.term == old.term + 1
    with pytest.raises(Conflict, match="scheduler"):
        catalog.write(put(catalog, "late"), fence=old.fence)
    with pytest.raises(Conflict, match="scheduler"):
        catalog.write(lambda: catalog.write(put(catalog, "nested"), fence=old.fence))
    replica.write(put(replica, "theirs"), fence=new.fence)
    assert set(values(catalog)) == {"mine", "theirs"}


def test_law_6_a_takeover_waits_for_a_write_that_passed_its_fence(catalog: Catalog, replica: Catalog) -> None:
    entered, order = threading.Event(), list[str]()

    def slow(seconds: float) -> None:
        entered.set()
        time.sleep(seconds + 0.5)  # the lease runs out in here
        put(catalog, "mine")()
        order.append("written")

    with ThreadPoolExecutor(1) as pool:
        for seconds in (0.3, 2.0, 10.0):  # on a busy machine a short lease may run out before the write begins
            old = Leases(catalog, SystemClock()).acquire("scheduler", "a", seconds)
            assert old is not None
            written = pool.submit(catalog.write, partial(slow, seconds), fence=old.fence)
            wait_until(lambda done=written.done: entered.is_set() or done())  # type: ignore[misc]
            if entered.is_set():
                break
        new = None
        while new is None:
            new = Leases(replica, SystemClock()).acquire("scheduler", "b", 5)
            time.sleep(0.01)
        order.append("taken over")
        written.result(20)
    assert order == ["written", "taken over"]


def test_law_7_a_commit_whose_answer_was_lost_is_not_done_twice(catalog: Catalog) -> None:
    if catalog.dialect == "sqlite":
        pytest.skip("SQLite has no connection to lose")
    lose_the_answer(catalog, after_commit=True)
    runs: list[int] = []

    def work() -> int:
        runs.append(1)
        return put(catalog, f"once{len(runs)}")()

    assert catalog.write(work) == 0
    assert len(runs) == 1
    assert set(values(catalog)) == {"once1"}
    assert catalog.write(put(catalog, "after")) == 0


def test_law_7_a_commit_that_was_refused_is_not_tried_again(catalog: Catalog) -> None:
    deferred = "REFERENCES test_counter (name) DEFERRABLE INITIALLY DEFERRED"

    def make() -> None:
        with catalog.connect() as connection:
            connection.exec_driver_sql(f"CREATE TABLE test_child (name VARCHAR(64) {deferred})")

    runs: list[int] = []

    def work() -> None:
        runs.append(1)
        with catalog.connect() as connection:
            connection.exec_driver_sql("INSERT INTO test_child VALUES ('nobody')")

    catalog.write(make)
    with pytest.raises(sa.exc.IntegrityError):
        catalog.write(work)
    assert len(runs) == 1
    assert catalog.write(put(catalog, "after")) == 0


def test_law_7_a_commit_that_never_arrived_is_done_again_and_once(catalog: Catalog) -> None:
    if catalog.dialect == "sqlite":
        pytest.skip("SQLite has no connection to lose")
    lose_the_answer(catalog, after_commit=False)
    runs: list[int] = []

    def work() -> int:
        runs.append(1)
        return put(catalog, "once", len(runs))()

    assert catalog.write(work) == 2
    assert values(catalog) == {"once": 2}


def lose_the_answer(catalog: Catalog, *, after_commit: bool) -> None:
    """Cut the real connection just after, or just before, the next COMMIT."""
    dialect: Any = catalog._dialect
    control = dialect.control

    def cut(connection: sa.Connection, statement: str) -> None:
        if statement != "COMMIT":
            control(connection, statement)
            return
        dialect.control = control
        if after_commit:
            control(connection, statement)
        driver: Any = connection.connection.driver_connection
        driver.close()
        lost = connection.dialect.loaded_dbapi.OperationalError("the connection was lost")
        raise sa.exc.OperationalError(statement, None, lost)

    dialect.control = cut


def test_law_8_positions_come_in_the_order_of_commits(catalog: Catalog, replica: Catalog) -> None:
    logs = [EventLog(one, SystemClock(), IdFactory(SystemClock())) for one in (catalog, replica)]
    missed, done = list[int](), threading.Event()

    def write(number: int) -> None:
        one, log = ((catalog, logs[0]), (replica, logs[1]))[number % 2]

        def work() -> None:
            log.append("tidegate.test.written", f"{number}")
            time.sleep(0.001 * (number % 3))  # a later position must not become visible first
            with one.connect() as connection:
                connection.execute(sequence.insert(), {"writer": "w", "number": number})

        for _ in range(15):
            one.write(work, durable=False)

    def follow() -> int:
        position, seen = 0, 0
        while True:
            finished = done.is_set()
            events = logs[0].after(position)
            for event in events:
                if event.position <= position:
                    missed.append(event.position)
                position, seen = event.position, seen + 1
            if finished and not events:
                return seen

    with ThreadPoolExecutor(5) as pool:
        reader = pool.submit(follow)
        for writer in [pool.submit(write, number) for number in range(4)]:
            writer.result(60)
        done.set()
        assert reader.result(60) == 60
    assert not missed


def test_a_work_in_a_context_that_outlives_it_is_outside_again(catalog: Catalog) -> None:
    import contextvars

    kept: list[contextvars.Context] = []
    catalog.write(lambda: kept.append(contextvars.copy_context()))
    catalog.write(put(catalog, "n", 3))
    assert kept[0].run(values, catalog) == {"n": 3}
    assert kept[0].run(catalog.write, put(catalog, "m", 4)) == 4
    with pytest.raises(RuntimeError):
        kept[0].run(catalog.serialise)


@pytest.fixture
def interruptible() -> Iterator[None]:
    """Ctrl-C raises, also where the tests run in the background of a shell, which has it ignored."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


@pytest.mark.usefixtures("interruptible")
def test_an_interrupted_caller_leaves_the_queue_and_the_others_go_on(catalog: Catalog) -> None:
    entered, release, interrupted = threading.Event(), threading.Event(), threading.Event()
    main = threading.main_thread()
    assert main.ident is not None
    ident = main.ident

    def hold() -> None:
        entered.set()
        assert release.wait(20)

    def once(*_: object) -> None:
        if not interrupted.is_set():
            interrupted.set()
            raise KeyboardInterrupt

    def interrupt() -> None:
        wait_until(lambda: len(catalog._line) == 1)
        # A signal that arrives just before a thread begins to wait does not wake it: press the key until it is felt.
        while not interrupted.wait(0.05):
            signal.pthread_kill(ident, signal.SIGINT)

    before = signal.signal(signal.SIGINT, once)
    with ThreadPoolExecutor(3) as pool:
        leader = pool.submit(catalog.write, hold)
        assert entered.wait(20)
        sender = pool.submit(interrupt)
        try:
            with pytest.raises(KeyboardInterrupt):
                catalog.write(put(catalog, "interrupted"))
            sender.result(20)
        finally:
            signal.signal(signal.SIGINT, before)
        release.set()
        leader.result(20)
        assert pool.submit(catalog.write, put(catalog, "next", 1)).result(20) == 1
    assert values(catalog) == {"next": 1}


def test_an_interrupted_leader_takes_nothing_of_the_others(catalog: Catalog) -> None:
    def interrupts() -> None:
        put(catalog, "interrupted")()
        raise KeyboardInterrupt

    entered, release = threading.Event(), threading.Event()

    def hold() -> None:
        entered.set()
        assert release.wait(20)

    with ThreadPoolExecutor(4) as pool:
        leader = pool.submit(catalog.write, hold)
        assert entered.wait(20)
        futures: list[Future[Any]] = []
        for work in (interrupts, put(catalog, "a", 1), put(catalog, "b", 2)):
            futures.append(pool.submit(catalog.write, work))
            wait_until(lambda: len(catalog._line) == len(futures))
        release.set()
        leader.result(20)
        assert isinstance(futures[0].exception(20), KeyboardInterrupt)
        assert [future.result(20) for future in futures[1:]] == [1, 2]
    assert values(catalog) == {"a": 1, "b": 2}


def test_the_pulse_changes_with_the_commits_of_anybody(catalog: Catalog, replica: Catalog) -> None:
    pulses = [catalog.pulse()]
    assert catalog.pulse() == pulses[0]
    for number, one in enumerate((catalog, replica, catalog)):
        one.write(put(one, f"n{number}"))
        pulses.append(catalog.pulse())
    assert len(set(map(str, pulses))) == 4


def test_a_reader_that_outlives_its_catalog_leaves_no_connection_open(catalog_home: CatalogHome) -> None:
    """Its pool is gone by then, and would keep the connection until it is collected as garbage."""
    catalog = open_catalog(catalog_home.address, catalog_home.folder)
    with catalog.connect() as connection:
        driver: Any = connection.connection.driver_connection
        catalog.close()
        assert driver.execute("SELECT 1").fetchone() == (1,)
    with pytest.raises(Exception, match="closed"):
        driver.execute("SELECT 1")


def test_the_test_tables_are_not_among_the_rooms(catalog: Catalog) -> None:
    from tidegate.storage.schema import metadata as rooms

    assert not set(metadata.tables) & set(rooms.tables)
