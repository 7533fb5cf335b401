"""The laws of an object store as tests that any store can be put through.

A subclass, named `Test…`, gives the fixture `objects` (an empty store) and the two hooks.
"""
# ruff: noqa: S101, D102

import threading
import tracemalloc
from abc import ABC, abstractmethod
from collections.abc import Iterator

import pytest

from tidegate.kernel.errors import Internal, Invalid, NotFound
from tidegate.kernel.objects import Digest, ObjectStore
from tidegate.storage.objects.fingerprint import fingerprint_of

MEBIBYTE = 1024 * 1024
LARGE = 20 * MEBIBYTE + 7
"""Bytes: more than the pieces that any of our stores reads or writes at once."""
ABSENT = "0123456789abcdef" * 4
HOSTILE: tuple[object, ...] = (
    "",
    "ab",
    "../../etc/passwd",
    "..%2f" * 12 + "abcd",
    "/" + "a" * 63,
    "a" * 63,
    "a" * 65,
    "A" * 64,
    "g" * 64,
    "a" * 63 + "\n",
    "a" * 64 + "\n",
    "a" * 63 + "\0",
    "a" * 31 + "/.." + "a" * 30,
    "٣" * 64,
    None,
    64,
    b"a" * 64,
)


def noise(size: int, seed: int = 1) -> bytes:
    """Bytes that differ everywhere and are the same each time."""
    state = fingerprint_of(f"{seed}".encode()).digest
    block = bytes.fromhex(state) * 64
    return b"".join(count.to_bytes(8, "big") + block[8:] for count in range(size // len(block) + 1))[:size]


class ObjectStoreLaws(ABC):
    """One test or more for each law in the docstrings of `ObjectPlane` and `ObjectStore`."""

    @abstractmethod
    def damage(self, objects: ObjectStore, digest: Digest, data: bytes) -> None:
        """Put other bytes under the name of an object, behind the store's back."""

    @abstractmethod
    def later(self, objects: ObjectStore, seconds: float) -> ObjectStore:
        """The same store, as it looks that many seconds from now."""

    @pytest.mark.parametrize("data", [b"", b"x", b"\0" * 4096, noise(MEBIBYTE), noise(LARGE)], ids=len)
    def test_law_1_what_was_put_comes_back(self, objects: ObjectStore, data: bytes) -> None:
        whole = objects.put(data)
        assert objects.get(whole.digest) == data
        assert b"".join(objects.stream(whole.digest)) == data
        pieces = objects.put(data[at : at + 300_000] for at in range(0, len(data), 300_000))
        assert pieces == whole

    def test_law_1_empty_pieces_do_no_harm(self, objects: ObjectStore) -> None:
        assert objects.put([b"", b"ab", b"", b"c", b""]) == objects.put(b"abc")

    @pytest.mark.parametrize("data", ["text", 5, None, ["text"], [b"x", 5]])
    def test_law_1_what_is_not_bytes_is_invalid(self, objects: ObjectStore, data: bytes) -> None:
        with pytest.raises(Invalid, match="bytes"):
            objects.put(data)
        assert list(objects.list()) == []

    def test_law_2_the_name_is_the_blake3_digest(self, objects: ObjectStore) -> None:
        info = objects.put(b"abc")
        assert info.digest == "6437b3ac38465133ffb63b75273a8db548c558465d79db03fd359c6cd5bd9d85"
        assert info.sha256 == "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
        assert info.size == 3
        assert objects.stat(info.digest) == info

    def test_law_3_putting_twice_changes_nothing(self, objects: ObjectStore) -> None:
        first = objects.put(b"twice")
        assert objects.put(b"twice") == first
        assert objects.put(iter([b"twi", b"ce"])) == first
        assert list(objects.list()) == [first.digest]

    @pytest.mark.parametrize("streamed", [False, True])
    def test_law_3_putting_again_repairs_a_damaged_copy(self, objects: ObjectStore, streamed: bool) -> None:
        info = objects.put(b"the original")
        for other in (b"the 0riginal", b"the", b""):
            self.damage(objects, info.digest, other)
            objects.put(iter([b"the ", b"original"]) if streamed else b"the original")
            assert objects.get(info.digest) == b"the original"
            assert objects.stat(info.digest) == info

    def test_law_4_expected_bytes_are_stored_and_others_are_not(self, objects: ObjectStore) -> None:
        expected = fingerprint_of(b"right").digest
        for wrong in (b"wrong", iter([b"wr", b"ong"])):
            with pytest.raises(Invalid, match=expected):
                objects.put(wrong, expect=expected)
        with pytest.raises(Invalid, match="expected digest"):
            objects.put(b"right", expect="right")
        assert list(objects.list()) == []
        assert objects.put(b"right", expect=expected).digest == expected
        assert objects.put(iter([b"right"]), expect=expected).digest == expected

    def test_law_5_a_put_that_fails_leaves_nothing_visible(self, objects: ObjectStore) -> None:
        def broken() -> Iterator[bytes]:
            yield noise(LARGE)
            raise ConnectionResetError("the sender went away")

        with pytest.raises(ConnectionResetError):
            objects.put(broken())
        assert list(objects.list()) == []
        assert not objects.exists(fingerprint_of(noise(LARGE)).digest)

    def test_law_5_readers_never_see_part_of_an_object(self, objects: ObjectStore) -> None:
        data = noise(LARGE)
        digest = fingerprint_of(data).digest
        done = threading.Event()
        seen: list[bytes] = []

        def read() -> None:
            while not done.is_set():
                if objects.exists(digest):
                    seen.append(objects.get(digest))
                    return

        reader = threading.Thread(target=read)
        reader.start()
        try:
            objects.put(data[at : at + MEBIBYTE] for at in range(0, len(data), MEBIBYTE))
            reader.join(timeout=1)
        finally:
            done.set()
            reader.join()
        assert seen in ([], [data])

    def test_law_7_neither_put_nor_stream_holds_the_whole(self, objects: ObjectStore) -> None:
        size, piece = 64 * MEBIBYTE, noise(MEBIBYTE)
        tracemalloc.start()
        try:
            info = objects.put(piece for _ in range(size // MEBIBYTE))
            read = sum(len(part) for part in objects.stream(info.digest))
            _, peak = tracemalloc.get_traced_memory()
        finally:
            tracemalloc.stop()
        assert read == info.size == size
        assert peak < 40 * MEBIBYTE

    def test_law_8_damaged_bytes_are_never_handed_out_as_the_object(self, objects: ObjectStore) -> None:
        data = noise(LARGE)
        info = objects.put(data)
        for damaged in (data[:-1] + b"!", data[:-1], data + b"!", b""):
            self.damage(objects, info.digest, damaged)
            with pytest.raises(Internal, match=info.digest):
                objects.get(info.digest)
            received: list[bytes] = []
            with pytest.raises(Internal, match=info.digest):
                received.extend(objects.stream(info.digest))
            assert sum(map(len, received)) < max(len(damaged), 1)

    @pytest.mark.parametrize(
        ("start", "length", "expected"),
        [
            (0, 0, b""),
            (0, 4, b"0123"),
            (3, None, b"3456789"),
            (9, 5, b"9"),
            (10, None, b""),
            (10, 3, b""),
            (2, 99, b"23456789"),
        ],
    )
    def test_law_9_ranges(self, objects: ObjectStore, start: int, length: int | None, expected: bytes) -> None:
        info = objects.put(b"0123456789")
        assert b"".join(objects.stream(info.digest, start=start, length=length)) == expected

    @pytest.mark.parametrize(("start", "length"), [(11, None), (11, 0), (-1, None), (0, -1), (2**63, 1)])
    def test_law_9_ranges_outside_are_refused_at_the_call(
        self, objects: ObjectStore, start: int, length: int | None
    ) -> None:
        info = objects.put(b"0123456789")
        with pytest.raises(Invalid, match=info.digest):
            objects.stream(info.digest, start=start, length=length)

    def test_law_9_a_range_across_pieces(self, objects: ObjectStore) -> None:
        data = noise(LARGE)
        info = objects.put(data)
        start, length = 7 * MEBIBYTE + 13, 9 * MEBIBYTE + 1
        assert b"".join(objects.stream(info.digest, start=start, length=length)) == data[start : start + length]

    def test_law_10_what_is_absent_is_not_found_at_the_call(self, objects: ObjectStore) -> None:
        assert objects.exists(ABSENT) is False
        for ask in (objects.get, objects.stream, objects.stat):
            with pytest.raises(NotFound, match=ABSENT):
                ask(ABSENT)

    def test_law_10_a_local_path_holds_the_bytes(self, objects: ObjectStore) -> None:
        info = objects.put(b"in place")
        path = objects.local_path(info.digest)
        assert path is None or path.read_bytes() == b"in place"
        if path is not None:
            with pytest.raises(NotFound, match=ABSENT):
                objects.local_path(ABSENT)

    @pytest.mark.parametrize("name", HOSTILE, ids=repr)
    def test_law_11_hostile_names_are_invalid(self, objects: ObjectStore, name: str) -> None:
        for ask in (objects.get, objects.stream, objects.stat, objects.exists, objects.local_path, objects.delete):
            with pytest.raises(Invalid, match="64 lower-case hex digits"):
                ask(name)

    def test_law_12_the_list_is_complete(self, objects: ObjectStore) -> None:
        digests = {objects.put(f"{number}".encode()).digest for number in range(40)}
        assert sorted(objects.list()) == sorted(digests)
        some = min(digests)
        for length in (1, 2, 3, 10, 64):
            expected = sorted(digest for digest in digests if digest.startswith(some[:length]))
            assert sorted(objects.list(some[:length])) == expected
        assert list(objects.list(ABSENT)) == []

    @pytest.mark.parametrize("prefix", ["..", "A", "g", "/", "a" * 65, "ab/", "a\n", None])
    def test_law_12_a_hostile_prefix_is_invalid_at_the_call(self, objects: ObjectStore, prefix: str) -> None:
        with pytest.raises(Invalid, match="prefix"):
            objects.list(prefix)

    def test_law_13_the_young_are_left_out(self, objects: ObjectStore) -> None:
        info = objects.put(b"young")
        assert list(objects.list(untouched_for=3600)) == []
        assert list(self.later(objects, 7200).list(untouched_for=3600)) == [info.digest]
        assert list(self.later(objects, 7200).list(untouched_for=9000)) == []
        with pytest.raises(Invalid, match="age"):
            objects.list(untouched_for=-1)

    def test_law_14_what_is_deleted_is_absent(self, objects: ObjectStore) -> None:
        info, other = objects.put(b"short-lived"), objects.put(b"kept")
        for _ in range(2):
            objects.delete(info.digest)
            assert not objects.exists(info.digest)
        assert list(objects.list()) == [other.digest]
        with pytest.raises(NotFound):
            objects.stat(info.digest)
        assert objects.put(b"short-lived") == info
        assert objects.get(info.digest) == b"short-lived"

    def test_threads_may_put_the_same_bytes_at_once(self, objects: ObjectStore) -> None:
        start = threading.Barrier(8)
        named: list[Digest] = []

        def put(writer: int) -> None:
            start.wait()
            for number in range(6):
                data = f"shared {(number + writer) % 6}".encode()
                named.append(objects.put(data if writer % 2 else iter([data])).digest)

        writers = [threading.Thread(target=put, args=(writer,)) for writer in range(8)]
        for thread in writers:
            thread.start()
        for thread in writers:
            thread.join()
        assert len(named) == 48
        expected = {fingerprint_of(f"shared {number}".encode()).digest for number in range(6)}
        assert set(named) == set(objects.list()) == expected
        assert all(objects.get(digest) for digest in expected)
