"""Ids grow, say when and where they were made, and are told from other text."""

from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tidegate.kernel.clock import SystemClock, from_micros, to_micros
from tidegate.kernel.errors import Invalid
from tidegate.kernel.ids import WRITERS, IdFactory, jitter, parse_id, random_id

START = datetime(2013, 10, 1, tzinfo=UTC)


class Still:
    """A clock that is set by hand."""

    def __init__(self) -> None:
        self.at = START

    def now(self) -> datetime:
        return self.at


def test_ids_grow_while_time_stands_still_or_jumps_back() -> None:
    clock = Still()
    factory = IdFactory(clock)
    ids = []
    for step in (0, 0, 5, -3, 0, -60_000, 7):
        clock.at += timedelta(milliseconds=step)
        ids += [factory.new() for _ in range(200)]
    assert ids == sorted(ids)
    assert len(set(ids)) == len(ids)


def test_ids_of_a_batch_are_what_as_many_calls_would_make() -> None:
    """Also across the end of a millisecond's counter, and in threads beside single ones."""
    factory = IdFactory(SystemClock(), writer=7)
    ahead = to_micros(START + timedelta(days=99_999))
    before = factory.new(from_micros(ahead))
    factory._take((1 << 26) - 3, ahead)
    ids = [before, *factory.batch(4, ahead), factory.new()]
    assert ids == sorted(ids)
    places = [(parse_id(one).at, parse_id(one).counter) for one in ids[1:]]
    full, following = from_micros(ahead), from_micros(ahead + 1000)
    assert places == [(full, (1 << 26) - 2), (full, (1 << 26) - 1), (following, 0), (following, 1), (following, 2)]
    assert {parse_id(one).writer for one in ids} == {7}

    def make(number: int) -> list[str]:
        return factory.batch(2000, 0) if number % 2 else [factory.new() for _ in range(2000)]

    with ThreadPoolExecutor(4) as pool:
        made = list(pool.map(make, range(4)))
    assert all(ids == sorted(ids) for ids in made)
    assert len({one for ids in made for one in ids}) == 8000


def test_ids_of_threads_are_unique_and_each_thread_sees_them_grow() -> None:
    factory = IdFactory(SystemClock(), writer=7)

    def make(_: int) -> list[str]:
        return [factory.new() for _ in range(2000)]

    with ThreadPoolExecutor(4) as pool:
        made = list(pool.map(make, range(4)))
    assert all(ids == sorted(ids) for ids in made)
    assert len({one for ids in made for one in ids}) == 8000


@given(
    st.datetimes(min_value=datetime(1970, 1, 1), max_value=datetime(9999, 1, 1), timezones=st.just(UTC)),  # noqa: DTZ001
    st.integers(0, WRITERS - 1),
)
def test_an_id_says_when_and_by_which_writer_it_was_made(at: datetime, writer: int) -> None:
    factory = IdFactory(Still(), writer)
    first, second = factory.new(at), factory.new(at)
    parts, later = parse_id(first), parse_id(second)
    if at >= datetime(1970, 1, 1, 0, 0, 1, tzinfo=UTC):
        assert parts.at == at.replace(microsecond=at.microsecond // 1000 * 1000)
    assert (parts.writer, later.writer) == (writer, writer)
    assert later.counter == parts.counter + 1


def test_an_id_is_a_uuid_of_version_seven() -> None:
    import uuid

    made = uuid.UUID(IdFactory(SystemClock()).new())
    assert (made.version, made.variant) == (7, uuid.RFC_4122)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "x",
        "0" * 32,
        "f" * 32,
        "g" * 32,
        "a" * 31,
        " " * 32,
        "-" + "1" * 31,
        "0x1a1fbe7af5f7000800000000803ca4",
        "01a1fbe7_af5f_7000_8000_00008032",
        "01A1FBE7AF5F70008000000080320000",
        "ffffffffffff7fffbfffffffffffffff",
        "01a1fbe7af5f700080000000962ab8d4\n",
    ],
)
def test_other_text_is_not_an_id(text: str) -> None:
    with pytest.raises(Invalid, match="is not an id"):
        parse_id(text)


def test_random_ids_are_unique_and_jitter_stays_in_its_bounds() -> None:
    assert len({random_id() for _ in range(10_000)}) == 10_000
    assert all(len(random_id()) == 32 for _ in range(100))
    assert all(0.5 <= jitter() <= 1.5 for _ in range(1000))


def test_a_child_process_makes_other_ids() -> None:
    import os

    read, write = os.pipe()
    if (child := os.fork()) == 0:
        os.write(write, random_id().encode())
        os._exit(0)
    ours = random_id()
    os.waitpid(child, 0)
    theirs = os.read(read, 32).decode()
    os.close(read)
    os.close(write)
    assert len(theirs) == 32
    assert theirs != ours
