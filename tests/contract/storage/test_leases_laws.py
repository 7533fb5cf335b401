"""The laws of leases, with two replicas that both want one."""

import threading
import time
from concurrent.futures import ThreadPoolExecutor
from itertools import pairwise

import pytest

from tests.contract.storage.catalog_home import put, values
from tidegate.kernel.clock import SystemClock
from tidegate.kernel.errors import Conflict
from tidegate.storage.catalog import Catalog
from tidegate.storage.leases import MARGIN, Lease, Leases

MACHINE = SystemClock()


def held(leases: Leases, holder: str, seconds: float) -> Lease:
    lease = leases.acquire("scheduler", holder, seconds)
    assert lease is not None
    return lease


def test_law_1_at_most_one_believes_in_itself(catalog: Catalog, replica: Catalog) -> None:
    beliefs: list[tuple[float, float, str, int]] = []
    until = time.monotonic() + 2.0

    def contend(one: Catalog, holder: str) -> None:
        leases = Leases(one, MACHINE)
        lives = 0  # who comes back from the dead is another process: under its old name it would renew its own term
        while time.monotonic() < (until if len({others for _, _, others, _ in beliefs}) > 1 else until + 30):
            lease = leases.acquire("scheduler", f"{holder}{lives}", 0.15)
            if lease is None:
                time.sleep(0.01)
                continue
            believed = []  # moments before a question to which the answer was yes: a busy machine may pause us after it
            asked = time.monotonic()
            while lease.held():
                believed.append(asked)
                time.sleep(0.005)
                asked = time.monotonic()
            if believed:
                beliefs.append((believed[0], believed[-1], holder, lease.term))
            lives += 1
            time.sleep(0.05)  # dead for a while: the others may take over

    with ThreadPoolExecutor(3) as pool:
        list(pool.map(contend, (catalog, replica, replica), "abc"))
    beliefs.sort()
    assert len({holder for _, _, holder, _ in beliefs}) > 1
    for (_, end, _, term), (begin, _, _, later) in pairwise(beliefs):
        assert end <= begin
        assert term < later


def test_law_1_the_deadline_counts_from_before_the_request_and_keeps_a_margin(catalog: Catalog) -> None:
    before = MACHINE.monotonic()
    lease = held(Leases(catalog, MACHINE), "a", 10)
    after = MACHINE.monotonic()
    assert before + 10 * (1 - MARGIN) <= lease.deadline <= after + 10 * (1 - MARGIN)
    assert lease.held()


def test_law_1_a_released_lease_is_no_longer_believed_in(catalog: Catalog, replica: Catalog) -> None:
    leases = Leases(catalog, MACHINE)
    lease = held(leases, "a", 30)
    assert Leases(replica, MACHINE).acquire("scheduler", "b", 30) is None
    leases.release(lease)
    assert not lease.held()
    other = held(Leases(replica, MACHINE), "b", 30)
    leases.release(lease)  # harmless: it is another's now
    assert Leases(catalog, MACHINE).acquire("scheduler", "a", 30) is None
    assert other.held()


def test_law_2_a_write_of_an_old_term_is_refused(catalog: Catalog, replica: Catalog) -> None:
    long = held(Leases(catalog, MACHINE), "a", 30)
    catalog.write(put(catalog, "while-held"), fence=long.fence)
    old = held(Leases(catalog, MACHINE), "a", 0.2)
    assert old.term == long.term
    time.sleep(0.25)
    with pytest.raises(Conflict):  # run out, though nobody has taken it
        catalog.write(put(catalog, "after-deadline"), fence=old.fence)
    new = held(Leases(replica, MACHINE), "b", 30)
    with pytest.raises(Conflict):
        catalog.write(put(catalog, "after-takeover"), fence=old.fence)
    replica.write(put(replica, "by-the-new"), fence=new.fence)
    assert set(values(catalog)) == {"while-held", "by-the-new"}


def test_law_2_a_renewal_keeps_the_term_and_an_interruption_does_not(catalog: Catalog) -> None:
    leases = Leases(catalog, MACHINE)
    first = held(leases, "a", 30)
    renewed = held(leases, "a", 30)
    assert renewed.term == first.term
    assert renewed.deadline > first.deadline
    assert held(leases, "a", 0.3).term == first.term
    time.sleep(0.35)
    assert held(leases, "a", 30).term == first.term + 1


def test_law_3_a_dead_holder_is_replaced_once_its_lease_has_run_out(catalog: Catalog, replica: Catalog) -> None:
    leases = Leases(replica, MACHINE)
    dead = held(Leases(catalog, MACHINE), "a", 30)
    assert leases.acquire("scheduler", "b", 30) is None
    begin = time.monotonic()
    assert held(Leases(catalog, MACHINE), "a", 0.3).term == dead.term
    while (lease := leases.acquire("scheduler", "b", 30)) is None:
        assert time.monotonic() - begin < 20
        time.sleep(0.02)
    assert time.monotonic() - begin >= 0.3
    assert lease.term == dead.term + 1


def test_law_3_a_lease_of_before_a_reboot_does_not_block(catalog: Catalog) -> None:
    import sqlalchemy as sa

    from tidegate.storage.leases import leases as rows

    held(Leases(catalog, MACHINE), "a", 5)

    def reboot() -> None:
        with catalog.connect() as connection:  # the monotonic clock began anew, far below what is written
            connection.execute(sa.update(rows).values(expires=rows.c.expires + 1e6))

    catalog.write(reboot)
    assert held(Leases(catalog, MACHINE), "b", 5).term == 2


def test_names_do_not_touch_each_other(catalog: Catalog) -> None:
    leases = Leases(catalog, MACHINE)
    assert leases.acquire("one", "a", 30) is not None
    assert leases.acquire("two", "b", 30) is not None
    assert leases.acquire("one", "b", 30) is None


def test_of_many_that_ask_at_once_one_gets_it(catalog: Catalog, replica: Catalog) -> None:
    barrier = threading.Barrier(6)

    def ask(number: int) -> Lease | None:
        barrier.wait(20)
        return Leases((catalog, replica)[number % 2], MACHINE).acquire("scheduler", f"h{number}", 30)

    with ThreadPoolExecutor(6) as pool:
        won = [lease for lease in pool.map(ask, range(6)) if lease is not None]
    assert [lease.term for lease in won] == [1]


def test_law_1_a_renewed_lease_lasts_longer_and_a_lost_one_cannot_be_renewed(
    catalog: Catalog, replica: Catalog
) -> None:
    mine, theirs = Leases(catalog, MACHINE), Leases(replica, MACHINE)
    lease = held(mine, "a", 0.3)
    first = lease.deadline
    assert mine.renew(lease, 10)
    assert lease.deadline > first
    assert lease.held()
    assert theirs.acquire("scheduler", "b", 10) is None
    mine.release(lease)
    assert theirs.acquire("scheduler", "b", 10) is not None
    assert not mine.renew(lease, 10)
