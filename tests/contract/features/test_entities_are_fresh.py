"""What a process keeps in memory of the online store is never older than the store."""

import tempfile
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tidegate.features.entities import Entities
from tidegate.features.online_sqlite import SqliteOnlineStore
from tidegate.kernel.errors import Conflict

VIEW, NAMES = "a" * 64, ["[1]", "[2]", "[3]"]


class Total(int):
    """An entity that is a sum."""

    def pack(self) -> bytes:
        return str(int(self)).encode()


class Summing:
    """Adds what is given to what is there; refuses 13."""

    def unpack(self, raw: bytes) -> Total:
        return Total(raw)

    def merge(self, old: Total | None, new: Total, *, replace: bool) -> Total:
        if new == 13 and not replace:
            raise Conflict("13")
        return Total((old or 0) + new)


steps = st.lists(
    st.tuples(
        st.integers(0, 1),
        st.sampled_from(["get", "merge"]),
        st.dictionaries(st.sampled_from(NAMES), st.sampled_from([0, 1, 5, 13]), min_size=1),
    ),
    max_size=12,
)


@given(steps)
def test_every_process_sees_every_update(taken: list[tuple[int, str, dict[str, int]]]) -> None:
    layout: Any = Summing()
    truth = dict.fromkeys(NAMES, 0)
    with tempfile.TemporaryDirectory() as folder:
        stores = [SqliteOnlineStore(Path(folder) / "online.db") for _ in range(2)]
        both = [Entities(store) for store in stores]
        for who, what, amounts in taken:
            if what == "get":
                assert [one or 0 for one in both[who].get({VIEW: layout}, [(VIEW, name) for name in NAMES])] == list(
                    truth.values()
                )
                continue
            told: Any = {(VIEW, name): Total(amount) for name, amount in amounts.items()}
            if 13 in amounts.values():
                with pytest.raises(Conflict):
                    both[who].merge({VIEW: layout}, told, replace=False)
            else:
                both[who].merge({VIEW: layout}, told, replace=False)
                truth |= {name: truth[name] + amount for name, amount in amounts.items()}
        for entities in both:
            assert [one or 0 for one in entities.get({VIEW: layout}, [(VIEW, name) for name in NAMES])] == list(
                truth.values()
            )
        for store in stores:
            store.close()
