"""One window against its reference, from what the catalog and the objects hold."""

import io
from collections.abc import Sequence
from datetime import datetime
from typing import NamedTuple, Protocol

import msgspec
import numpy as np
import polars as pl
from msgspec.structs import replace
from numpy.typing import NDArray

from tidegate.kernel import wire
from tidegate.kernel.clock import from_micros, to_micros
from tidegate.kernel.errors import NotFound
from tidegate.kernel.objects import ObjectPlane
from tidegate.monitors import baseline as baselines
from tidegate.monitors import broken, columns, profile, served, tracks
from tidegate.monitors.baseline import Baseline
from tidegate.monitors.columns import Measured
from tidegate.monitors.drift_records import ColumnWindow, FeatureWindow, Kind, SegmentWindow
from tidegate.monitors.judging import Changed, Signal, judge
from tidegate.monitors.progress import Progress, Track, Watched
from tidegate.monitors.records import QualityWindow
from tidegate.monitors.segments import segments_of
from tidegate.statistics import distances, drift

Floats = NDArray[np.float64]

MICROS = 1_000_000


class Window(NamedTuple):
    """A finished window."""

    start: datetime
    end: datetime
    rows: list[str]
    """Digests of its rows, one a version and variant whose answers were given."""
    figures: list[QualityWindow]


class Judgement(NamedTuple):
    """What a step found out."""

    progress: Progress
    changed: list[Changed]
    profiles: dict[str, tuple[int, str]]


class Served(Protocol):
    """The windows that were served."""

    def starts(self, watched: Watched, since: int, before: int | None, limit: int) -> list[int]:
        """The first starts of windows from `since` to before `before`, in order."""
        ...

    def at(self, watched: Watched, start: int) -> list[tuple[str, QualityWindow]]:
        """The windows with this start: digest of the rows, and figures."""
        ...


def judge_inputs(watched: Watched, window: Window, store: Served, objects: ObjectPlane) -> Judgement:
    """Columns, scores and latency of a window."""
    at = to_micros(window.start)
    progress = replace(watched.progress, inputs_until=at)
    signals: list[Signal] = []
    profiles: dict[str, tuple[int, str]] = {}
    progress = _with_baseline(watched, progress, window, store, objects)
    if progress.baseline:
        found = msgspec.msgpack.decode(objects.get(progress.baseline), type=Baseline)
        progress, signals, shown = _columns(watched, progress, window, found, objects)
        profiles["inputs"] = (at, objects.put(wire.encode(shown, FeatureWindow)).digest)
    progress, felt = _felt(watched, progress, window)
    return Judgement(progress, judge(watched.endpoint, window.start, watched.episodes, [*signals, *felt]), profiles)


def judge_labels(watched: Watched, window: Window, store: Served, objects: ObjectPlane) -> Judgement:
    """Performance and segments of a window, as far as its labels are known."""
    at = to_micros(window.start)
    progress = replace(watched.progress, labels_until=at)
    profiles: dict[str, tuple[int, str]] = {}
    segments = segments_of(_rows(window, objects), watched.settings.segments) if watched.settings.segments else []
    if segments:
        shown = SegmentWindow(endpoint=watched.endpoint, start=window.start, end=window.end, segments=segments)
        profiles["segments"] = (at, objects.put(wire.encode(shown, SegmentWindow)).digest)
    progress = _with_served(watched, progress, window, store)
    progress, worth = _worth(watched, progress, window)
    return Judgement(progress, judge(watched.endpoint, window.start, watched.episodes, worth), profiles)


def reference_starts(watched: Watched, start: int, store: Served) -> list[int] | None:
    """Starts of the served windows of the reference; None while it is not over before `start`."""
    reference = watched.settings.reference
    since = 0 if reference.since is None else to_micros(reference.since)
    if reference.until is not None:
        until = to_micros(reference.until)
        return store.starts(watched, since, until, 10_000) if start >= until else None
    starts = store.starts(watched, since, None, reference.windows)
    return starts if len(starts) == reference.windows and start > starts[-1] else None


def _with_baseline(
    watched: Watched, progress: Progress, window: Window, store: Served, objects: ObjectPlane
) -> Progress:
    if progress.baseline or progress.problem:
        return progress
    frames, told = _reference(watched, window, store, objects)
    if frames is None:
        return progress
    if len(frames) < drift.FEWEST:
        problem = f"the reference ({told}) has {len(frames)} windows, and at least {drift.FEWEST} are needed"
        return replace(progress, problem=problem)
    found = baselines.build(told, watched.seconds, frames)
    if not found.columns:
        return replace(progress, problem=f"the reference ({told}) has no column that the inputs have")
    digest = objects.put(msgspec.msgpack.encode(found)).digest
    return replace(progress, baseline=digest, columns=tracks.begun(len(found.streams())))


def _reference(
    watched: Watched, window: Window, store: Served, objects: ObjectPlane
) -> tuple[list[tuple[datetime, pl.DataFrame]] | None, str]:
    """The windows of the reference with their inputs as columns, and the reference in words."""
    reference = watched.settings.reference
    if reference.frame:
        frame = _frame(objects, reference.frame)
        if reference.at not in frame.columns or not isinstance(frame.schema[reference.at], pl.Datetime):
            return [], f"a frame without a column {reference.at!r} of instants"
        names = set(columns.names_in(_rows(window, objects)["inputs"]))
        return _by_window(frame, reference.at, watched.seconds, names), f"a frame of {frame.height:,} rows"
    starts = reference_starts(watched, to_micros(window.start), store)
    if starts is None:
        return None, ""
    windows = []
    for start in starts:
        digests = [digest for digest, _ in store.at(watched, start)]
        inputs = _inputs(digests, objects)
        windows.append((from_micros(start), columns.taken_out(inputs, columns.names_in(inputs))))
    span = f"{windows[0][0]:%Y-%m-%d %H:%M} to {windows[-1][0]:%Y-%m-%d %H:%M} UTC" if windows else "nothing"
    return windows, f"{len(windows)} windows, {span}"


def _frame(objects: ObjectPlane, digest: str) -> pl.DataFrame:
    """The frame of an object; an empty one where it is gone, or none."""
    try:
        return pl.read_parquet(io.BytesIO(objects.get(digest)))
    except (NotFound, pl.exceptions.PolarsError):
        return pl.DataFrame()


def _by_window(frame: pl.DataFrame, at: str, seconds: int, names: set[str]) -> list[tuple[datetime, pl.DataFrame]]:
    span = seconds * MICROS
    chosen = [name for name in frame.columns if name in names]
    micros = pl.col(at).dt.convert_time_zone("UTC").dt.epoch("us")
    placed = frame.drop_nulls(at).with_columns((micros // span * span).alias("_start")).sort("_start")
    groups = placed.partition_by("_start", as_dict=True, maintain_order=True)
    return [(from_micros(start), group.select(chosen)) for (start,), group in groups.items()]


def _columns(
    watched: Watched, progress: Progress, window: Window, known: Baseline, objects: ObjectPlane
) -> tuple[Progress, list[Signal], FeatureWindow]:
    settings, streams = watched.settings, known.streams()
    types = known.types()
    numbers = {name for name, kind in types.items() if kind == "number"}
    frame = columns.typed(columns.taken_out(_inputs(window.rows, objects), list(types), numbers), types)
    measured = known.measure(frame)
    values = np.array([value for one in measured for value in one.values])
    noise = np.array([value for one in measured for value in one.noise])
    calibration = known.calibrated()
    out = drift.deviations(calibration, values, noise, baselines.season_of(window.start, watched.seconds))
    open_ = {each.column for each in watched.episodes if each.kind == "feature"}
    names = np.array([stream.column for stream in streams])
    track = progress.columns or tracks.begun(len(streams))
    step = tracks.advanced(calibration, track, out, settings.quiet, np.isin(names, list(open_)))
    enough = _enough(settings.alarm_every, len(streams))
    far = _suspicions(known, measured, out, frame, progress.far)
    signals, shown = [], []
    for one in measured:
        mine = np.flatnonzero(names == one.window.column)
        signal = Signal(
            kind="feature",
            column=one.window.column,
            alarmed=bool((step.evidence[mine] >= enough).any()),
            returned=bool(step.returned[mine].all()),
            out=_farthest(out[mine]),
            figure=streams[mine[_place(out[mine])]].figure,
            psi=one.window.psi,
            suspicion=far.get(one.window.column, ""),
        )
        signals.append(signal)
        said = {streams[place].figure: float(out[place]) for place in mine}
        shown.append(replace(one.window, out=said, suspicion=signal.suspicion))
    alarmed = {each.column for each in signals if each.alarmed}
    track = tracks.restarted(step.track, np.isin(names, list(alarmed)))
    told = FeatureWindow(
        endpoint=watched.endpoint,
        start=window.start,
        end=window.end,
        rows=frame.height,
        reference=known.told,
        rule=distances.RULE,
        columns=shown,
    )
    return replace(progress, columns=track, far=far), signals, told


def _suspicions(
    known: Baseline, measured: Sequence[Measured], out: Floats, values: pl.DataFrame, before: dict[str, str]
) -> dict[str, str]:
    """What looks broken about each column that is far out."""
    places = iter(out)
    said: dict[str, ColumnWindow] = {}
    for reference, one in zip(known.columns, measured, strict=True):
        figures = {figure: float(next(places)) for figure in columns.streams_of(reference)}
        said[reference.column] = replace(one.window, out=figures)
    far = {name for name, each in said.items() if abs(_farthest(np.array(list(each.out.values())))) > broken.FAR}
    found = {}
    for reference in known.columns:
        name = reference.column
        if name in far:
            numbers = columns.finite(values[name]) if reference.type == "number" else np.empty(0)
            found[name] = broken.suspicion(
                reference,
                said[name],
                numbers,
                sudden=name not in before or bool(before[name]),
                alone=far - {name} <= set(before),
            )
    return found


def _felt(watched: Watched, progress: Progress, window: Window) -> tuple[Progress, list[Signal]]:
    """Score and latency."""
    if progress.served is None:
        return progress, []
    track, signals = _answers(watched, progress, window, served.FELT)
    return replace(progress, felt=track), signals


def _worth(watched: Watched, progress: Progress, window: Window) -> tuple[Progress, list[Signal]]:
    """Performance."""
    values, _ = served.values_of(window.figures, progress.metric)
    progress = replace(progress, unlabelled=0 if np.isfinite(values[3]) else progress.unlabelled + 1)
    if progress.served is None:
        return progress, []
    track, signals = _answers(watched, progress, window, served.WORTH)
    return replace(progress, worth=track), signals


def _answers(watched: Watched, progress: Progress, window: Window, which: slice) -> tuple[Track, list[Signal]]:
    """The streams of `served` from one to another."""
    calibration = tracks.part_of(baselines.unpacked_calibration(progress.served or []), which)
    values, noise = (each[which] for each in served.values_of(window.figures, progress.metric))
    names: Sequence[tuple[Kind, str]] = served.STREAMS[which]
    out = drift.deviations(calibration, values, noise, baselines.season_of(window.start, watched.seconds))
    open_ = {(each.kind, each.column) for each in watched.episodes}
    held = np.array([name in open_ for name in names])
    rises = which == served.WORTH
    track = (progress.worth if rises else progress.felt) or tracks.begun(len(names))
    step = tracks.advanced(calibration, track, out, watched.settings.quiet, held, rises=rises)
    streams = len(progress.columns.state[0]) if progress.columns is not None else 0
    enough = _enough(watched.settings.alarm_every, streams, performance=rises)
    alarmed = step.evidence >= enough
    signals = [
        Signal(kind, column, bool(alarmed[place]), bool(step.returned[place]), _farthest(out[[place]]), column)
        for place, (kind, column) in enumerate(names)
    ]
    return tracks.restarted(step.track, alarmed), signals


def _enough(alarm_every: int, columns: int, *, performance: bool = False) -> int:
    """The evidence that an alarm takes. Half of the false alarms that may be are performance's, which matters most."""
    return 2 * alarm_every * (1 if performance else columns + served.FELT.stop)


def _with_served(watched: Watched, progress: Progress, window: Window, store: Served) -> Progress:
    if progress.served is not None:
        return progress
    starts = reference_starts(watched, to_micros(window.start), store)
    if starts is None or len(starts) < drift.FEWEST:
        return progress
    windows = [[figures for _, figures in store.at(watched, start)] for start in starts]
    metric = served.metric_of([each for one in windows for each in one])
    calibration = served.calibrate([from_micros(start) for start in starts], watched.seconds, windows, metric)
    return replace(progress, served=baselines.packed_calibration(calibration), metric=metric)


def _rows(window: Window, objects: ObjectPlane) -> pl.DataFrame:
    return pl.concat([profile.unpacked(objects.get(digest)) for digest in window.rows])


def _inputs(digests: Sequence[str], objects: ObjectPlane) -> pl.Series:
    return pl.concat([profile.unpacked(objects.get(digest), ["inputs"]) for digest in digests])["inputs"]


def _place(out: Floats) -> int:
    return int(np.argmax(np.where(np.isfinite(out), np.abs(out), -1.0)))


def _farthest(out: Floats) -> float:
    value = float(out[_place(out)])
    return value if value == value else 0.0
