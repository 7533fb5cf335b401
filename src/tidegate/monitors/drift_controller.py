"""Judges finished windows: whether their inputs, answers and worth are what the reference's were."""

from collections.abc import Callable
from datetime import timedelta
from typing import Any, Literal, NamedTuple, Protocol

from msgspec.structs import replace

from tidegate.events.records import Facts
from tidegate.kernel.clock import BusinessClock, from_micros
from tidegate.kernel.ids import IdFactory
from tidegate.kernel.objects import ObjectPlane
from tidegate.monitors.controller import Uncounted
from tidegate.monitors.judgement import Judgement, Window, judge_inputs, judge_labels
from tidegate.monitors.judging import Changed
from tidegate.monitors.progress import Outcome, Progress, Watched, identity_of
from tidegate.monitors.records import QualityWindow

Fence = Callable[[Any], None]
Stage = Literal["read", "judged", "saved"]
Phase = Literal["inputs", "labels"]

MICROS = 1_000_000

_NEWS = 10_000


class DriftStore(Protocol):
    """What the controller asks of the catalog."""

    def endpoints(self) -> list[str]:
        """Endpoints that have windows."""
        ...

    def watched(self, endpoint: str) -> Watched:
        """An endpoint with all that is known of it, as of one moment."""
        ...

    def moving(self, watched: Watched) -> bool:
        """Whether windows of another length than the endpoint's are still there."""
        ...

    def starts(self, watched: Watched, since: int, before: int | None, limit: int) -> list[int]:
        """The first starts of windows from `since` to before `before`, microseconds, in order."""
        ...

    def at(self, watched: Watched, start: int) -> list[tuple[str, QualityWindow]]:
        """The windows with this start whose answers were given: digest of the rows, and figures."""
        ...

    def save(self, watched: Watched, outcome: Outcome, tell: Callable[[], None], fence: Fence | None = None) -> None:
        """Write what a step found out in one transaction; `Conflict` when another one was quicker."""
        ...


class Log(Protocol):
    """Who counts what the log holds."""

    def uncounted(self, limit: int) -> Uncounted:
        """Up to about `limit` records that are not counted yet."""
        ...


class Due(NamedTuple):
    """A window that is finished, in one respect."""

    at: int
    """When it was, in microseconds."""
    phase: Phase
    start: int


class DriftController:
    """Judges one finished window a step. One is enough for a home.

    A window's inputs, scores and latency are judged some time after its end, its performance and segments once its
    labels are taken to be known; the settings of an endpoint say when. Rows and labels that come later change the
    windows of quality, and no judgement.

    Laws:

    1. **In order.** Windows are judged by when they were finished, whenever a step is made; so the episodes do not
       depend on how often the controller ran.
    2. **Once.** Episodes, their facts, and how far the controller has come change in one transaction: one that is
       killed anywhere is replaced by another, which finds the same. Two at a time do no harm.
    3. **Complete.** No window is judged while the log holds rows of it, or labels for it, that nobody has counted.
    4. **News only.** A step reads one window and the baseline; only the making of a baseline reads the reference.

    `every`: seconds between steps while nothing is due.
    """

    def __init__(
        self,
        *,
        store: DriftStore,
        log: Log,
        objects: ObjectPlane,
        clock: BusinessClock,
        ids: IdFactory,
        facts: Facts,
        every: float = 5.0,
        observe: Callable[[Stage], None] = lambda stage: None,
    ) -> None:
        self._store = store
        self._objects = objects
        self._log = log
        self._clock = clock
        self._ids = ids
        self._facts = facts
        self._every = every
        self._observe = observe

    def step(self, fence: Fence | None = None) -> float:
        """Judge one window that is due; seconds until the next step, 0 when there may be more to do now.

        Raises `Conflict` when another controller was quicker, the settings changed meanwhile, or `fence` refuses.
        """
        for endpoint in self._store.endpoints():
            watched = self._store.watched(endpoint)
            if self._renewed(watched, fence):
                return 0.0
            due = self._due(watched)
            if due is not None and self._complete(watched, due):
                self._judge(watched, due, fence)
                return 0.0
        return self._every

    def behind(self, endpoint: str) -> bool:
        """Whether there is a window to judge, or the log holds rows of a finished one that nobody has counted."""
        watched = self._store.watched(endpoint)
        if self._due(watched) is not None:
            return True
        news = self._log.uncounted(_NEWS)
        finished = self._clock.now() - timedelta(seconds=watched.seconds + watched.settings.inputs_after)
        return not news.every or bool((news.predicted < finished).any())

    def _renewed(self, watched: Watched, fence: Fence | None) -> bool:
        """Begin anew where the reference, or the length of the windows, is another one than what we have."""
        old, wanted = watched.progress, identity_of(watched.settings)
        if (old.reference, old.seconds) == (wanted, watched.seconds):
            return False
        kept = bool(watched.settings.reference.frame) and old.seconds == watched.seconds
        fresh = Progress(
            reference=wanted,
            seconds=watched.seconds,
            inputs_until=old.inputs_until,
            labels_until=old.labels_until,
        )
        if kept:  # a frame says nothing of answers: what they were like before still holds
            fresh = replace(
                fresh, served=old.served, metric=old.metric, felt=old.felt, worth=old.worth, unlabelled=old.unlabelled
            )
        start = from_micros(max(old.inputs_until or 0, old.labels_until or 0))
        closed = [
            Changed(replace(each, closed=start, closed_by="new reference"), "closed")
            for each in watched.episodes
            if each.kind == "feature" or not kept
        ]
        self._save(watched, Judgement(fresh, closed, {}), fence)
        return True

    def _due(self, watched: Watched) -> Due | None:
        """The window that was finished first among those that are, and were not judged."""
        now = self._clock.now()
        progress, settings, length = watched.progress, watched.settings, watched.seconds * MICROS
        both: list[tuple[Phase, int | None, int]] = [
            ("inputs", progress.inputs_until, settings.inputs_after),
            ("labels", progress.labels_until, settings.labels_after),
        ]
        found = [
            Due(start + length + after * MICROS, phase, start)
            for phase, until, after in both
            for start in self._store.starts(watched, 0 if until is None else until + 1, None, 1)
        ]
        due = [each for each in found if from_micros(each.at) <= now]
        return min(due) if due and not self._store.moving(watched) else None

    def _complete(self, watched: Watched, due: Due) -> bool:
        """Whether nothing of the window is left in the log uncounted."""
        news, end = self._log.uncounted(_NEWS), from_micros(due.start + watched.seconds * MICROS)
        early = (news.predicted < end).any()
        if due.phase == "labels":
            early = early or (news.labelled <= from_micros(due.at)).any()
        return news.every and not early

    def _judge(self, watched: Watched, due: Due, fence: Fence | None) -> None:
        found = self._store.at(watched, due.start)
        window = Window(
            start=from_micros(due.start),
            end=from_micros(due.start + watched.seconds * MICROS),
            rows=[digest for digest, _ in found],
            figures=[figures for _, figures in found],
        )
        self._observe("read")
        judge = judge_inputs if due.phase == "inputs" else judge_labels
        judgement = judge(watched, window, self._store, self._objects)
        self._observe("judged")
        self._save(watched, judgement, fence)
        self._observe("saved")

    def _save(self, watched: Watched, judgement: Judgement, fence: Fence | None) -> None:
        named = [
            each if each.episode.id else each._replace(episode=replace(each.episode, id=self._ids.new()))
            for each in judgement.changed
        ]

        def tell() -> None:
            for episode, fact in named:
                if fact is not None:
                    self._facts.append(
                        f"tidegate.monitors.episode_{fact}",
                        watched.endpoint,
                        episode=episode.id,
                        kind=episode.kind,
                        column=episode.column,
                        severity=episode.severity,
                        diagnosis=episode.diagnosis,
                        summary=episode.summary,
                    )

        outcome = Outcome(judgement.progress, [each.episode for each in named], judgement.profiles)
        self._store.save(watched, outcome, tell, fence)
