"""Everything that stands between a call and its method, on a real catalog."""

import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import msgspec
import pytest
import sqlalchemy as sa

from tests.contract.storage.catalog_home import counters, make_tables, values
from tidegate.kernel.clock import SystemClock
from tidegate.kernel.context import Call, Role, actor, covers, current
from tidegate.kernel.dispatch import Dispatcher, LocalInvoker, RemoteInvoker, WireTransport
from tidegate.kernel.errors import Conflict, Forbidden, Internal, Invalid, NotFound, Refused, Unavailable
from tidegate.kernel.operation import Invoker, Service, operation
from tidegate.storage.audit import AuditChain, AuditRow
from tidegate.storage.catalog import Catalog, open_catalog
from tidegate.storage.memory import AnswerMemory
from tidegate.testing.catalogs import place_catalog

PEOPLE: dict[str, frozenset[Role]] = {
    "ann": frozenset({"contributor"}),
    "vic": frozenset({"viewer"}),
    "ada": frozenset({"admin"}),
    "bob": frozenset({"approver"}),
}


class Counters(Service):
    """Counters."""

    room = "counters"

    def __init__(self, catalog: Catalog) -> None:
        self._catalog = catalog
        self.runs = 0

    @operation("POST /counters/{name}", role="contributor", audit="change")
    def make(self, name: str, *, value: int = 0) -> int:
        """Make a counter."""
        self.runs += 1
        with self._catalog.connect() as connection:
            connection.execute(counters.insert(), {"name": name, "value": value})
        if value < 0:
            raise Refused("counters begin at 0", value=value)
        if value == 13:
            raise ZeroDivisionError("a fault of ours")
        return value

    @operation("DELETE /counters/{name}", role="contributor", audit="change")
    def clear(self, name: str) -> None:
        """Take a counter away; answers nothing."""
        self.runs += 1
        with self._catalog.connect() as connection:
            if not connection.execute(counters.delete().where(counters.c.name == name)).rowcount:
                raise NotFound(f"there is no counter {name!r}")

    @operation("POST /counters/{name}/pairs", role="contributor", audit="change")
    def pair(self, name: str, *, fail: bool = False) -> int:
        """Make two at once, by another operation that needs another role."""
        total = self.make(f"{name}-1") + self.make(f"{name}-2") + self.purge(f"{name}-3")
        if fail:
            raise Refused("changed our mind")
        return total

    @operation("POST /counters/{name}/purges", role="admin", audit="change")
    def purge(self, name: str) -> int:
        """Only an admin may."""
        return 0

    @operation("GET /counters", role="viewer", audit="none")
    def list(self) -> dict[str, int]:
        """All of them."""
        return values(self._catalog)

    @operation("POST /counters/{name}/ticks", role="contributor", audit="summary")
    def tick(self, name: str) -> str:
        """Telemetry."""
        return actor()


class Meter:
    """Remembers what it was told."""

    def __init__(self) -> None:
        self.seen: list[tuple[str, str]] = []

    def observe(self, operation: str, code: str, seconds: float) -> None:
        assert seconds >= 0
        self.seen.append((operation, code))


class People:
    """Knows four people."""

    def roles(self, actor: str) -> frozenset[Role]:
        if actor not in PEOPLE:
            raise Forbidden(f"there is no person {actor!r}")
        return PEOPLE[actor]


class Bench:
    """A service behind a dispatcher."""

    def __init__(self, folder: Path, wire: bool) -> None:
        place_catalog(folder)
        self.catalog = open_catalog("", folder)
        make_tables(self.catalog)
        self.service, self.meter = Counters(self.catalog), Meter()
        self.chain = AuditChain(self.catalog, SystemClock())
        dispatcher = Dispatcher(
            authority=People(),
            transactions=self.catalog,
            memory=AnswerMemory(self.catalog, SystemClock()),
            audit=self.chain,
            meter=self.meter,
            machine=SystemClock(),
        )
        local: Invoker = LocalInvoker(dispatcher, "ann")
        self.service._invoke = local
        self.client = self.service
        if wire:
            self.client = object.__new__(Counters)
            self.client._invoke = RemoteInvoker(WireTransport(dispatcher, {"counters": self.service}, "ann"))

    def audit(self) -> list[AuditRow]:
        return self.chain.rows()


@pytest.fixture(params=["local", "wire"])
def bench(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Bench]:
    bench = Bench(tmp_path, request.param == "wire")
    yield bench
    bench.catalog.close()


def called(act: Callable[[], Any], **call: Any) -> Any:
    """The act, within a call."""
    token = current.set(Call(**{"actor": "ann", **call}))
    try:
        return act()
    finally:
        current.reset(token)


def test_a_change_is_audited_in_its_transaction_and_a_read_is_not(bench: Bench) -> None:
    assert bench.client.make("a", value=3) == 3
    assert bench.client.list() == {"a": 3}
    assert bench.client.tick("a") == "ann"
    (row,) = bench.audit()
    assert (row.actor, row.operation, row.subject, row.outcome, row.detail) == ("ann", "counters.make", "a", "ok", "")
    assert (len(row.request_digest), len(row.request_id)) == (64, 32)
    assert bench.meter.seen == [("counters.make", "ok"), ("counters.list", "ok"), ("counters.tick", "ok")]


def test_a_refusal_changes_nothing_and_is_audited_by_itself(bench: Bench) -> None:
    with pytest.raises(Refused) as caught:
        bench.client.make("a", value=-1)
    assert caught.value.details == {"value": -1}
    assert bench.client.list() == {}
    (row,) = bench.audit()
    assert (row.outcome, row.subject, row.detail) == ("refused", "a", "counters begin at 0")


def test_who_may_not_is_told_what_it_needs_and_that_is_audited(bench: Bench) -> None:
    with pytest.raises(Forbidden, match=r"vic may not call counters\.make: it needs the role contributor"):
        called(lambda: bench.client.make("a"), actor="vic")
    with pytest.raises(Forbidden):
        called(lambda: bench.client.make("a"), actor="nobody")
    with pytest.raises(Forbidden):
        called(bench.client.list, actor="bob")
    assert bench.service.runs == 0
    assert [(row.actor, row.outcome) for row in bench.audit()] == [("vic", "forbidden"), ("nobody", "forbidden")]
    assert called(bench.client.list, actor="ada") == {}


def test_a_strangers_words_do_not_break_the_audit(bench: Bench) -> None:
    with pytest.raises(Forbidden):
        called(lambda: bench.client.make("x\x00" * 1000), actor="vic")
    (row,) = bench.audit()
    assert row.subject == ("x\ufffd" * 1000)[:512]


def test_other_errors_are_not_audited_and_keep_their_class(bench: Bench) -> None:
    with pytest.raises(NotFound):
        bench.client.clear("a")
    with pytest.raises(Invalid):
        bench.client.make("a", value="three")  # type: ignore[arg-type]
    assert bench.audit() == []


def test_a_fault_of_ours_is_internal_and_says_no_more(bench: Bench, caplog: pytest.LogCaptureFixture) -> None:
    with pytest.raises(Internal, match="ZeroDivisionError") as caught:
        called(lambda: bench.client.make("a", value=13), request_id="r13")
    assert caught.value.details["request_id"] == "r13"
    assert "a fault of ours" in caplog.text
    assert "r13" in caplog.text
    assert bench.client.list() == {}
    assert bench.meter.seen[0] == ("counters.make", "internal")


def test_the_same_key_and_request_is_done_once(bench: Bench) -> None:
    for _ in range(3):
        assert called(lambda: bench.client.make("a", value=5), idempotency_key="k") == 5
    assert bench.service.runs == 1
    assert len(bench.audit()) == 1
    assert called(lambda: bench.client.make("b", value=6), idempotency_key="other") == 6


def test_an_answer_of_nothing_is_remembered_too(bench: Bench) -> None:
    bench.client.make("a")
    for _ in range(3):
        called(lambda: bench.client.clear("a"), idempotency_key="k")
    assert bench.service.runs == 2


def test_a_key_belongs_to_one_request_and_one_person(bench: Bench) -> None:
    called(lambda: bench.client.make("a"), idempotency_key="k")
    with pytest.raises(Conflict, match="another request"):
        called(lambda: bench.client.make("b"), idempotency_key="k")
    with pytest.raises(Conflict, match="another request"):
        called(lambda: bench.client.clear("a"), idempotency_key="k")
    called(lambda: bench.client.make("c"), idempotency_key="k", actor="ada")
    assert bench.client.list() == {"a": 0, "c": 0}


def test_a_key_of_a_refused_request_may_be_used_again(bench: Bench) -> None:
    with pytest.raises(Refused):
        called(lambda: bench.client.make("a", value=-1), idempotency_key="k")
    assert called(lambda: bench.client.make("a", value=1), idempotency_key="k") == 1


def test_one_key_at_once_in_many_threads_is_done_once(bench: Bench) -> None:
    barrier = threading.Barrier(6)

    def ask(_: int) -> Any:
        barrier.wait(20)
        return called(lambda: bench.client.make("a", value=7), idempotency_key="k")

    with ThreadPoolExecutor(6) as pool:
        assert list(pool.map(ask, range(6))) == [7] * 6
    assert bench.service.runs == 1


def test_nested_operations_join(bench: Bench) -> None:
    assert bench.client.pair("p") == 0
    assert bench.client.list() == {"p-1": 0, "p-2": 0}
    assert [row.operation for row in bench.audit()] == ["counters.pair"]
    with pytest.raises(Refused):
        bench.client.pair("q", fail=True)
    assert set(bench.client.list()) == {"p-1", "p-2"}


def test_a_call_past_its_deadline_does_not_begin(bench: Bench) -> None:
    now = SystemClock().monotonic()
    with pytest.raises(Unavailable, match="deadline"):
        called(lambda: bench.client.make("a"), deadline=now - 1)
    assert called(lambda: bench.client.make("a"), deadline=now + 60) == 0


def test_the_context_is_left_as_it_was_found(bench: Bench) -> None:
    for value in (-1, 13, 1):
        with pytest.raises((Refused, Internal)) if value != 1 else _nothing():
            bench.client.make("a", value=value)
    assert current.get() is None
    assert actor() == "local"


def test_text_that_is_not_unicode_is_invalid(bench: Bench) -> None:
    with pytest.raises(Invalid, match="Unicode"):
        bench.client.make("\ud800")


def test_a_full_answer_crosses_the_wire_as_it_is(bench: Bench) -> None:
    bench.client.make("a", value=2**53 + 1)
    assert bench.client.list() == {"a": 2**53 + 1}


def test_nested_roles_cover_those_below_and_no_others() -> None:
    assert covers(frozenset({"maintainer"}), "viewer")
    assert not covers(frozenset({"maintainer"}), "admin")
    assert not covers(frozenset({"admin"}), "approver")
    assert not covers(frozenset({"auditor"}), "viewer")
    assert not covers(frozenset(), "viewer")


def test_a_lost_race_for_a_name_is_not_a_leak(bench: Bench) -> None:
    bench.client.make("a")
    with pytest.raises(Internal, match="IntegrityError"):
        bench.client.make("a")
    with bench.catalog.connect() as connection:
        assert connection.execute(sa.select(sa.func.count()).select_from(counters)).scalar_one() == 1
    assert msgspec.json.encode(bench.client.list()) == b'{"a":0}'


def _nothing() -> Any:
    import contextlib

    return contextlib.nullcontext()
