"""The laws in the docstring of `tidegate.storage.journal`, on SQLite and a folder; the index also on PostgreSQL."""

import asyncio
import fcntl
import os
import threading
from collections.abc import Iterator
from concurrent.futures import Future
from pathlib import Path

import msgspec
import pytest

from tests.contract.storage.journal_home import (
    CLOCK,
    TOPIC,
    Home,
    Row,
    RowCodec,
    instant,
    owned_home,
    payload,
    payloads,
)
from tidegate.kernel.errors import Invalid, Unavailable
from tidegate.storage.journal import JournalWriter, Position, SealResult, verify
from tidegate.storage.journal import segment as segment_module


@pytest.fixture
def home(tmp_path: Path) -> Iterator[Home]:
    yield from owned_home(tmp_path)


def scanned(home: Home, topic: str = TOPIC) -> list[tuple[Position, int]]:
    return [(position, msgspec.json.decode(data, type=Row).value) for position, data in home.reader().scan(topic)]


class TestAppending:
    """Laws 1 to 4, as far as one process can show them."""

    def test_law_1_what_append_returned_from_is_in_the_file(self, home: Home) -> None:
        with home.writer() as writer:
            expected = [(writer.append(TOPIC, payload(value)), value) for value in range(5)]
            first = writer.append_many(TOPIC, payloads(3, 5))
            assert scanned(home)[:5] == expected
            assert [value for _, value in scanned(home)] == list(range(8))
            assert first == Position(expected[0][0].segment, 5)

    def test_law_2_durable_appends_sync_before_they_return(self, home: Home, monkeypatch: pytest.MonkeyPatch) -> None:
        synced: list[int] = []
        real = os.fdatasync

        def observed(fd: int) -> None:
            real(fd)
            synced.append(os.fstat(fd).st_size)

        monkeypatch.setattr(segment_module, "_sync_data", observed)
        with home.writer() as writer:
            for count in range(1, 4):
                writer.append_durable(TOPIC, payloads(2))
                assert synced[-1] == home.files()[0].stat().st_size, count

    def test_law_2_threads_share_a_sync(self, home: Home, monkeypatch: pytest.MonkeyPatch) -> None:
        syncs = 0
        gate = threading.Event()

        def slow(fd: int) -> None:
            nonlocal syncs
            gate.wait(0.02)
            os.fdatasync(fd)
            syncs += 1

        monkeypatch.setattr(segment_module, "_sync_data", slow)
        with home.writer() as writer:
            threads = [
                threading.Thread(target=lambda: [writer.append_durable(TOPIC, payloads(1)) for _ in range(10)])
                for _ in range(8)
            ]
            for thread in threads:
                thread.start()
            for thread in threads:
                thread.join()
        assert len(scanned(home)) == 80
        assert syncs <= 40

    def test_law_2_an_event_loop_awaits_a_durable_append(self, home: Home) -> None:
        async def many(writer: JournalWriter) -> list[Position]:
            commits = [asyncio.wrap_future(writer.commit_async(TOPIC, payloads(1, value))) for value in range(50)]
            return await asyncio.gather(*commits)

        with home.writer() as writer:
            positions = asyncio.run(many(writer))
            assert [position.number for position in positions] == list(range(50))
            assert [value for _, value in scanned(home)] == list(range(50))

    def test_law_2_a_failed_sync_fails_all_it_was_to_cover_and_ends_the_segment(
        self, home: Home, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        def broken(fd: int) -> None:
            raise OSError(5, "Input/output error")

        with home.writer() as writer:
            kept = writer.append_durable(TOPIC, payloads(1))
            with monkeypatch.context() as patch:
                patch.setattr(segment_module, "_sync_data", broken)
                with pytest.raises(Unavailable, match="could not be made durable"):
                    writer.append_durable(TOPIC, payloads(1, 1))
                future: Future[Position] = writer.commit_async(TOPIC, payloads(1, 2))
                assert isinstance(future.exception(timeout=10), Unavailable)
            after = writer.append_durable(TOPIC, payloads(1, 3))
            assert after.segment != kept.segment
        assert {0, 3} <= {value for _, value in scanned(home)}

    def test_law_3_bad_calls_leave_nothing(self, home: Home) -> None:
        with home.writer() as writer:
            for bad in ([], [b"x" * ((64 << 20) + 1)]):
                with pytest.raises(Invalid, match="at least one record"):
                    writer.append_many(TOPIC, bad)
            with pytest.raises(Invalid, match="topic"):
                writer.append("", b"x")
            assert isinstance(writer.commit_async(TOPIC, []).exception(), Invalid)
            writer.append(TOPIC, payload(1))
            assert [value for _, value in scanned(home)] == [1]

    def test_law_4_best_effort_keeps_or_counts(self, home: Home) -> None:
        with JournalWriter(home.folder, writer=1, clock=CLOCK, queue_limit=100) as writer:
            kept = sum(writer.append_best_effort(TOPIC, payload(value)) for value in range(5000))
            lost = writer.dropped
        assert kept + lost == 5000
        assert len(scanned(home)) == kept
        with pytest.raises(Invalid, match="closed"):
            writer.append_best_effort(TOPIC, b"late")

    def test_law_4_best_effort_drops_what_does_not_fit(self, home: Home) -> None:
        writer = JournalWriter(home.folder, writer=1, clock=CLOCK, queue_limit=0)
        assert not writer.append_best_effort(TOPIC, b"x")
        assert writer.dropped == 1
        writer.close()


class TestTears:
    """Law 5."""

    def test_law_5_a_torn_tail_hides_nothing_before_it(self, home: Home) -> None:
        with home.writer() as writer:
            writer.append_many(TOPIC, payloads(10))
        path = home.files()[0]
        path.write_bytes(path.read_bytes()[:-3])
        assert [value for _, value in scanned(home)] == list(range(9))
        result = home.seal()
        assert result.torn_bytes > 0
        assert result.sealed[0].rows == 9
        assert sorted(home.values()) == list(range(9))

    def test_law_5_what_follows_damage_is_salvaged_under_its_own_number(self, home: Home) -> None:
        with home.writer() as writer:
            writer.append_many(TOPIC, payloads(10))
        path = home.files()[0]
        data = bytearray(path.read_bytes())
        data[data.index(b'"value":4')] ^= 1
        path.write_bytes(data)
        result = home.seal()
        assert result.damaged_bytes > 0
        assert result.torn_bytes == 0
        assert home.frame(result.sealed[0])["_number"].to_list() == [0, 1, 2, 3, 5, 6, 7, 8, 9]
        assert [kept.read_bytes() for kept in home.folder.iterdir()] == [bytes(data)]
        assert home.seal() == SealResult()

    def test_law_5_a_file_with_a_broken_header_stays_and_is_reported(self, home: Home) -> None:
        (home.folder / f"{'0' * 32}.seg").write_bytes(b"\0" * 10 + b"something")
        (home.folder / f"{'1' * 32}.seg").write_bytes(b"\0" * 4096)
        result = home.seal()
        assert [refused.segment for refused in result.refused] == ["0" * 32]
        assert (result.segment, result.sealed) == ("1" * 32, ())
        assert [path.stem for path in home.files()] == ["0" * 32]
        assert scanned(home) == []


class TestOwnership:
    """Laws 6 and 7."""

    def test_law_6_nobody_seals_a_segment_that_is_owned(self, home: Home) -> None:
        with home.writer() as writer:
            writer.append(TOPIC, payload(0))
            before = home.files()[0].read_bytes()
            assert home.seal() == SealResult()
            assert home.files()[0].read_bytes() == before
            writer.append(TOPIC, payload(1))
            rolled = writer.roll()
            assert writer.roll() is None
            writer.append(TOPIC, payload(2))
            assert home.seal().segment == rolled
            assert home.seal() == SealResult()
        assert sorted(home.values()) == [0, 1, 2]

    def test_law_6_the_lock_is_there_as_soon_as_the_name_is(self, home: Home) -> None:
        stop = threading.Event()
        stolen: list[Path] = []

        def thief() -> None:
            while not stop.is_set():
                for path in [*home.folder.glob("*.seg")]:
                    with path.open("rb") as file:
                        try:
                            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                            stolen.append(path)
                        except BlockingIOError:
                            pass

        thread = threading.Thread(target=thief)
        writer = home.writer(segment_bytes=1)
        thread.start()
        held = []
        for value in range(100):
            writer.append(TOPIC, payload(value))
            held.append(writer.segment)
        stop.set()
        thread.join()
        assert held[-1] not in {path.stem for path in stolen}
        writer.close()
        assert [value for _, value in scanned(home)] == list(range(100))

    def test_law_6_a_forked_child_may_not_write_and_does_not_keep_the_lock(self, home: Home) -> None:
        writer = home.writer()
        writer.append(TOPIC, payload(0))
        release, go = os.pipe()
        told, tell = os.pipe()
        child = os.fork()
        if child == 0:
            answer = b"wrote"
            try:
                writer.append(TOPIC, payload(1))
            except Invalid as error:
                answer = error.message.encode()
            os.write(tell, answer)
            os.read(release, 1)
            os._exit(0)
        assert b"belongs to process" in os.read(told, 1000)
        writer.close()
        assert home.seal().segment is not None  # although the child still lives
        os.write(go, b"x")
        os.waitpid(child, 0)
        for fd in (release, go, told, tell):
            os.close(fd)
        assert home.values() == [0]

    def test_law_6_files_that_never_got_their_name_are_cleared_away(self, home: Home) -> None:
        (home.folder / f"{'a' * 32}.new").write_bytes(b"half a header")
        assert home.seal() == SealResult()
        assert list(home.folder.iterdir()) == []

    def test_law_6_clearing_away_does_not_disturb_a_writer(self, home: Home) -> None:
        stop = threading.Event()

        def clear() -> None:
            while not stop.is_set():
                home.seal(codecs=[])

        thread = threading.Thread(target=clear)
        thread.start()
        with home.writer(segment_bytes=1) as writer:
            for value in range(200):
                writer.append(TOPIC, payload(value))
        stop.set()
        thread.join()
        assert home.values() == list(range(200))

    def test_law_7_readers_never_write(self, home: Home) -> None:
        with home.writer() as writer:
            writer.append_many(TOPIC, payloads(3))
            path = home.files()[0]
            with path.open("ab") as file:
                file.write(b"\xa7\x1e torn")
            before, stat = path.read_bytes(), path.stat()
            assert len(scanned(home)) == 3
            assert path.read_bytes() == before
            assert path.stat().st_mtime_ns == stat.st_mtime_ns

    def test_law_7_a_reader_goes_on_where_it_stopped(self, home: Home) -> None:
        reader = home.reader()
        cursor: dict[str, int] = {}
        seen: list[int] = []
        with home.writer(segment_bytes=2000) as writer:
            for value in range(60):
                writer.append(TOPIC, payload(value))
                writer.append("other", b"noise")
                for position, data in reader.scan(TOPIC, cursor):
                    cursor[position.segment] = position.number
                    seen.append(msgspec.json.decode(data, type=Row).value)
        assert seen == list(range(60))
        assert len(cursor) > 3


class TestSealing:
    """Laws 8 and 9."""

    def test_law_8_positions_survive_sealing(self, home: Home) -> None:
        with home.writer() as writer:
            written: dict[int, Position] = {}
            for value in range(20):
                written[value] = writer.append(TOPIC, payload(value, endpoint=f"e{value % 3}"))
                writer.append("label", payload(value))
        (part, _) = home.seal(codecs=[RowCodec(), RowCodec("label")]).sealed[::-1]
        frame = home.frame(part)
        assert frame["endpoint"].is_sorted()
        numbers = dict(zip(frame["value"].to_list(), frame["_number"].to_list(), strict=True))
        assert {value: Position(part.segment, number) for value, number in numbers.items()} == written

    def test_law_9_the_index_says_what_is_inside(self, home: Home) -> None:
        with home.writer(number=77) as writer:
            writer.append_many(TOPIC, payloads(10, start=100))
        part = home.seal().sealed[0]
        ids = sorted(home.frame(part)["id"].to_list())
        assert (part.rows, part.writer, part.first_number, part.last_number) == (10, 77, 0, 9)
        assert (part.first_time, part.last_time) == (instant(100), instant(109))
        assert (part.first_id, part.last_id) == (ids[0], ids[-1])
        assert home.objects.stat(part.digest).sha256 == part.sha256
        assert home.files() == []

    def test_law_9_a_snapshot_sees_each_record_once_whatever_is_sealed(self, home: Home) -> None:
        with home.writer(segment_bytes=600) as writer:
            writer.append_many(TOPIC, payloads(3))
            writer.append_many(TOPIC, payloads(3, 3))
            home.seal()
            before = home.reader().snapshot()
            writer.append_many(TOPIC, payloads(3, 6))
            writer.roll()
            home.seal_all()
            assert sorted(home.values(snapshot=before)) == list(range(6))
            assert sorted(home.values()) == list(range(9))
            with pytest.raises(Invalid, match="closed"):
                before.segments()

    def test_law_9_topics_without_codec_stay_files_and_hold_up_nobody(self, home: Home) -> None:
        with home.writer(segment_bytes=1) as writer:
            writer.append("unknown", b"?")
            writer.append(TOPIC, payload(1))
        result = home.seal()
        assert [refused.reason for refused in result.refused] == [
            f"segment {home.files()[0].stem} holds topics without codec: unknown; it stays a file"
        ]
        assert len(result.sealed) == 1
        assert [data for _, data in home.reader().scan("unknown")] == [b"?"]

    def test_law_9_a_record_that_its_codec_refuses_keeps_the_file(self, home: Home) -> None:
        with home.writer() as writer:
            writer.append(TOPIC, b"not a row")
            writer.append(TOPIC, payload(1))
        result = home.seal()
        assert result.segment is None
        assert "codec of topic 'prediction' failed" in result.refused[0].reason
        assert len(list(home.reader().scan(TOPIC))) == 2

    def test_law_9_a_segment_without_records_goes_away(self, home: Home) -> None:
        with home.writer() as writer, pytest.raises(Invalid):
            writer.append("", b"x")
        result = home.seal()
        assert result.segment is not None
        assert result.sealed == ()
        assert home.files() == []
        assert home.index.head().sequence == 0

    def test_law_9_segments_roll_by_age(self, home: Home) -> None:
        with home.writer(segment_seconds=0.0) as writer:
            writer.append_durable(TOPIC, payloads(1))
            for _ in range(400):
                if home.seal().segment is not None:
                    break
                threading.Event().wait(0.01)
            else:
                pytest.fail("the segment was never released")
        assert home.values() == [0]


class TestChain:
    """Law 10, on one home; what holds on every catalog stands in `test_journal_index_laws`."""

    def test_law_10_objects_are_looked_at_too(self, home: Home) -> None:
        with home.writer(segment_bytes=1) as writer:
            for value in range(3):
                writer.append(TOPIC, payload(value))
        parts = [part for result in home.seal_all() for part in result.sealed]
        report = verify(home.index, home.objects)
        assert (report.sound, report.links) == (True, 3)
        path = home.objects.local_path(parts[1].digest)
        assert path is not None
        path.chmod(0o644)
        path.write_bytes(path.read_bytes()[:-1] + b"!")
        report = verify(home.index, home.objects)
        assert [fault.sequence for fault in report.faults] == [2]
        assert verify(home.index).sound
