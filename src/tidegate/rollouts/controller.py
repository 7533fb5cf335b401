"""Fulfils what canary deployments wish: follows the prediction log, judges, and moves the share."""

from collections.abc import Callable
from typing import Any, Final, Literal, Protocol

import msgspec
import polars as pl

from tidegate.endpoints.moves import Moves
from tidegate.endpoints.records import Deployment
from tidegate.kernel.clock import BusinessClock, MachineClock
from tidegate.kernel.objects import ObjectStore
from tidegate.monitors.profile import packed, unpacked
from tidegate.predictions.following import Follower, News
from tidegate.predictions.records import LABELS, PREDICTIONS, Mark
from tidegate.rollouts import pairs, rules
from tidegate.rollouts.acts import Acts
from tidegate.rollouts.records import Changes, Following, KeptRollout, Rollout, StepTaken

Fence = Callable[[Any], None]
Stage = Literal["read", "computed", "stored", "saved", "cleaned"]

REST: Final = 9
"""A step is followed by a pause of at least so many times its own length."""


class ControllerStore(Protocol):
    """What the controller asks of the catalog."""

    def following(self) -> Following:
        """The rollouts that are running, and how far the log has been followed, as of one moment."""
        ...

    def save(self, changes: Changes, revision: int) -> None:
        """Write changes inside the ambient transaction; `Conflict` when the state is no longer of that revision."""
        ...


Write = Callable[[Callable[[], None], Fence | None], None]
"""Commits what a function writes, on behalf of `acts.ACTOR`, unless the fence refuses."""


class RolloutController:
    """Begins, watches and decides rollouts. One is enough for a home.

    Laws:

    1. **Once.** Tests, marks, shares, facts and audit change in one transaction: a controller killed anywhere is
       replaced by another one, which goes on with the same evidence. Two at a time do no harm.
    2. **News only.** A step reads what was logged since the last one, and the rows that wait for their labels.
    3. **Every label.** A label that was logged is paired with its row, if that is a rollout's, whatever the order in
       which files were written and read. The first label of a prediction counts.
    4. **Own rows.** A rollout sees the rows that were logged after it began, and only those of its two versions.

    `every`: seconds between steps while nothing is left to read.  `batch`: records read at a time.
    Durations are in business time: where that is simulated, days pass as fast as it is told to.
    """

    def __init__(
        self,
        *,
        store: ControllerStore,
        moves: Moves,
        acts: Acts,
        write: Write,
        predictions: Follower,
        labels: Follower,
        objects: ObjectStore,
        clock: BusinessClock,
        machine: MachineClock,
        every: float = 1.0,
        batch: int = 50_000,
        observe: Callable[[Stage], None] = lambda stage: None,
    ) -> None:
        self._store = store
        self._moves = moves
        self._acts = acts
        self._write = write
        self._objects = objects
        self._predictions = predictions
        self._labels = labels
        self._clock = clock
        self._machine = machine
        self._every = every
        self._batch = batch
        self._observe = observe

    def step(self, fence: Fence | None = None) -> float:
        """Begin what is wished, or else read some news and decide; seconds until the next step, 0 when there is more.

        Raises `Conflict` when a rollout was changed meanwhile or `fence` refuses, `Unavailable` when the catalog or
        the objects do not answer; nothing is lost then.
        """
        started = self._machine.monotonic()
        state = self._store.following()
        live = self._moves.canaries()
        known = {kept.canary.id for kept in state.running}
        wished = [canary for canary in live if canary.id not in known]
        if wished:
            self._begin(state, wished, fence)
            return 0.0
        if not state.running:
            return self._every
        exhausted = self._follow(state, {canary.id for canary in live}, fence)
        return max(self._every, REST * (self._machine.monotonic() - started)) if exhausted else 0.0

    def _begin(self, state: Following, wished: list[Deployment], fence: Fence | None) -> None:
        """Start a rollout for each canary. Where none is running, the log is followed from here on (law 4)."""
        marks = None
        if not state.running:
            marks = {
                PREDICTIONS: self._predictions.skip(state.marks.get(PREDICTIONS, Mark())),
                LABELS: self._labels.skip(state.marks.get(LABELS, Mark())),
            }
        begun = tuple(kept for canary in wished if (kept := self._new(canary)) is not None)

        def work() -> None:
            self._store.save(Changes(marks=marks, rollouts=begun), state.revision)
            for kept in begun:
                self._acts.begin(kept)

        self._write(work, fence)

    def _new(self, canary: Deployment) -> KeptRollout | None:
        endpoint = self._moves.endpoint(canary.endpoint)
        if endpoint is None or endpoint.live is None or not canary.strategy.steps:
            return None
        now, strategy, paired = self._clock.now(), canary.strategy, endpoint.outcome_independent
        guards = rules.new_guards(strategy, paired=paired)
        rollout = Rollout(
            id=canary.id,
            endpoint=canary.endpoint,
            version=canary.version,
            stable=endpoint.live.version,
            strategy=strategy,
            paired=paired,
            steps=(StepTaken(share=strategy.steps[0], since=now),),
            evidence=rules.evidence_of(guards),
            reason=f"at {strategy.steps[0]:g} % since {now.isoformat()}",
            started_at=now,
            by=canary.by,
        )
        return KeptRollout(rollout=rollout, canary=canary, stable=endpoint.live, tests=guards.state())

    def _follow(self, state: Following, live: set[str], fence: Fence | None) -> bool:
        """Read, judge and save; whether everything was read."""
        # Labels first: whoever logged one had seen its prediction, so the predictions read afterwards hold it.
        labels = self._labels.after(state.marks.get(LABELS, Mark()), self._batch)
        predictions = self._predictions.after(state.marks.get(PREDICTIONS, Mark()), self._batch)
        told = labels if predictions.exhausted else News(pairs.no_labels(), state.marks.get(LABELS, Mark()), False)
        self._observe("read")
        after = [self._judge(kept, predictions.frame, told.frame, live) for kept in state.running]
        self._observe("computed")
        changed = tuple(new for old, new in zip(state.running, after, strict=True) if new != old)
        marks = {PREDICTIONS: predictions.mark, LABELS: told.mark}
        self._observe("stored")
        if changed or marks != state.marks:
            self._save(state, Changes(marks=marks, rollouts=changed), live, fence)
            self._observe("saved")
            self._clean(state, after)
        self._observe("cleaned")
        return predictions.exhausted and labels.exhausted

    def _judge(self, kept: KeptRollout, predictions: pl.DataFrame, labels: pl.DataFrame, live: set[str]) -> KeptRollout:
        """The rollout with the news."""
        now = self._clock.now()
        if kept.canary.id not in live:
            ended = rules.decided(kept.rollout, "cancelled", "its canary was withdrawn", now)
            return msgspec.structs.replace(kept, rollout=ended, pending="")
        guards = rules.guards_of(kept.tests, paired=kept.rollout.paired)
        if predictions.is_empty() and labels.is_empty():  # only time has passed
            rollout = rules.advance(kept.rollout, rules.outlook(guards), now)
            pending = kept.pending if rollout.state == "running" else ""
            return msgspec.structs.replace(kept, rollout=rollout, pending=pending)
        waiting = unpacked(self._objects.get(kept.pending)) if kept.pending else pairs.nothing_pending()
        taken = pairs.take(kept, predictions, labels, waiting)
        rules.observe(guards, taken.news)
        seen = msgspec.structs.replace(rules.counted(kept.rollout, taken.news), evidence=rules.evidence_of(guards))
        rollout = rules.advance(seen, rules.outlook(guards), now)
        return msgspec.structs.replace(
            kept, rollout=rollout, tests=guards.state(), pending=self._keep(rollout, taken.pending, waiting, kept)
        )

    def _keep(self, rollout: Rollout, pending: pl.DataFrame, before: pl.DataFrame, kept: KeptRollout) -> str:
        """The digest of the object with the rows that still wait."""
        if rollout.state != "running" or pending.is_empty():
            return ""
        return kept.pending if pending.equals(before) else self._objects.put(packed(pending, kept.rollout.id)).digest

    def _save(self, state: Following, changes: Changes, live: set[str], fence: Fence | None) -> None:
        before = {kept.rollout.id: kept.rollout for kept in state.running}

        def work() -> None:
            self._store.save(changes, state.revision)
            for kept in changes.rollouts:
                self._acts.carry_out(before[kept.rollout.id], kept, gone=kept.canary.id not in live)

        self._write(work, fence)

    def _clean(self, state: Following, after: list[KeptRollout]) -> None:
        """Delete the objects that the saved ones replace: only then, so that no row ever names a missing object."""
        needed = {kept.pending for kept in after}
        for kept in state.running:
            if kept.pending and kept.pending not in needed:
                self._objects.delete(kept.pending)
