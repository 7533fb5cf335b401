"""Answers remembered by idempotency key."""

import threading
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta

import pytest

from tests.contract.storage.catalog_home import put, values
from tidegate.kernel.clock import SystemClock
from tidegate.kernel.dispatch import Remembered
from tidegate.kernel.errors import Conflict
from tidegate.storage.catalog import Catalog
from tidegate.storage.memory import KEPT_SECONDS, REST_SECONDS, AnswerMemory

ANSWER = Remembered("models.promote", "d" * 64, b'{"number":1}')


class MachineTime(SystemClock):
    """Machine time that a test can move."""

    moved = timedelta(0)

    def wall(self) -> datetime:
        return datetime.now(UTC) + self.moved


@pytest.fixture
def machine() -> MachineTime:
    return MachineTime()


@pytest.fixture
def memory(catalog: Catalog, machine: MachineTime) -> AnswerMemory:
    return AnswerMemory(catalog, machine)


def recalled(catalog: Catalog, memory: AnswerMemory, actor: str, key: str) -> Remembered | None:
    """What a later request with this key would find."""
    seen: list[Remembered | None] = []

    def work() -> None:
        seen.append(memory.recall(actor, key))
        raise LookupError

    with pytest.raises(LookupError):
        catalog.write(work)
    return seen[0]


def answer(catalog: Catalog, memory: AnswerMemory, actor: str = "ann", key: str = "k") -> Remembered | None:
    def work() -> Remembered | None:
        known = memory.recall(actor, key)
        if known is None:
            memory.remember(actor, key, ANSWER)
        return known

    return catalog.write(work)


def test_an_answer_is_kept_by_actor_and_key(catalog: Catalog, memory: AnswerMemory) -> None:
    assert answer(catalog, memory) is None
    assert answer(catalog, memory) == ANSWER
    assert recalled(catalog, memory, "ann", "other") is None
    assert recalled(catalog, memory, "bob", "k") is None


def test_an_answer_goes_with_its_transaction(catalog: Catalog, memory: AnswerMemory) -> None:
    def work() -> None:
        assert memory.recall("ann", "k") is None
        memory.remember("ann", "k", ANSWER)
        raise ValueError("no")

    with pytest.raises(ValueError, match="no"):
        catalog.write(work)
    assert recalled(catalog, memory, "ann", "k") is None


def test_the_same_request_on_two_replicas_at_once_is_done_once(catalog: Catalog, replica: Catalog) -> None:
    barrier = threading.Barrier(4)

    def ask(number: int) -> str:
        one = (catalog, replica)[number % 2]
        memory = AnswerMemory(one, SystemClock())

        def work() -> str:
            known = memory.recall("ann", "k")
            if known is not None:
                return known.answer.decode()
            put(one, f"done-by-{number}")()
            memory.remember("ann", "k", Remembered("models.promote", "d" * 64, f"{number}".encode()))
            return f"{number}"

        barrier.wait(20)
        return one.write(work)

    with ThreadPoolExecutor(4) as pool:
        answers = set(pool.map(ask, range(4)))
    assert len(answers) == 1
    assert set(values(catalog)) == {f"done-by-{number}" for number in answers}


def test_old_answers_are_forgotten_by_machine_time(
    catalog: Catalog, memory: AnswerMemory, machine: MachineTime
) -> None:
    answer(catalog, memory, key="old")
    machine.moved = timedelta(hours=2)
    answer(catalog, memory, key="new")
    machine.moved = timedelta(seconds=KEPT_SECONDS + 3600)
    assert memory.step() == 0
    assert memory.step() == REST_SECONDS
    assert recalled(catalog, memory, "ann", "old") is None
    assert recalled(catalog, memory, "ann", "new") == ANSWER


def test_nothing_is_forgotten_under_an_old_term(catalog: Catalog, memory: AnswerMemory, machine: MachineTime) -> None:
    def refuse(_connection: object) -> None:
        raise Conflict("the lease has gone")

    answer(catalog, memory, key="old")
    machine.moved = timedelta(seconds=KEPT_SECONDS + 1)
    with pytest.raises(Conflict):
        memory.step(refuse)
    assert recalled(catalog, memory, "ann", "old") == ANSWER
