"""Runs beside each other: what was told of each, and where they differ."""

from collections.abc import Sequence
from typing import ClassVar

import msgspec

from tidegate.kernel import notebook
from tidegate.kernel.clock import Instant
from tidegate.kernel.errors import Invalid, NotFound
from tidegate.kernel.operation import Service, operation
from tidegate.kernel.real import Real
from tidegate.runs.reading import RunRows
from tidegate.runs.records import Run, Status, Value

MOST_COMPARED = 100


class ComparedRun(msgspec.Struct, frozen=True, kw_only=True):
    """One of the runs."""

    id: str
    name: str
    experiment: str
    status: Status
    started_at: Instant
    code: str | None
    """What names its code, null outside of a git repository."""
    inputs: tuple[str, ...] = ()


class ComparedParam(msgspec.Struct, frozen=True):
    """A parameter, in the order of the runs; null where a run has none."""

    name: str
    values: tuple[Value, ...]
    differs: bool


class ComparedMetric(msgspec.Struct, frozen=True):
    """The latest of a metric, in the order of the runs; null where a run has none."""

    name: str
    values: tuple[Real | None, ...]
    differs: bool


class Comparison(msgspec.Struct, frozen=True, kw_only=True):
    """Runs beside each other; parameters and metrics by name."""

    runs: tuple[ComparedRun, ...]
    params: tuple[ComparedParam, ...] = ()
    metrics: tuple[ComparedMetric, ...] = ()

    def _repr_html_(self) -> str:
        heads: list[list[object]] = [
            ["status", *(run.status for run in self.runs)],
            ["started", *(run.started_at for run in self.runs)],
            ["code", *((run.code or "")[:12] for run in self.runs)],
            ["inputs", *(run.inputs for run in self.runs)],
        ]
        told: list[ComparedParam | ComparedMetric] = [*self.params, *self.metrics]
        rows: list[list[object]] = [[one.name, *one.values] for one in told]
        return notebook.grid(
            f"{len(self.runs)} runs",
            ["", *(run.name or run.id for run in self.runs)],
            heads + rows,
            strong=[False] * len(heads) + [one.differs for one in told],
        )


class RunComparing(Service):
    """Looks at several runs at once."""

    room: ClassVar[str] = "runs"
    _store: RunRows

    @operation("POST /runs/compare", role="viewer", audit="none", transaction=False)
    def compare(self, run_ids: tuple[str, ...], *, different: bool = False) -> Comparison:
        """Runs beside each other (2 to 100): their parameters, and the latest of their metrics.

        ``different`` leaves out what is the same in all of them.
        """
        if not 2 <= len(run_ids) <= MOST_COMPARED or len(set(run_ids)) < len(run_ids):
            raise Invalid(f"name 2 to {MOST_COMPARED} runs, each once, not {len(run_ids)}", field="run_ids")
        return compared([self._run(run_id) for run_id in run_ids], different=different)

    def _run(self, run_id: str) -> Run:
        found = self._store.get(run_id)
        if found is None:
            raise NotFound(f"there is no run {run_id!r}; runs.list shows what there is", run_id=run_id)
        return found


def compared(runs: Sequence[Run], *, different: bool = False) -> Comparison:
    """The comparison of some runs."""
    params, metrics = [], []
    for name in sorted({name for run in runs for name in run.params}):
        values = tuple(run.params.get(name) for run in runs)
        there = {name in run.params for run in runs}
        params.append(ComparedParam(name, values, len(there) > 1 or len({repr(value) for value in values}) > 1))
    for name in sorted({name for run in runs for name in run.metrics}):
        measured = tuple(run.metrics.get(name) for run in runs)
        same = len({repr(None if value is None else float(value)) for value in measured}) == 1
        metrics.append(ComparedMetric(name, tuple(None if one is None else Real(one) for one in measured), not same))
    return Comparison(
        runs=tuple(
            ComparedRun(
                id=run.id,
                name=run.name,
                experiment=run.experiment,
                status=run.status,
                started_at=run.started_at,
                code=run.code.key,
                inputs=tuple(one.label for one in run.inputs),
            )
            for run in runs
        ),
        params=tuple(one for one in params if one.differs or not different),
        metrics=tuple(one for one in metrics if one.differs or not different),
    )
