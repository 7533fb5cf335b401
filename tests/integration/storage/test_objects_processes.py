"""Objects put by processes that are killed, race with one another, or run out of disk."""

import json
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.contract.storage.s3_process import new_bucket, s3_options, s3_server
from tidegate.kernel.errors import Unavailable
from tidegate.kernel.objects import ObjectStore
from tidegate.storage.objects import open_objects
from tidegate.storage.objects.fingerprint import digest_of
from tidegate.storage.objects.folder import FolderObjects

_PUT_FOREVER = """
import json, sys
from tidegate.storage.objects import open_objects
objects = open_objects(sys.argv[1], **json.loads(sys.argv[3]))
number = 0
while True:
    data = f"{sys.argv[2]} {number}".encode() * (1 + number % 7 * int(sys.argv[4]))
    given = data if number % 2 else (data[at : at + 100_000] for at in range(0, len(data), 100_000))
    sys.stdout.write(objects.put(given).digest + "\\n")
    sys.stdout.flush()
    number += 1
"""

_PUT_SHARED = """
import sys
from tidegate.storage.objects.folder import FolderObjects
objects = FolderObjects(sys.argv[1])
sys.stdin.readline()
for number in range(60):
    data = str(number % 30).encode() * 5000
    objects.put(data if number % 2 else iter([data]))
"""

_PUT_BIG = """
import resource, sys
from tidegate.kernel.errors import Unavailable
from tidegate.storage.objects.folder import FolderObjects
objects = FolderObjects(sys.argv[1])
resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, 100_000))
for data in (b"x" * 500_000, iter([b"x" * 500_000])):
    try:
        objects.put(data)
    except Unavailable as error:
        print(error)
print(objects.put(b"small").size)
"""


def _start(code: str, *arguments: str) -> subprocess.Popen[str]:
    command = [sys.executable, "-c", code, *arguments]
    return subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)


def _put_and_kill(address: str, options: dict[str, object], repeat: int, rounds: int) -> set[str]:
    """Kill two writers in mid-put, again and again; the digests that they had acknowledged."""
    acknowledged: set[str] = set()
    for round_ in range(rounds):
        names = [f"{round_} {writer}" for writer in range(2)]
        writers = [_start(_PUT_FOREVER, address, name, json.dumps(options), str(repeat)) for name in names]
        for writer in writers:
            assert writer.stdout is not None
            acknowledged.add(writer.stdout.readline().strip())
        # Uneven delays, so that the kill hits other points of a put each time.
        threading.Event().wait(0.05 + 0.037 * round_)
        for writer in writers:
            os.kill(writer.pid, signal.SIGKILL)
            out, _ = writer.communicate(timeout=10)
            acknowledged.update(line for line in out.splitlines() if len(line) == 64)
    return acknowledged


def _check_whole(objects: ObjectStore, acknowledged: set[str]) -> None:
    listed = set(objects.list())
    assert acknowledged <= listed
    for digest in listed:
        data = objects.get(digest)
        assert digest_of(data) == digest
        assert objects.stat(digest).size == len(data)


def test_law_5_and_6_kill_9_loses_nothing_acknowledged_and_shows_nothing_partial(tmp_path: Path) -> None:
    acknowledged = _put_and_kill(str(tmp_path), {}, repeat=4000, rounds=6)
    objects = FolderObjects(tmp_path)
    assert len(acknowledged) > 50
    _check_whole(objects, acknowledged)
    objects.sweep_temporary(older_than_seconds=0)
    assert list((tmp_path / "temporary").iterdir()) == []


def test_law_5_and_6_kill_9_in_mid_upload_to_a_bucket() -> None:
    with s3_server() as endpoint:
        url = new_bucket(endpoint)
        acknowledged = _put_and_kill(url, s3_options(endpoint), repeat=600_000, rounds=3)
        _check_whole(open_objects(url, **s3_options(endpoint)), acknowledged)


def test_law_3_four_processes_put_the_same_bytes(tmp_path: Path) -> None:
    writers = [_start(_PUT_SHARED, str(tmp_path)) for _ in range(4)]
    for writer in writers:
        assert writer.stdin is not None
        writer.stdin.write("go\n")
        writer.stdin.flush()
    for writer in writers:
        writer.communicate(timeout=60)
    assert [writer.returncode for writer in writers] == [0] * 4
    objects = FolderObjects(tmp_path)
    expected = {str(number).encode() * 5000 for number in range(30)}
    assert {objects.get(digest) for digest in objects.list()} == expected
    assert len(list(objects.list())) == 30
    assert list((tmp_path / "temporary").iterdir()) == []


def _fill(objects: ObjectStore) -> None:
    while True:
        objects.put(os.urandom(4096))


@contextmanager
def _small_disk(folder: Path) -> Iterator[Path]:
    folder.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=4m", "tmpfs", str(folder)], capture_output=True, text=True
    )
    if mounted.returncode != 0:
        pytest.skip(f"mounting a small tmpfs is not permitted here: {mounted.stderr.strip()}")
    try:
        yield folder
    finally:
        subprocess.run(["umount", str(folder)], check=True)


def test_law_5_a_full_disk_is_said_and_leaves_nothing_behind(tmp_path: Path) -> None:
    with _small_disk(tmp_path / "small") as disk:
        objects = FolderObjects(disk)
        kept = objects.put(os.urandom(1_000_000))
        for big in (os.urandom(5_000_000), (os.urandom(100_000) for _ in range(60))):
            with pytest.raises(Unavailable, match="disk full"):
                objects.put(big)
        assert list((disk / "temporary").iterdir()) == []
        assert list(objects.list()) == [kept.digest]
        assert objects.get(kept.digest)
        with pytest.raises(Unavailable, match="disk full"):
            _fill(objects)
        assert len(list(objects.list())) > 100
        assert list((disk / "temporary").iterdir()) == []
        assert all(digest_of(objects.get(digest)) == digest for digest in objects.list())
        objects.delete(kept.digest)
        assert objects.put(b"after room was made").size == 19


def test_law_5_a_file_size_limit_is_said_and_leaves_nothing_behind(tmp_path: Path) -> None:
    ran = subprocess.run([sys.executable, "-c", _PUT_BIG, str(tmp_path)], capture_output=True, text=True, timeout=30)
    assert ran.returncode == 0, ran.stderr
    assert ran.stdout.count("disk full") == 2
    assert ran.stdout.splitlines()[-1] == "5"
    assert list((tmp_path / "temporary").iterdir()) == []
