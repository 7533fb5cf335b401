"""The operations of monitors."""

from typing import Any, Protocol

import msgspec
from msgspec.structs import replace

from tidegate.events.records import Facts
from tidegate.kernel import wire
from tidegate.kernel.clock import BusinessClock, Instant, from_micros, to_micros
from tidegate.kernel.errors import NotFound
from tidegate.kernel.names import check_name
from tidegate.kernel.objects import ObjectPlane, parse_digest
from tidegate.kernel.operation import Service, operation
from tidegate.kernel.pages import Page, decode_cursor, encode_cursor, page_size
from tidegate.monitors.drift_records import (
    Diagnosis,
    DriftSettings,
    Episode,
    FeatureWindow,
    SegmentWindow,
)
from tidegate.monitors.drift_rules import check_detection, check_reference, check_segments
from tidegate.monitors.judging import diagnose
from tidegate.monitors.progress import Watched
from tidegate.monitors.records import EndpointQuality, QualityWindow, StoredWindow
from tidegate.monitors.rules import check_seconds


class MonitorStore(Protocol):
    """What the operations ask of the catalog."""

    def windows(
        self, endpoint: str, since: int | None, limit: int, before: tuple[int, int, str, int, str] | None
    ) -> list[StoredWindow]:
        """Windows that end after `since` (microseconds), newest first, from the one after the key `before`."""
        ...

    def latest(self, endpoint: str) -> EndpointQuality:
        """How an endpoint stands."""
        ...

    def set_seconds(self, endpoint: str, seconds: int) -> None:
        """Give an endpoint a window length of its own."""
        ...


class DriftStore(Protocol):
    """What the operations ask of the catalog about drift."""

    def settings(self, endpoint: str) -> DriftSettings:
        """How an endpoint is watched."""
        ...

    def set_settings(self, endpoint: str, settings: DriftSettings) -> None:
        """Watch an endpoint in another way."""
        ...

    def watched(self, endpoint: str) -> Watched:
        """An endpoint with all that is known of it."""
        ...

    def profile(self, endpoint: str) -> str:
        """Digest of the newest window of inputs; empty where there is none."""
        ...

    def segments(self, endpoint: str, since: int | None, limit: int, before: int | None) -> list[tuple[int, str]]:
        """Starts and digests of windows that have segments, newest first."""
        ...

    def episodes(self, endpoint: str, open_only: bool, limit: int, before: str) -> list[Episode]:
        """Episodes, newest first, those with a smaller id."""
        ...


class Monitors(Service):
    """What predictions were worth once their labels arrived, and whether their inputs are what they were."""

    room = "monitors"
    _objects: ObjectPlane

    def __init__(
        self, *, store: MonitorStore, drift: DriftStore, objects: ObjectPlane, clock: BusinessClock, facts: Facts
    ) -> None:
        self._store = store
        self._drift = drift
        self._objects = objects
        self._clock = clock
        self._facts = facts

    @operation("GET /monitors/{endpoint}/windows", role="viewer", audit="none")
    def windows(
        self, endpoint: str, *, since: Instant | None = None, limit: int = 100, cursor: str = ""
    ) -> Page[QualityWindow]:
        """List the windows of an endpoint, newest first, one for each model version and variant that answered in it.

        `since`: only those that end after it.
        """
        before = decode_cursor(cursor, (int, int, str, int, str))
        after = None if since is None else to_micros(since)
        found = self._store.windows(check_name(endpoint, "endpoint"), after, page_size(limit) + 1, before)
        more = None
        if len(found) > limit:
            last = found[limit - 1].key
            more = encode_cursor(last.start, last.seconds, last.model, last.number, last.variant)
        return Page([stored.window for stored in found[:limit]], more)

    @operation("GET /monitors/{endpoint}", role="viewer", audit="none")
    def latest(self, endpoint: str) -> EndpointQuality:
        """Show how an endpoint stands: its newest window, the newest with labels, and labels that fit no prediction."""
        return self._store.latest(check_name(endpoint, "endpoint"))

    @operation("PUT /monitors/{endpoint}/window", role="maintainer", audit="change")
    def set_window(self, endpoint: str, *, seconds: int) -> EndpointQuality:
        """Choose how long the windows of an endpoint are, from a minute to 366 days; a day unless chosen.

        Windows begin at multiples of their length since 1970-01-01 UTC. Earlier windows are computed anew.
        """
        name = check_name(endpoint, "endpoint")
        self._store.set_seconds(name, check_seconds(seconds))
        self._facts.append("tidegate.monitors.window_set", name, seconds=seconds)
        return self._store.latest(name)

    @operation("PUT /monitors/{endpoint}/segments", role="maintainer", audit="change")
    def set_segments(self, endpoint: str, *, columns: tuple[str, ...] = ()) -> DriftSettings:
        """Part the traffic of an endpoint by up to 8 columns of its inputs; by none to stop.

        It holds for windows whose labels mature from now on. A column's 50 most frequent values are shown one by one,
        the rest of them as one.
        """
        return self._set(endpoint, "segments_set", segments=check_segments(columns))

    @operation("PUT /monitors/{endpoint}/reference", role="maintainer", audit="change")
    def use_reference(
        self,
        endpoint: str,
        *,
        windows: int | None = None,
        since: Instant | None = None,
        until: Instant | None = None,
        frame: str = "",
        at: str = "",
    ) -> DriftSettings:
        """Choose what the windows of an endpoint are compared with, one of three.

        `windows`: the first so many, from `since` or, without it, from now on. Unless chosen, the first 28 there are.
        `since` and `until`: the windows that begin from the one to before the other.
        `frame` and `at`: the digest of an object with rows, and its column of instants; `set_reference` makes one.

        Open episodes of the inputs end; for a frame, those of scores, latency and performance go on as they were.
        """
        wanted = check_reference(windows, since, until, frame, at)
        if wanted.frame and not self._objects.exists(parse_digest(frame, "frame")):
            raise NotFound(f"there is no object {frame[:16]}…: put the frame first, as set_reference does")
        if windows is not None and since is None:
            wanted = replace(wanted, since=self._clock.now())
        return self._set(endpoint, "reference_set", reference=wanted)

    def set_reference(self, endpoint: str, frame: Any, *, at: str) -> DriftSettings:
        """Compare the windows of an endpoint with the rows of a frame, such as those that its model learnt from.

        `frame`: Polars or pandas, or the path of a Parquet or CSV file, with the columns of the inputs.  `at`: its
        column of instants, which parts the rows into windows: what counts is how windows differ, and there must be
        seven at least.  Raises `Invalid` where that column is absent or holds no aware instants.
        """
        from tidegate.monitors.reference_frames import packed_reference

        check_name(endpoint, "endpoint")
        data = packed_reference(frame, at)
        return self.use_reference(endpoint, frame=self._objects.put(data).digest, at=at)

    @operation("PUT /monitors/{endpoint}/detection", role="maintainer", audit="change")
    def set_detection(
        self,
        endpoint: str,
        *,
        alarm_every: int = 100,
        inputs_after: int = 7200,
        labels_after: int = 86_400,
        quiet: int = 5,
    ) -> DriftSettings:
        """Choose how carefully an endpoint is watched, and when its windows are finished.

        `alarm_every`: at most one false alarm in so many windows, all columns together.
        `inputs_after`, `labels_after`: seconds from the end of a window until its rows are logged, its labels known.
        `quiet`: so many windows in a row within the usual variation end an episode.
        """
        chosen = check_detection(alarm_every, inputs_after, labels_after, quiet)
        return self._set(endpoint, "detection_set", **chosen)

    @operation("GET /monitors/{endpoint}/settings", role="viewer", audit="none")
    def settings(self, endpoint: str) -> DriftSettings:
        """How an endpoint is watched."""
        return self._drift.settings(check_name(endpoint, "endpoint"))

    @operation("GET /monitors/{endpoint}/segments", role="viewer", audit="none")
    def segments(
        self, endpoint: str, *, since: Instant | None = None, limit: int = 30, cursor: str = ""
    ) -> Page[SegmentWindow]:
        """List the windows of an endpoint by segment, newest first: predictions, labels and quality of each.

        `since`: only windows that end after it. They are as their labels were when those were taken to be known.
        """
        key = decode_cursor(cursor, (int,))
        after = None if since is None else to_micros(since)
        name = check_name(endpoint, "endpoint")
        found = self._drift.segments(name, after, page_size(limit) + 1, key[0] if key else None)
        items = [self._shown(digest, SegmentWindow) for _, digest in found[:limit]]
        return Page(items, encode_cursor(found[limit - 1][0]) if len(found) > limit else None)

    @operation("GET /monitors/{endpoint}/features", role="viewer", audit="none")
    def features(self, endpoint: str) -> FeatureWindow:
        """Show the newest window of an endpoint's inputs, column by column, with its distances from the reference."""
        digest = self._drift.profile(check_name(endpoint, "endpoint"))
        if not digest:
            problem = self._drift.watched(endpoint).progress.problem or "the reference is not complete yet"
            raise NotFound(f"no window of {endpoint} has been compared with its reference: {problem}")
        found: FeatureWindow = self._shown(digest, FeatureWindow)
        return found

    @operation("GET /monitors/{endpoint}/episodes", role="viewer", audit="none")
    def episodes(self, endpoint: str, *, open_only: bool = False, limit: int = 100, cursor: str = "") -> Page[Episode]:
        """List what changed at an endpoint, newest first; those that are not over with `open_only`."""
        key = decode_cursor(cursor, (str,))
        name = check_name(endpoint, "endpoint")
        found = self._drift.episodes(name, open_only, page_size(limit) + 1, key[0] if key else "")
        return Page(found[:limit], encode_cursor(found[limit - 1].id) if len(found) > limit else None)

    @operation("GET /monitors/{endpoint}/diagnosis", role="viewer", audit="none")
    def diagnosis(self, endpoint: str) -> Diagnosis:
        """Say what is the matter with an endpoint: nothing, other inputs, a broken input, or another relationship."""
        watched = self._drift.watched(check_name(endpoint, "endpoint"))
        progress = watched.progress
        judged = max(progress.inputs_until or 0, progress.labels_until or 0)
        end = from_micros(judged + watched.seconds * 1_000_000) if judged else None
        problem = progress.problem
        if judged and not progress.baseline and not problem:
            problem = "the inputs are not compared yet: the reference is not complete"
        performance = progress.performance(watched.episodes, watched.settings.quiet)
        return diagnose(endpoint, watched.episodes, performance, problem, end)

    def _set(self, endpoint: str, fact: str, **changes: Any) -> DriftSettings:
        name = check_name(endpoint, "endpoint")
        wanted = replace(self._drift.settings(name), **changes)
        self._drift.set_settings(name, wanted)
        self._facts.append(f"tidegate.monitors.{fact}", name, **_told(changes))
        return wanted

    def _shown(self, digest: str, kind: Any) -> Any:
        return wire.decode(self._objects.get(digest), kind, "window")


def _told(changes: dict[str, Any]) -> dict[str, Any]:
    """Settings as a fact tells them."""
    return {name: msgspec.to_builtins(value) for name, value in changes.items()}
