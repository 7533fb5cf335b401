"""The journal among real processes: killed writers, killed sealers, readers and recovery beside a live writer."""

import os
import resource
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import msgspec
import pytest

from tests.contract.storage.journal_home import CLOCK, TOPIC, Home, Row, owned_home, payload, payloads
from tidegate.kernel.errors import Unavailable
from tidegate.storage.journal import JournalWriter, SealResult, verify

ROOT = Path(__file__).parents[3]


@pytest.fixture
def home(tmp_path: Path) -> Iterator[Home]:
    yield from owned_home(tmp_path)


@contextmanager
def child(role: str, folder: Path, *rest: str) -> Iterator[subprocess.Popen[bytes]]:
    command = [sys.executable, "-m", "tests.integration.storage.journal_child", role, str(folder), *rest]
    with subprocess.Popen(command, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        try:
            yield process
        finally:
            process.kill()


def drained(process: subprocess.Popen[bytes], already: bytes = b"") -> list[list[str]]:
    """Every line that a process said before it was killed."""
    assert process.stdout is not None
    data = already + process.stdout.read()
    assert data.endswith(b"\n") or not data
    return [line.decode().split() for line in data.splitlines()]


def first_bytes(process: subprocess.Popen[bytes]) -> bytes:
    assert process.stdout is not None
    return os.read(process.stdout.fileno(), 1 << 16)


def rows(home: Home) -> list[tuple[str, int, int]]:
    """Segment, number and value of every record, in the order of positions, from files and sealed parts."""
    with home.reader().snapshot() as snapshot:
        found = [
            (position.segment, position.number, msgspec.json.decode(data, type=Row).value)
            for position, data in snapshot.scan(TOPIC)
        ]
        for part in snapshot.sealed(TOPIC):
            frame = home.frame(part)
            found += [
                (part.segment, number, value)
                for number, value in zip(frame["_number"].to_list(), frame["value"].to_list(), strict=True)
            ]
    return sorted(found)


@pytest.mark.parametrize(("mode", "threads"), [("acked", 1), ("acked", 3), ("durable", 3), ("async", 2)])
def test_a_killed_writer_loses_nothing_that_it_acknowledged(
    home: Home, tmp_path: Path, mode: str, threads: int
) -> None:
    with child("write", tmp_path, mode, str(threads)) as writer:
        already = first_bytes(writer)
        deadline = time.monotonic() + 0.7
        while time.monotonic() < deadline:
            already += first_bytes(writer)  # keeps the pipe from filling up
        writer.send_signal(signal.SIGKILL)
        acknowledged = [range(int(start), int(end)) for start, end in drained(writer, already)]
    promised = [value for values in acknowledged for value in values]
    assert len(promised) > 50
    for sealed in (False, True):
        if sealed:
            results = home.seal_all()
            assert results
            assert home.files() == []
        found = [value for _, _, value in rows(home)]
        assert len(found) == len(set(found))
        assert set(promised) <= set(found)
        assert len(found) - len(promised) <= 3 * threads  # the appends in flight, written but not yet said
        for thread in range(threads):
            mine = [value for value in found if value // 1_000_000 == thread]
            assert mine == list(range(thread * 1_000_000, thread * 1_000_000 + len(mine)))
    assert verify(home.index, home.objects).sound


def test_a_reader_and_a_recovery_beside_a_live_writer_lose_nothing(home: Home, tmp_path: Path) -> None:
    reader = home.reader()
    cursor: dict[str, int] = {}
    seen: list[int] = []

    def follow() -> None:
        with reader.snapshot() as snapshot:
            for part in snapshot.sealed(TOPIC, after=cursor):
                last = cursor.get(part.segment, -1)
                frame = home.frame(part)
                seen.extend(frame.filter(frame["_number"] > last)["value"].to_list())
                cursor[part.segment] = part.last_number
            for position, data in snapshot.scan(TOPIC, cursor):
                seen.append(msgspec.json.decode(data, type=Row).value)
                cursor[position.segment] = position.number

    with child("recover", tmp_path) as recovery, home.writer(segment_bytes=60_000) as writer:
        already = first_bytes(recovery)
        deadline = time.monotonic() + 3
        written = 0
        while time.monotonic() < deadline:
            for value in range(written, written + 50):
                writer.append(TOPIC, payload(value))
            written += 50
            follow()
            assert recovery.poll() is None
        recovery.send_signal(signal.SIGKILL)
        ready, *sealed = drained(recovery, already)
    assert ready == ["ready"]
    assert len(sealed) > 3
    assert [line for line in sealed if line[0] == "refused" or line[1] != "0"] == []
    home.seal_all()
    follow()
    assert sorted(seen) == list(range(written))
    assert [value for _, _, value in rows(home)] == list(range(written))
    assert verify(home.index, home.objects).sound


def test_recovery_leaves_the_segment_of_another_process_alone(home: Home, tmp_path: Path) -> None:
    with child("pause", tmp_path) as writer:
        assert first_bytes(writer) == b"ready\n"
        path = home.files()[0]
        with path.open("ab") as file:
            file.write(b"what a reader would call torn")
        before = path.read_bytes()
        for _ in range(20):
            assert home.seal() == SealResult()
        assert path.read_bytes() == before
        writer.send_signal(signal.SIGKILL)
        writer.wait()
    result = home.seal()
    assert result.torn_bytes == len(b"what a reader would call torn")
    assert [value for _, _, value in rows(home)] == [0]


@pytest.mark.parametrize("step", ["locked", "mended", "stored", "indexed", "removed"])
def test_a_sealer_killed_at_any_step_is_finished_by_the_next(home: Home, tmp_path: Path, step: str) -> None:
    with home.writer() as writer:
        writer.append_many(TOPIC, payloads(100))
    with home.files()[0].open("ab") as file:
        file.write(b"\xa7\x1etorn")
    with child("seal", tmp_path, step) as sealer:
        assert sealer.wait(timeout=60) == -signal.SIGKILL
    expected = list(range(100))
    assert [value for _, _, value in rows(home)] == expected
    results = home.seal_all()
    assert len(results) == (0 if step == "removed" else 1)
    assert [value for _, _, value in rows(home)] == expected
    assert home.files() == []
    report = verify(home.index, home.objects)
    assert (report.links, report.faults) == (1, ())


@contextmanager
def small_disk(folder: Path, size: str) -> Iterator[Path]:
    folder.mkdir()
    mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={size}", "tmpfs", str(folder)], capture_output=True)
    if mounted.returncode:
        pytest.skip(f"cannot mount a small disk here: {mounted.stderr.decode().strip()}")
    try:
        yield folder
    finally:
        subprocess.run(["umount", "-l", str(folder)], check=True)


@pytest.mark.parametrize("batch", [1, 7])
def test_a_full_disk_loses_nothing_and_takes_writes_again(home: Home, tmp_path: Path, batch: int) -> None:
    with small_disk(tmp_path / "disk", "256k") as disk:
        ballast = disk / "ballast"
        ballast.write_bytes(b"x" * 100_000)
        home.folder = disk
        acknowledged: list[int] = []
        refusals: list[str] = []
        value = 0
        with JournalWriter(disk, writer=1, clock=CLOCK, segment_bytes=60_000) as writer:
            while len(refusals) < 60 and value < 10_000:
                appending = writer.append_durable if value % 2 else writer.append_many
                try:
                    appending(TOPIC, payloads(batch, value))
                    acknowledged += range(value, value + batch)
                except Unavailable as error:
                    refusals.append(error.message)
                value += batch
                if len(refusals) == 50:
                    ballast.unlink(missing_ok=True)
            assert len(refusals) == 60
            assert all("the disk is full" in refusal for refusal in refusals)
            assert writer.append_best_effort("other", b"y" * 10_000)
            assert [found for _, _, found in rows(home)] == acknowledged
        assert writer.dropped == 1
        assert len(acknowledged) > 500
        for result in home.seal_all():
            assert (result.torn_bytes, result.damaged_bytes, result.refused) == (0, 0, ())
        assert [found for _, _, found in rows(home)] == acknowledged


def test_a_limit_on_the_size_of_files_counts_as_a_full_disk(home: Home) -> None:
    with home.writer() as writer:
        writer.append_many(TOPIC, payloads(3))
        before = resource.getrlimit(resource.RLIMIT_FSIZE)
        resource.setrlimit(resource.RLIMIT_FSIZE, (home.files()[0].stat().st_size + 100, before[1]))
        try:
            with pytest.raises(Unavailable, match="disk is full"):
                writer.append_many(TOPIC, payloads(5, 100))
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, before)
        after = writer.append_many(TOPIC, payloads(2, 3))
        assert after.number == 8  # the numbers of the failed append are never given out again
    assert home.seal().torn_bytes == 0
    assert [value for _, _, value in rows(home)] == list(range(5))
