"""The numbered laws of the sweeper, on both catalogs: what nothing refers to goes, and nothing else."""

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import suppress
from datetime import datetime, timedelta
from pathlib import Path

import msgspec
import polars as pl
import pytest

from tests.contract.models.kept_models import kept
from tests.postgres import catalog_on
from tidegate.kernel.clock import SystemClock
from tidegate.kernel.errors import Invalid
from tidegate.kernel.settings import Settings
from tidegate.runs.records import Artifact, Code, Environment
from tidegate.storage.journal.catalog_index import segments
from tidegate.storage.released import Claims, Released, holding_columns, released
from tidegate.storage.schema import metadata
from tidegate.storage.sweeping import REST_SECONDS, Sweeper
from tidegate.workspace import LocalWorkspace, open_local


class Later(SystemClock):
    """The machine's clock, some time ahead."""

    ahead = timedelta(0)

    def wall(self) -> datetime:
        return super().wall() + self.ahead


@pytest.fixture(params=["sqlite", "postgres"])
def space(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[LocalWorkspace]:
    """A home."""
    catalog = catalog_on(request.param, request)
    with open_local(Settings(home=str(tmp_path / "home"), catalog=catalog)) as opened:
        yield opened


def release(space: LocalWorkspace, *digests: str) -> None:
    storage = space.storage
    storage.catalog.write(lambda: Released(storage.catalog, storage.machine).add(digests))


def sweep(space: LocalWorkspace, grace: float = 0.0, machine: SystemClock | None = None) -> int:
    """Sweep until nothing is due; how many steps that took."""
    storage = space.storage
    sweeper = Sweeper(storage.catalog, storage.objects, storage.audit, machine or SystemClock(), grace)
    steps = 0
    while sweeper.step() == 0.0:
        steps += 1
        assert steps < 50
    return steps


def put(space: LocalWorkspace, content: bytes, age: float = 0.0) -> str:
    """Store an object that was last put so many seconds ago."""
    digest = space.objects.put(content).digest
    path = space.objects.local_path(digest)
    assert path is not None
    then = path.stat().st_mtime - age
    os.utime(path, (then, then))
    return digest


def test_law_1_only_what_was_released_is_swept(space: LocalWorkspace) -> None:
    digests = [put(space, f"{number}".encode(), 1e6) for number in range(30)]
    release(space, *digests[:20])
    assert sweep(space) == 1
    assert [space.objects.exists(digest) for digest in digests] == [False] * 20 + [True] * 10
    assert sweep(space) == 0
    storage = space.storage
    assert Sweeper(storage.catalog, storage.objects, storage.audit, storage.machine, 0.0).step() == REST_SECONDS


def test_law_2_what_anything_refers_to_is_kept(space: LocalWorkspace) -> None:
    version = space.data.commit("points", pl.DataFrame({"x": [1.0, 2.0]}))
    model = kept("linear, no nulls").log("m", space.models, space.objects)
    run = space.runs.start("flights")
    artifact = run.log_artifact("a", b"artifact")
    diff, packages, parquet = (put(space, name) for name in (b"diff", b"packages", b"parquet"))
    space.runs.create(
        "flights",
        code=Code(commit="c", diff_digest=diff),
        environment=Environment(python="3", platform="x", packages=0, packages_digest=packages),
    )
    storage = space.storage
    row = {
        column.name: 0 if column.type.python_type is int else "x" * 3 for column in segments.c if not column.nullable
    }
    with_segment = segments.insert().values(**row | {"sequence": 1, "digest": parquet})

    def index() -> None:
        with storage.catalog.connect() as connection:
            connection.execute(with_segment)

    storage.catalog.write(index)
    held = {
        version.digest,
        *(fragment.digest for fragment in version.fragments),
        *model.manifest.files.values(),
        artifact.digest,
        diff,
        packages,
        parquet,
    }
    loose = put(space, b"loose")
    release(space, *held, loose)
    sweep(space)
    assert {digest for digest in held if space.objects.exists(digest)} == held
    assert not space.objects.exists(loose)
    assert space.data.frame("points").height == 2
    assert left(space) == []


def left(space: LocalWorkspace) -> list[str]:
    """What is still released."""
    with space.storage.catalog.connect() as connection:
        return list(connection.execute(released.select()).scalars())


def test_law_2_a_column_holds_unless_it_says_otherwise() -> None:
    columns = {f"{column.table.name}.{column.name}" for column in holding_columns()}
    assert columns >= {
        "run_artifact.digest",
        "run.code",
        "run.environment",
        "dataset_version.digest",
        "dataset_version.manifest",
        "model_version.manifest",
        "journal_segment.digest",
        "drift_window.inputs",
    } & {f"{one.name}.{column.name}" for one in metadata.sorted_tables for column in one.columns}
    assert not columns & {"event.data", "idempotency.answer", "run_metric_blob.blob", "released_object.digest"}


def test_law_3_what_was_put_of_late_is_kept_for_the_time_of_grace(space: LocalWorkspace) -> None:
    machine = Later()
    old, young = put(space, b"old", 7200.0), put(space, b"young")
    release(space, old, young)
    sweep(space, 3600.0, machine)
    assert (space.objects.exists(old), space.objects.exists(young)) == (False, True)
    machine.ahead = timedelta(seconds=1800)
    assert sweep(space, 3600.0, machine) == 0
    put(space, b"young", 7200.0)
    machine.ahead = timedelta(seconds=3700)
    assert sweep(space, 3600.0, machine) == 1
    assert not space.objects.exists(young)


def test_law_4_whoever_refers_to_an_old_object_has_it_or_is_told(space: LocalWorkspace) -> None:
    run = space.runs.create("flights")
    kept_, lost = 0, 0
    for number in range(15):
        content = f"{number}".encode()
        digest = put(space, content)
        together = threading.Barrier(2)

        def sweeping(digest: str = digest, together: threading.Barrier = together) -> None:
            together.wait()
            release(space, digest)
            sweep(space)

        thread = threading.Thread(target=sweeping)
        thread.start()
        together.wait()
        with suppress(Invalid):
            space.runs.log(run.id, artifacts=(Artifact(f"a{number}", digest, len(content)),))
        thread.join()
        held = any(one.digest == digest for one in space.runs.get(run.id).artifacts)
        assert space.objects.exists(digest) or not held
        kept_, lost = kept_ + held, lost + (not held)
    assert kept_ + lost == 15


def test_law_4_who_releases_waits_for_who_refers(space: LocalWorkspace) -> None:
    storage = space.storage
    digest = put(space, b"old")
    claimed, done = threading.Event(), threading.Event()
    run = space.runs.create("flights")

    def refer() -> None:
        def work() -> None:
            Claims(storage.catalog).hold([digest])
            claimed.set()
            done.wait(0.3)
            space.runs.log(run.id, artifacts=(Artifact("a", digest, 3),))

        storage.catalog.write(work)

    thread = threading.Thread(target=refer)
    thread.start()
    assert claimed.wait(10)
    with open_local(space.settings) as other:  # another process, as far as the catalog knows
        release(other, digest)
        sweep(other)
    thread.join()
    assert [one.digest for one in space.runs.get(run.id).artifacts] == [digest]
    assert space.objects.exists(digest)


KILLED = """
import sys
from tidegate.kernel.settings import Settings
from tidegate.storage.sweeping import Sweeper
from tidegate.workspace import open_local
import msgspec
with open_local(msgspec.json.decode(sys.argv[1], type=Settings)) as space:
    storage = space.storage
    print("begun", flush=True)
    while Sweeper(storage.catalog, storage.objects, storage.audit, storage.machine, 0.0).step() == 0.0:
        pass
"""


def test_law_5_what_a_death_cuts_off_is_done_by_the_next_step(space: LocalWorkspace) -> None:
    digests = [put(space, f"{number}".encode()) for number in range(150)]
    held = Artifact("kept", put(space, b"kept"), 4)
    space.runs.log(space.runs.create("flights").id, artifacts=(held,))
    release(space, *digests, held.digest)
    command = [sys.executable, "-c", KILLED, msgspec.json.encode(space.settings).decode()]
    with subprocess.Popen(command, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        process.stdout.readline()
        while process.poll() is None and all(map(space.objects.exists, digests[::7])):
            time.sleep(0.001)
        if process.poll() is None:
            process.send_signal(signal.SIGKILL)
    sweep(space)
    assert not any(map(space.objects.exists, digests))
    assert space.objects.exists(held.digest)
    assert left(space) == []
    told = " ".join(row.detail for row in space.audit.list(limit=1000).items if row.operation == "objects.sweep")
    assert all(digest in told for digest in digests)


def test_law_6_what_was_swept_is_in_the_audit(space: LocalWorkspace) -> None:
    digests = {put(space, f"{number}".encode()) for number in range(3)}
    release(space, *digests)
    sweep(space)
    rows = [row for row in space.audit.list().items if row.operation == "objects.sweep"]
    told = [row.detail.split(": ")[1].split() for row in rows]  # a row a piece, and a busy machine takes several
    assert sorted(digest for names in told for digest in names) == sorted(digests)
    for row, names in zip(rows, told, strict=True):
        assert (row.actor, row.subject, row.outcome) == ("controller:sweeping", f"{len(names)} objects", "ok")
    assert space.audit.verify().intact
