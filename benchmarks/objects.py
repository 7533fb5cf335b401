"""Objects in a folder beside the limit: plain files made as durable, and plain reads, in the same run.

Run it as `python benchmarks/objects.py [--folder DIR] [--json]`. The ratio is ours to the limit's: 1.0 is perfect.
"""

import argparse
import json
import os
import statistics
import tempfile
from collections.abc import Callable
from pathlib import Path
from time import perf_counter

from tidegate.storage.objects.fingerprint import digest_of, fingerprint_of
from tidegate.storage.objects.folder import FolderObjects

SMALL, SMALL_COUNT = 4096, 300
LARGE, LARGE_COUNT = 64 * 1024 * 1024, 2
ROUNDS = 5


def raw_put(file: Path, data: bytes) -> Path:
    """The same promise by hand: write beside, fsync, rename, fsync the folder."""
    part = file.with_suffix(".part")
    descriptor = os.open(part, os.O_CREAT | os.O_EXCL | os.O_WRONLY)
    view = memoryview(data)
    while view:
        view = view[os.write(descriptor, view) :]
    os.fsync(descriptor)
    os.close(descriptor)
    part.rename(file)
    holder = os.open(file.parent, os.O_RDONLY)
    os.fsync(holder)
    os.close(holder)
    return file


def seconds(work: Callable[[], object]) -> float:
    """How long the work takes."""
    began = perf_counter()
    work()
    return perf_counter() - began


def compare(ours: list[float], limit: list[float], amount: float) -> dict[str, float]:
    """Rates from the medians of interleaved rounds, and their ratio."""
    mine, best = statistics.median(ours), statistics.median(limit)
    return {"ours": amount / mine, "limit": amount / best, "ratio": best / mine}


def one_round(objects: FolderObjects, plain: Path, data: list[bytes], times: dict[str, list[float]]) -> None:
    """Time each kind of work once, ours and the limit's next to each other; leave both folders empty."""
    digests = [digest_of(item) for item in data]
    files = [plain / f"{at}" for at in range(len(data))]
    times["raw put"].append(seconds(lambda: [raw_put(file, item) for file, item in zip(files, data, strict=True)]))
    times["put"].append(seconds(lambda: [objects.put(item) for item in data]))
    times["hash"].append(seconds(lambda: [fingerprint_of(item) for item in data]))
    times["raw get"].append(seconds(lambda: [file.read_bytes() for file in files]))
    times["get"].append(seconds(lambda: [objects.get(digest) for digest in digests]))
    times["stat"].append(seconds(lambda: [objects.stat(digest) for digest in digests]))
    for digest, file in zip(digests, files, strict=True):
        objects.delete(digest)
        file.unlink()


def measure(folder: Path, size: int, count: int, amount: float) -> dict[str, dict[str, float]]:
    """Put and get `count` objects of `size` bytes; `amount` says what a round is counted as."""
    objects = FolderObjects(folder / "ours")
    plain = folder / "plain"
    plain.mkdir(exist_ok=True)
    for name in range(256):
        # Fan-out folders are made and synced once in the life of a store: not what is measured.
        objects._make_fan_out(folder / "ours" / f"{name:02x}")
    times: dict[str, list[float]] = {key: [] for key in ("put", "raw put", "hash", "get", "raw get", "stat")}
    for _ in range(ROUNDS):
        one_round(objects, plain, [os.urandom(size) for _ in range(count)], times)
    return {
        "put": compare(times["put"], times["raw put"], amount),
        "put, its hashing alone": compare(times["hash"], times["raw put"], amount),
        "get": compare(times["get"], times["raw get"], amount),
        "stat": compare(times["stat"], times["raw get"], amount),
    }


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--folder", type=Path, help="where to write; a temporary folder otherwise")
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(dir=options.folder) as folder:
        small = measure(Path(folder), SMALL, SMALL_COUNT, SMALL_COUNT)
        large = measure(Path(folder), LARGE, LARGE_COUNT, LARGE * LARGE_COUNT / 2**20)
    results = {"4 KiB objects, per second": small, "64 MiB objects, MiB per second": large}
    if options.json:
        print(json.dumps(results))
        return
    for title, rows in results.items():
        print(f"{title:34}{'ours':>12}{'limit':>12}{'ratio':>8}")
        for name, row in rows.items():
            print(f"  {name:32}{row['ours']:12,.0f}{row['limit']:12,.0f}{row['ratio']:8.2f}")


if __name__ == "__main__":
    main()
