"""A run while it runs, in the process that trains: what `runs.start` hands out."""

import contextvars
import threading
from collections.abc import Iterable, Mapping
from pathlib import Path
from types import TracebackType
from typing import Any, Literal, Protocol, Self

from tidegate.data.records import DatasetVersion, Origin
from tidegate.data.rows import Rows
from tidegate.kernel.errors import Invalid, NotFound, TidegateError, Unavailable
from tidegate.kernel.objects import ObjectPlane
from tidegate.runs.records import Artifact, Logged, Metric, Run, Value
from tidegate.runs.rules import check_artifact_name, spelt_params, told
from tidegate.runs.system import SystemSampler

BEAT_SECONDS = 60.0
"""So often a run that is a context manager says that it goes on."""

PIECE = 1024 * 1024
"""Bytes of a file that are read at a time."""


class RunBook(Protocol):
    """The operations of `Runs` by which a run is told."""

    def get(self, run_id: str) -> Run:
        """The run as it stands."""
        ...

    def log(
        self,
        run_id: str,
        *,
        params: dict[str, Value] = ...,
        metrics: tuple[Metric, ...] = ...,
        tags: dict[str, str] = ...,
        inputs: tuple[str, ...] = ...,
        artifacts: tuple[Artifact, ...] = ...,
    ) -> Logged:
        """Tell it more."""
        ...

    def heartbeat(self, run_id: str) -> Logged:
        """Say that it goes on."""
        ...

    def finish(self, run_id: str, *, status: Literal["finished", "failed"] = ..., error: str = ...) -> Run:
        """End it."""
        ...


class ActiveRun:
    """Logs to a run; as a context manager it also ends it.

    Left without an error the run is finished, with one it is failed and keeps the error's text, and the error goes on.
    Until then it says every `BEAT_SECONDS` that it goes on, so that a run whose process is gone is told from one that
    thinks.
    """

    def __init__(self, run: Run, runs: RunBook, objects: ObjectPlane, *, sampler: SystemSampler | None = None) -> None:
        self.id = run.id
        """The run's id."""
        self.experiment = run.experiment
        """The experiment that the run belongs to."""
        self._runs = runs
        self._objects = objects
        self._left = threading.Event()
        self._sampler = sampler
        if sampler is not None:
            sampler.begin(lambda metrics: runs.log(run.id, metrics=metrics))

    def log_params(self, params: Mapping[str, object] | None = None, /, **more: object) -> None:
        """Keep parameters. Raises `Conflict` for one that was kept with another value."""
        self._runs.log(self.id, params=spelt_params(dict(params or {}) | more))

    def log_metrics(self, metrics: Mapping[str, float], step: int | None = None) -> None:
        """Keep measurements; without a step they stand at step 0, in the order of time."""
        measured = tuple(
            Metric(name=name, value=float(value), step=0 if step is None else step) for name, value in metrics.items()
        )
        self._runs.log(self.id, metrics=measured)

    def set_tags(self, **tags: str) -> None:
        """Keep tags; a tag may be set again."""
        self._runs.log(self.id, tags=tags)

    def log_artifact(self, name: str, content: bytes | str | Path) -> Artifact:
        """Keep bytes, or the file at a path, under a name such as ``plots/roc.png``."""
        check_artifact_name(name)
        info = self._objects.put(content if isinstance(content, bytes) else _pieces(Path(content)))
        artifact = Artifact(name, info.digest, info.size)
        self._runs.log(self.id, artifacts=(artifact,))
        return artifact

    def log_input(self, source: DatasetVersion | Rows | str) -> None:
        """Note a dataset version, or rows of one, as something that went in."""
        self._runs.log(self.id, inputs=input_references([source]))

    def finish(self) -> Run:
        """End the run. Raises `Conflict` when it has ended already."""
        self._stop_sampling()
        return self._runs.finish(self.id)

    def _repr_html_(self) -> str:
        return self._runs.get(self.id)._repr_html_()

    def __enter__(self) -> Self:
        self._left.clear()
        beating = contextvars.copy_context().run
        threading.Thread(target=beating, args=(self._beat,), name=f"beat {self.id}", daemon=True).start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._left.set()
        self._stop_sampling()
        if error is None or (isinstance(error, SystemExit) and not error.code):
            if self._runs.get(self.id).status == "running":
                self._runs.finish(self.id)
            return
        try:
            self._runs.finish(self.id, status="failed", error=told(type(error).__name__, error))
        except TidegateError as second:
            error.add_note(f"run {self.id} could not be marked as failed: {second.message}")

    def _beat(self) -> None:
        while not self._left.wait(BEAT_SECONDS):
            try:
                self._runs.heartbeat(self.id)
            except Unavailable:
                continue
            except TidegateError:  # it has ended, or is deleted
                return

    def _stop_sampling(self) -> None:
        if self._sampler is not None:
            self._sampler.stop()


def input_references(sources: Iterable[DatasetVersion | Rows | str]) -> tuple[str, ...]:
    """The references of dataset versions, of rows, or as given."""
    found: list[str] = []
    for source in sources:
        found += _references(source)
    return tuple(dict.fromkeys(found))


def _references(source: Any) -> list[str]:
    if isinstance(source, str):
        return [source]
    if isinstance(source, DatasetVersion):
        return [str(source)]
    lineage = getattr(source, "lineage", None)
    if lineage is not None:
        return [origin.label or origin.digest for origin in lineage if isinstance(origin, Origin)]
    raise Invalid(f"an input is a dataset version, rows of one, or a reference such as 'flights/3', not {source!r:.80}")


def _pieces(path: Path) -> Iterable[bytes]:
    if not path.is_file():
        raise NotFound(f"there is no file {path} to keep as an artifact", path=str(path))
    return _read(path)


def _read(path: Path) -> Iterable[bytes]:
    with path.open("rb") as file:
        while piece := file.read(PIECE):
            yield piece
