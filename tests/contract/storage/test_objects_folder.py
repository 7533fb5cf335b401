"""What a folder of objects does beyond the common laws: its files, its lines of sums, its leftovers."""

import os
import stat
from pathlib import Path

import pytest

from tidegate.kernel.errors import Internal, Invalid, Unavailable
from tidegate.storage.objects.disk import Part
from tidegate.storage.objects.folder import FolderObjects
from tidegate.storage.objects.sums import sums_path


def _path(objects: FolderObjects, digest: str) -> Path:
    path = objects.local_path(digest)
    assert path is not None
    return path


def test_objects_are_read_only_files_fanned_out_by_digest(tmp_path: Path) -> None:
    objects = FolderObjects(tmp_path)
    info = objects.put(b"x")
    path = _path(objects, info.digest)
    assert path == tmp_path / info.digest[:2] / info.digest[2:]
    assert not path.stat().st_mode & (stat.S_IWUSR | stat.S_IWGRP | stat.S_IWOTH)
    assert list((tmp_path / "temporary").iterdir()) == []


@pytest.mark.parametrize("torn", [None, b"", b"abc", b"\xff\x00", "shorter", "flipped", "another"])
def test_lost_or_torn_sums_are_taken_from_the_bytes_once(tmp_path: Path, torn: bytes | str | None) -> None:
    objects = FolderObjects(tmp_path)
    data = b"some bytes" * 10_000
    info = objects.put(data)
    sums = sums_path(_path(objects, info.digest))
    good = sums.read_bytes()
    other = sums_path(_path(objects, objects.put(data[::-1]).digest)).read_bytes()
    sums.unlink()
    if torn is not None:
        named = {"shorter": good[:-3], "flipped": b"0" + good[1:], "another": other}
        sums.write_bytes(named[torn] if isinstance(torn, str) else torn)
    assert objects.stat(info.digest) == info
    assert sums.read_bytes() == good


def test_sums_are_not_invented_for_a_damaged_object(tmp_path: Path) -> None:
    objects = FolderObjects(tmp_path)
    data = b"some bytes" * 10_000
    info = objects.put(data)
    path = _path(objects, info.digest)
    sums_path(path).unlink()
    path.unlink()
    path.write_bytes(data[:-1] + b"z")
    with pytest.raises(Internal, match=info.digest):
        objects.stat(info.digest)


def test_foreign_files_are_not_listed(tmp_path: Path) -> None:
    objects = FolderObjects(tmp_path)
    info = objects.put(b"x")
    (tmp_path / info.digest[:2] / "notes.txt").write_bytes(b"")
    (tmp_path / info.digest[:2] / ("0" * 62)).mkdir()
    (tmp_path / "README").write_bytes(b"")
    (tmp_path / "zz").mkdir()
    assert list(objects.list()) == [info.digest]


def test_a_sweep_takes_old_leftovers_and_spares_the_living(tmp_path: Path) -> None:
    objects = FolderObjects(tmp_path)
    temporary = tmp_path / "temporary"
    alive = Part(temporary)
    dead, young = temporary / "dead.part", temporary / "young.part"
    for path in (dead, young):
        path.write_bytes(b"half")
    for path in (dead, alive.path):
        os.utime(path, (0, 0))
    assert objects.sweep_temporary(older_than_seconds=60) == 1
    assert sorted(temporary.iterdir()) == sorted([alive.path, young])
    alive.discard()
    assert objects.sweep_temporary(older_than_seconds=0) == 1
    with pytest.raises(Invalid, match="age"):
        objects.sweep_temporary(older_than_seconds=-1)


def test_a_stream_survives_the_deletion_of_its_object(tmp_path: Path) -> None:
    objects = FolderObjects(tmp_path)
    info = objects.put(b"x" * 3_000_000)
    pieces = objects.stream(info.digest)
    objects.delete(info.digest)
    assert sum(map(len, pieces)) == info.size


def test_a_stream_that_nobody_reads_leaves_no_file_open(tmp_path: Path) -> None:
    objects = FolderObjects(tmp_path)
    info = objects.put(b"x")
    before = len(list(Path("/proc/self/fd").iterdir()))
    for _ in range(20):
        objects.stream(info.digest)
    assert len(list(Path("/proc/self/fd").iterdir())) == before


def test_a_folder_that_vanished_is_explained_and_a_lostfan_out_is_made_again(tmp_path: Path) -> None:
    objects = FolderObjects(tmp_path / "objects")
    info = objects.put(b"x")
    objects.delete(info.digest)
    fan_out = tmp_path / "objects" / info.digest[:2]
    fan_out.rmdir()
    assert objects.put(b"x") == info
    for path in sorted((tmp_path / "objects").rglob("*"), reverse=True):
        path.rmdir() if path.is_dir() else path.unlink()
    (tmp_path / "objects").rmdir()
    with pytest.raises(Unavailable, match="cannot begin an object"):
        objects.put(b"x")
    with pytest.raises(Unavailable, match="cannot list"):
        list(objects.list())


@pytest.mark.parametrize("streamed", [False, True])
def test_law_6_bytes_are_synced_before_the_name_and_the_name_before_the_return(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, streamed: bool
) -> None:
    objects = FolderObjects(tmp_path)
    steps: list[str] = []
    fsync, replace = os.fsync, Path.replace

    def watched_fsync(descriptor: int) -> None:
        steps.append(f"sync {Path(f'/proc/self/fd/{descriptor}').readlink().relative_to(tmp_path)}")
        fsync(descriptor)

    def watched_replace(path: Path, target: Path) -> Path:
        steps.append(f"{path.relative_to(tmp_path)} becomes {target.relative_to(tmp_path)}")
        return replace(path, target)

    monkeypatch.setattr(os, "fsync", watched_fsync)
    monkeypatch.setattr(Path, "replace", watched_replace)
    data = b"x" * 100_000
    digest = objects.put(iter([data]) if streamed else data).digest
    fan_out, name = digest[:2], digest[2:]
    synced, root, sums, placed, last = steps
    part = synced.removeprefix("sync ")
    assert part.startswith("temporary/")
    assert root == "sync ."
    assert sums.endswith(f" becomes {fan_out}/{name}.sums")
    assert placed == f"{part} becomes {fan_out}/{name}"
    assert last == f"sync {fan_out}"
    steps.clear()
    objects.put(data)
    assert steps == [f"sync {fan_out}"]
    objects.delete(digest)
    steps.clear()
    objects.put(b"small")
    assert not any(".sums" in step for step in steps)
