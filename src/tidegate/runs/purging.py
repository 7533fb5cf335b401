"""What was deleted long enough ago goes for good: runs, experiments, and their hold on objects."""

from collections.abc import Collection
from datetime import timedelta
from typing import Annotated, ClassVar, Protocol

import msgspec

from tidegate.events.records import Facts
from tidegate.kernel.clock import EARLIEST, BusinessClock, to_micros
from tidegate.kernel.operation import Service, operation
from tidegate.kernel.pages import page_size
from tidegate.lineage.records import Graph, Node

METRICS_AT_ONCE = 200
"""Metrics of a purged run that one transaction forgets."""


class Purged(msgspec.Struct, frozen=True, kw_only=True):
    """What a purge removed, or would remove."""

    runs: tuple[str, ...] = ()
    """Their ids."""
    experiments: tuple[str, ...] = ()
    """Their ids."""
    objects: int = 0
    """Objects that these runs referred to; those to which nothing else does are swept after the grace period."""
    kept: int = 0
    """Runs that were deleted as long ago, and are kept because a version of a model came from them."""
    more: bool = False
    """Whether there is more to purge: call again."""


class PurgeStore(Protocol):
    """The rows of what is purged. Moments are microseconds of business time."""

    def due(self, before: int, limit: int) -> list[str]:
        """Runs that were deleted by a moment, they or their experiment, and that no version came from."""
        ...

    def kept(self, before: int) -> int:
        """How many were deleted by a moment, and are kept because a version came from them."""
        ...

    def remove(self, run_id: str, before: int, now: int) -> tuple[str, ...] | None:
        """Delete a run and all but its measurements; the objects that it referred to. None if it is not due."""
        ...

    def unfinished(self) -> str | None:
        """A purged run of which measurements may be left."""
        ...

    def forget(self, run_id: str, limit: int) -> bool:
        """Delete so many metrics of a purged run; whether none is left."""
        ...

    def empty(self, before: int, limit: int) -> list[str]:
        """Experiments that were deleted by a moment, and have no runs any more."""
        ...

    def remove_experiment(self, experiment_id: str, before: int) -> bool:
        """Delete one of those; whether it still was one."""
        ...


class Releases(Protocol):
    """Where is noted that nothing holds objects any more, perhaps."""

    def add(self, digests: Collection[str]) -> None:
        """Note that something let go of objects, inside the transaction in which it did."""
        ...


class Purger:
    """Purges, inside the ambient transaction.

    Laws:

    1. **Policy.** Only what was deleted, and stays so, for as many days of business time is purged: a run by itself
       or with its experiment, an experiment once it has no runs.
    2. **Whole.** Of a purged run nothing is left: params, metrics, tags, inputs, artifacts' references, edges, row.
       A draft that it left stays, and names it no more; what it measured of drafts goes.
    3. **Versions.** A run that a version of a model came from is kept as long as its edge to the version is.
    4. **Released.** Every object that a purged run referred to is released, in the same transaction.
    5. **For good.** Nothing brings a purged run back: no restore, and no journal that is uploaded again.
    """

    def __init__(
        self, *, store: PurgeStore, releases: Releases, clock: BusinessClock, facts: Facts, graph: Graph, days: int
    ) -> None:
        self._store = store
        self._releases = releases
        self._clock = clock
        self._facts = facts
        self._graph = graph
        self._days = days

    def before(self, days: int | None = None) -> int:
        """What was deleted by this moment is purged."""
        now = self._clock.now()
        days = self._days if days is None else days
        return to_micros(now - timedelta(days=min(days, (now - EARLIEST).days)))

    def anything(self) -> bool:
        """Whether the policy has anything to do."""
        before, store = self.before(), self._store
        return bool(store.due(before, 1) or store.empty(before, 1) or store.unfinished())

    def would(self, before: int, limit: int) -> Purged:
        """What `purge` would remove, without the experiments that lose their last runs by it."""
        runs, experiments = self._store.due(before, limit + 1), self._store.empty(before, limit)
        return Purged(
            runs=tuple(runs[:limit]),
            experiments=tuple(experiments),
            kept=self._store.kept(before),
            more=len(runs) > limit,
        )

    def purge(self, before: int, limit: int) -> Purged:
        """Remove some runs, then the experiments that are empty."""
        now = to_micros(self._clock.now())
        removed: list[str] = []
        objects: set[str] = set()
        due = self._store.due(before, limit + 1)
        for run_id in due[:limit]:
            digests = self._store.remove(run_id, before, now)
            if digests is not None:
                self._graph.forget(Node("run", run_id))
                self._store.forget(run_id, METRICS_AT_ONCE)
                self._facts.append("tidegate.runs.purged", run_id)
                objects.update(digests)
                removed.append(run_id)
        self._releases.add(objects)
        gone = [one for one in self._store.empty(before, limit) if self._store.remove_experiment(one, before)]
        for experiment in gone:
            self._facts.append("tidegate.experiments.purged", experiment)
        return Purged(
            runs=tuple(removed),
            experiments=tuple(gone),
            objects=len(objects),
            kept=self._store.kept(before),
            more=len(due) > limit,
        )

    def finish(self) -> bool:
        """Forget measurements of a run that was purged; whether there may be more."""
        run_id = self._store.unfinished()
        if run_id is not None:
            self._store.forget(run_id, METRICS_AT_ONCE)
        return run_id is not None


class RunPurging(Service):
    """How deleted runs go for good."""

    room: ClassVar[str] = "runs"
    _purger: Purger

    @operation("POST /runs/purge", role="admin", audit="change")
    def purge(
        self,
        *,
        days: Annotated[int, msgspec.Meta(ge=0)] | None = None,
        limit: int = 20,
        dry_run: bool = False,
    ) -> Purged:
        """Remove runs and experiments that were deleted so many days ago for good, the setting's unless given.

        A server does this by itself, by the setting `retention_days`. Runs that a version of a model came from are
        kept. Objects to which nothing refers any more are swept after the grace period. ``dry_run`` only looks.
        """
        before = self._purger.before(days)
        do = self._purger.would if dry_run else self._purger.purge
        return do(before, page_size(limit))
