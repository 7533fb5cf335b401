"""The laws of the audit chain."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from itertools import pairwise

import pytest
import sqlalchemy as sa

from tests.contract.storage.catalog_home import put, values
from tidegate.kernel.clock import SystemClock
from tidegate.kernel.dispatch import Journalled
from tidegate.storage.audit import GENESIS, AuditChain, audit
from tidegate.storage.catalog import Catalog


@pytest.fixture
def chain(catalog: Catalog) -> AuditChain:
    return AuditChain(catalog, SystemClock())


def entry(number: int, actor: str = "ann") -> Journalled:
    return Journalled(
        actor=actor,
        operation="models.promote",
        subject=f"late-arrival/{number}",
        outcome="ok",
        request_id=f"r{number}",
        request_digest="d" * 64,
        detail="ünïcode ✓",
    )


def append(catalog: Catalog, chain: AuditChain, count: int) -> None:
    for number in range(count):
        catalog.write(lambda number=number: chain.append(entry(number)))  # type: ignore[misc]


def test_law_1_a_row_stands_in_the_transaction_of_what_it_tells_of(catalog: Catalog, chain: AuditChain) -> None:
    def work() -> None:
        put(catalog, "changed")()
        chain.append(entry(1))
        raise ValueError("no")

    with pytest.raises(ValueError, match="no"):
        catalog.write(work)
    assert (values(catalog), chain.rows()) == ({}, [])

    def both() -> None:
        put(catalog, "changed")()
        chain.append(entry(2))

    catalog.write(both)
    assert set(values(catalog)) == {"changed"}
    assert [row.subject for row in chain.rows()] == ["late-arrival/2"]
    with pytest.raises(RuntimeError):
        chain.append(entry(3))


def test_law_1_a_savepoint_that_goes_takes_its_row_with_it(catalog: Catalog, chain: AuditChain) -> None:
    def inner() -> None:
        chain.append(entry(2))
        raise ValueError("inner")

    def outer() -> None:
        chain.append(entry(1))
        with pytest.raises(ValueError, match="inner"):
            catalog.write(inner)
        chain.append(entry(3))

    catalog.write(outer)
    assert [row.request_id for row in chain.rows()] == ["r1", "r3"]
    assert chain.verify().intact


def change(**columns: object) -> Callable[[sa.Connection], object]:
    return lambda connection: connection.execute(audit.update().where(audit.c.position == 5).values(**columns))


def remove(*positions: int) -> Callable[[sa.Connection], object]:
    return lambda connection: connection.execute(audit.delete().where(audit.c.position.in_(positions)))


def swap(connection: sa.Connection) -> None:
    for old, new in ((5, 105), (6, 5), (105, 6)):
        connection.execute(audit.update().where(audit.c.position == old).values(position=new))


def insert(connection: sa.Connection) -> None:
    row = dict(connection.execute(sa.select(audit).where(audit.c.position == 10)).one()._mapping)
    connection.execute(audit.insert().values(**row | {"position": 50, "previous": row["hash"]}))


TAMPERED: dict[str, tuple[Callable[[sa.Connection], object], int]] = {
    "actor": (change(actor="eve"), 5),
    "at": (change(at=1), 5),
    "operation": (change(operation="models.delete"), 5),
    "subject": (change(subject="other/1"), 5),
    "outcome": (change(outcome="refused"), 5),
    "detail": (change(detail=""), 5),
    "request": (change(request_digest="e" * 64), 5),
    "request id": (change(request_id="other"), 5),
    "hash": (change(hash="0" * 64), 5),
    "previous": (change(previous="0" * 64), 5),
    "first removed": (remove(1), 2),
    "one removed": (remove(5), 6),
    "last removed": (remove(10), 10),
    "three last removed": (remove(8, 9, 10), 8),
    "all removed": (remove(*range(1, 11)), 1),
    "two swapped": (swap, 5),
    "inserted": (insert, 50),
}


@pytest.mark.parametrize("kind", TAMPERED)
def test_law_2_verify_finds(catalog: Catalog, chain: AuditChain, kind: str) -> None:
    append(catalog, chain, 10)
    whole = chain.verify()
    assert (whole.intact, whole.rows, whole.broken_at) == (True, 10, None)
    tamper, place = TAMPERED[kind]

    def work() -> None:
        with catalog.connect() as connection:
            tamper(connection)

    catalog.write(work)
    report = chain.verify()
    assert (report.intact, report.broken_at) == (False, place)


def test_law_2_verify_holds_while_others_append(catalog: Catalog, chain: AuditChain, replica: Catalog) -> None:
    other = AuditChain(replica, SystemClock())
    append(catalog, chain, 5)
    with ThreadPoolExecutor(1) as pool:
        writing = pool.submit(append, replica, other, 40)
        while not writing.done():
            assert chain.verify().intact
        writing.result(20)
    assert chain.verify().rows == 45


def test_law_3_rows_are_in_the_order_of_commits(catalog: Catalog, chain: AuditChain, replica: Catalog) -> None:
    def load(one: tuple[Catalog, str]) -> None:
        catalog, actor = one
        mine = AuditChain(catalog, SystemClock())
        for number in range(15):
            catalog.write(lambda number=number: mine.append(entry(number, actor)))  # type: ignore[misc]

    with ThreadPoolExecutor(4) as pool:
        list(pool.map(load, [(catalog, "a"), (replica, "b"), (catalog, "c"), (replica, "d")]))
    rows = chain.rows()
    assert rows[0].previous == GENESIS
    assert all(later.previous == row.hash and later.position > row.position for row, later in pairwise(rows))
    for actor in "abcd":
        assert [row.request_id for row in rows if row.actor == actor] == [f"r{number}" for number in range(15)]
    assert chain.verify().intact


def test_rows_come_by_position_and_subject(catalog: Catalog, chain: AuditChain) -> None:
    append(catalog, chain, 4)
    rows = chain.rows()
    assert [row.position for row in chain.rows(after=rows[1].position, limit=1)] == [rows[2].position]
    assert [row.subject for row in chain.rows(subject="late-arrival/3")] == ["late-arrival/3"]
    assert all(row.at.tzinfo is not None for row in rows)
