"""A process that trains gets the threads that whoever started the server meant it to have."""

import pytest

from tidegate.loop.threads import all_threads, one_thread

POOLS = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "POLARS_MAX_THREADS")


@pytest.fixture(autouse=True)
def plain(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in (*POOLS, "OMP_WAIT_POLICY", *(one_thread().keys() - set(POOLS))):
        monkeypatch.delenv(name, raising=False)


def apply(monkeypatch: pytest.MonkeyPatch, environment: dict[str, str]) -> None:
    for name, value in environment.items():
        monkeypatch.setenv(name, value)


def test_nothing_was_said_so_a_training_has_all_threads(monkeypatch: pytest.MonkeyPatch) -> None:
    apply(monkeypatch, one_thread())
    found = all_threads()
    assert not found.keys() & set(POOLS)
    assert found["OMP_WAIT_POLICY"] == "PASSIVE"


def test_what_was_said_holds_for_trainings_also_through_several_processes(monkeypatch: pytest.MonkeyPatch) -> None:
    apply(monkeypatch, {"OMP_NUM_THREADS": "3", "OMP_WAIT_POLICY": "ACTIVE"})
    for _ in range(2):
        apply(monkeypatch, one_thread())
    found = all_threads()
    assert {name: found.get(name) for name in POOLS} == dict.fromkeys(POOLS) | {"OMP_NUM_THREADS": "3"}
    assert found["OMP_WAIT_POLICY"] == "ACTIVE"


def test_a_home_in_ones_own_process_changes_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("POLARS_MAX_THREADS", "1")
    assert all_threads()["POLARS_MAX_THREADS"] == "1"
