"""Keeps the windows of quality true: follows the prediction log, and computes anew what its news touches."""

from collections.abc import Callable
from typing import Any, Literal, NamedTuple, Protocol

import polars as pl

from tidegate.kernel.clock import BusinessClock, MachineClock, from_micros
from tidegate.kernel.objects import ObjectStore
from tidegate.monitors import profile
from tidegate.monitors.records import (
    DAY,
    Changes,
    Orphans,
    QualityWindow,
    State,
    StoredWindow,
    WindowKey,
)
from tidegate.monitors.touched import KnownWindows, TouchedWindows
from tidegate.predictions.codecs import label_schema
from tidegate.predictions.following import Follower, News
from tidegate.predictions.records import LABELS, PREDICTIONS, Mark

Fence = Callable[[Any], None]
Stage = Literal["read", "computed", "stored", "saved", "cleaned"]

MOVED = 50
"""So many windows whose length was changed are moved in one step."""

REST = 19
"""A step is followed by a pause of at least so many times its own length."""

EXAMPLES = 5


class Uncounted(NamedTuple):
    """What nobody has counted yet."""

    predicted: pl.Series
    """When each prediction was asked for."""
    labelled: pl.Series
    """When each label was received."""
    every: bool
    """Whether these are all."""


class ControllerStore(KnownWindows, Protocol):
    """What the controller asks of the catalog."""

    def state(self) -> State:
        """Everything but the windows, as of one moment."""
        ...

    def marks(self) -> dict[str, Mark]:
        """How far each topic has been followed."""
        ...

    def misfits(self, default: int, limit: int) -> list[StoredWindow]:
        """Windows of another length than their endpoint's."""
        ...

    def save(self, changes: Changes, revision: int, fence: Fence | None = None) -> None:
        """Write all changes in one transaction; `Conflict` when the state is no longer of that revision."""
        ...


class QualityController:
    """Computes windows of quality from the prediction log. One is enough for a home.

    Laws:

    1. **From scratch.** The windows are those that a computation from the whole log would give, however the log was
       cut into steps, sealed meanwhile, and whichever came first, a prediction or its label.
    2. **News only.** A step reads what was logged since the last one, and of earlier rows those of the windows that
       this touches.
    3. **Once.** Windows and the mark of how far the log was read change in one transaction: a controller killed
       anywhere is replaced by another one, which gets the same windows. Two at a time do no harm.
    4. **Orphans show.** A label without a prediction is counted, kept, and joined when its prediction is seen.

    `every`: seconds between steps while nothing is left to read.  `batch`: records read at a time.
    """

    def __init__(
        self,
        *,
        store: ControllerStore,
        predictions: Follower,
        labels: Follower,
        objects: ObjectStore,
        clock: BusinessClock,
        machine: MachineClock,
        every: float = 5.0,
        batch: int = 50_000,
        observe: Callable[[Stage], None] = lambda stage: None,
    ) -> None:
        self._store = store
        self._objects = objects
        self._predictions = predictions
        self._labels = labels
        self._clock = clock
        self._machine = machine
        self._every = every
        self._batch = batch
        self._observe = observe

    def step(self, fence: Fence | None = None) -> float:
        """Read some news and save what it changes; seconds until the next step, 0 when there is more to read now.

        Raises `Conflict` when another controller was quicker or `fence` refuses, `Unavailable` when the catalog or
        the objects do not answer; nothing is lost then.
        """
        started = self._machine.monotonic()
        state = self._store.state()
        moved = self._store.misfits(DAY, MOVED)
        predictions = self._predictions.after(state.marks.get(PREDICTIONS, Mark()), self._batch)
        # Labels come after their predictions: read them only once no prediction is waiting.
        labels = self._news_of_labels(state) if predictions.exhausted else None
        self._observe("read")
        marks = state.marks | {PREDICTIONS: predictions.mark} | ({} if labels is None else {LABELS: labels.mark})
        if labels is not None and not moved and marks == state.marks:
            return self._every
        touched = TouchedWindows(self._store, self._objects, state.seconds)
        for window in moved:
            touched.move(window)
        touched.add(profile.rows_of(predictions.frame))
        orphans = self._label(touched, state, predictions.frame, labels)
        changed = list(touched.changed())
        self._observe("computed")
        kept = self._keep_orphans(orphans)
        changes = Changes(
            marks=marks,
            windows=tuple(self._stored(key, rows) for key, rows in changed),
            removed=tuple(touched.removed),
            orphans=kept,
        )
        self._observe("stored")
        self._store.save(changes, state.revision, fence)
        self._observe("saved")
        self._clean(touched, state, changes)
        self._observe("cleaned")
        if labels is None or not labels.exhausted or len(moved) == MOVED:
            return 0.0
        return max(self._every, REST * (self._machine.monotonic() - started))

    def uncounted(self, limit: int) -> Uncounted:
        """Up to about `limit` records of either kind that the log holds, and no step has counted yet."""
        marks = self._store.marks()
        predictions = self._predictions.after(marks.get(PREDICTIONS, Mark()), limit)
        labels = self._labels.after(marks.get(LABELS, Mark()), limit)
        every = predictions.exhausted and labels.exhausted
        return Uncounted(predictions.frame["at"], labels.frame["received_at"], every)

    def _news_of_labels(self, state: State) -> News:
        return self._labels.after(state.marks.get(LABELS, Mark()), self._batch)

    def _label(
        self, touched: TouchedWindows, state: State, predictions: pl.DataFrame, news: News | None
    ) -> dict[str, pl.DataFrame]:
        """Label what can be; the orphans of every endpoint that has other ones than before."""
        fresh = news.frame if news is not None else pl.DataFrame(schema=label_schema())
        waiting = set(predictions["endpoint"].unique()).intersection(state.orphans)
        orphans: dict[str, pl.DataFrame] = {}
        for endpoint in sorted(waiting.union(fresh["endpoint"].unique())):
            known = pl.DataFrame(schema=label_schema())
            if endpoint in state.orphans:
                known = profile.unpacked(self._objects.get(state.orphans[endpoint].profile))
            labels = profile.resolved(pl.concat([known, fresh.filter(pl.col("endpoint") == endpoint)]))
            left = touched.label(endpoint, labels)
            if not left.equals(known):
                orphans[endpoint] = left
        return orphans

    def _keep_orphans(self, orphans: dict[str, pl.DataFrame]) -> dict[str, Orphans]:
        kept = {}
        for endpoint, labels in orphans.items():
            digest = self._objects.put(profile.packed(labels, endpoint)).digest if labels.height else ""
            examples = labels["prediction_id"].head(EXAMPLES).to_list()
            kept[endpoint] = Orphans(count=labels.height, examples=examples, profile=digest)
        return kept

    def _stored(self, key: WindowKey, rows: pl.DataFrame) -> StoredWindow:
        figures = profile.figures(rows)
        window = QualityWindow(
            **{name: getattr(figures, name) for name in figures.__struct_fields__},
            endpoint=key.endpoint,
            model=f"{key.model}/{key.number}",
            variant=key.variant,
            start=from_micros(key.start),
            end=from_micros(key.start + key.seconds * 1_000_000),
            updated_at=self._clock.now(),
        )
        digest = self._objects.put(profile.packed(rows, "/".join(map(str, key)))).digest
        return StoredWindow(key=key, first_id=rows["id"][0], last_id=rows["id"][-1], profile=digest, window=window)

    def _clean(self, touched: TouchedWindows, state: State, changes: Changes) -> None:
        """Delete the objects that the saved ones replace: only then, so that no row ever names a missing object."""
        rewritten = {window.key for window in changes.windows}
        outdated = touched.outdated_by(rewritten)
        outdated |= {state.orphans[endpoint].profile for endpoint in changes.orphans if endpoint in state.orphans}
        current = {window.profile for window in changes.windows} | {new.profile for new in changes.orphans.values()}
        for digest in outdated - current:
            self._objects.delete(digest)
