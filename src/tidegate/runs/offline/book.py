"""The operations of a run, answered by its journal instead of a home."""

import threading
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Literal

from msgspec.structs import replace

from tidegate.kernel.clock import BusinessClock, SystemClock
from tidegate.kernel.context import actor
from tidegate.kernel.errors import Conflict, Invalid
from tidegate.kernel.ids import IdFactory
from tidegate.kernel.names import check_name, parse_reference
from tidegate.kernel.objects import ObjectPlane
from tidegate.runs.active import ActiveRun
from tidegate.runs.capture import capture_code, capture_environment
from tidegate.runs.offline.entries import Begun, Ended, Entry
from tidegate.runs.offline.journal import FOLDER, OBJECTS, RunJournal
from tidegate.runs.records import ENDED, Artifact, Logged, Metric, Run, Value
from tidegate.runs.rules import NOTED_ERROR, check_kept, check_metrics, check_params, check_run_name, check_tags
from tidegate.runs.system import SystemSampler
from tidegate.storage.objects import open_objects


class OfflineBook:
    """A `RunBook` of one run, in its journal. It refuses at once what a home would refuse when it is uploaded."""

    def __init__(self, journal: RunJournal, run: Run, clock: BusinessClock) -> None:
        self._journal = journal
        self._run = run
        self._clock = clock
        self._lock = threading.Lock()

    def get(self, run_id: str) -> Run:
        """The run as it stands; inputs and artifacts are in the journal alone."""
        return self._run

    def log(
        self,
        run_id: str,
        *,
        params: dict[str, Value] = {},  # noqa: B006 - never changed
        metrics: tuple[Metric, ...] = (),
        tags: dict[str, str] = {},  # noqa: B006 - never changed
        inputs: tuple[str, ...] = (),
        artifacts: tuple[Artifact, ...] = (),
    ) -> Logged:
        """Note more. Raises `Conflict` for a parameter that has another value, and when the run has ended."""
        check_params(params)
        check_metrics(metrics)
        check_tags(tags)
        check_inputs(inputs)
        now = self._clock.now()
        dated = tuple(one if one.at is not None else replace(one, at=now) for one in metrics)
        with self._lock:
            self._require_open()
            check_kept(run_id, params, self._run.params)
            self._journal.append(Entry(params=params, metrics=dated, tags=tags, inputs=inputs, artifacts=artifacts))
            self._run = replace(self._run, params=self._run.params | params, tags=self._run.tags | tags)
        return Logged(run_id, len(params), len(metrics), len(tags), len(inputs), len(artifacts))

    def heartbeat(self, run_id: str) -> Logged:
        """Nothing: nobody hears of the run before it is uploaded. Raises `Conflict` when it has ended."""
        with self._lock:
            self._require_open()
        return Logged(run_id)

    def finish(self, run_id: str, *, status: Literal["finished", "failed"] = "finished", error: str = "") -> Run:
        """Note the end, and close the journal."""
        with self._lock:
            self._require_open()
            now = self._clock.now()
            self._journal.append(Entry(ended=Ended(status=status, error=error[:NOTED_ERROR], at=now)))
            self._run = replace(self._run, status=status, error=error[:NOTED_ERROR], ended_at=now)
            self._journal.close()
        return self._run

    def _require_open(self) -> None:
        if self._run.status in ENDED:
            raise Conflict(f"run {self._run.id} has ended ({self._run.status}) and takes nothing more: start another")


def begin(
    folder: str | Path | Literal[True],
    experiment: str,
    *,
    name: str,
    parent: str,
    params: dict[str, Value],
    tags: Mapping[str, str],
    inputs: tuple[str, ...],
    sampler: SystemSampler | None,
) -> ActiveRun:
    """Begin a run that is kept in a folder, beside others of it; True: in the folder that `upload` looks in first."""
    check_name(experiment, "experiment")
    check_run_name(name)
    check_params(params)
    check_tags(tags)
    check_inputs(inputs)
    folder, clock = Path(FOLDER if folder is True else folder), SystemClock()
    now = clock.now()
    run_id = IdFactory(clock).new(now)
    objects: ObjectPlane = open_objects(folder / OBJECTS)
    begun = Begun(
        experiment=experiment,
        name=name,
        parent=parent,
        started_at=now,
        code=capture_code(objects),
        environment=capture_environment(objects),
    )
    run = Run(
        id=run_id,
        name=name,
        experiment=experiment,
        experiment_id="",
        parent=parent or None,
        status="running",
        started_at=now,
        actor=actor(),
        params=params,
        tags=dict(tags),
        code=begun.code,
        environment=begun.environment,
    )
    journal = RunJournal(folder, run_id, now)
    journal.append(Entry(begun=begun, params=params, tags=dict(tags), inputs=inputs))
    return ActiveRun(run, OfflineBook(journal, run, clock), objects, sampler=sampler)


def check_inputs(references: Iterable[str]) -> None:
    """Raises `Invalid` for a reference that may mean another version by the time it is uploaded."""
    for text in references:
        reference = parse_reference(text, "input")
        if reference.number is None and reference.digest is None:
            raise Invalid(
                f"input {text!r} of an offline run must name its version, such as '{reference.name}/3': which one is "
                "meant is only looked up when the run is uploaded",
                field="inputs",
            )
