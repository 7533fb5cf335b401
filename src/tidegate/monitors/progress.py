"""How far the drift controller has come with an endpoint: all that it knows from one step to the next."""

from typing import Any, NamedTuple

import msgspec

from tidegate.monitors.drift_records import DriftSettings, Episode, Performance


class Track(msgspec.Struct, frozen=True, kw_only=True):
    """The detector's state of some streams, and their newest deviations."""

    state: list[list[float]]
    recent: list[list[float]] = []


class Progress(msgspec.Struct, frozen=True, kw_only=True):
    """Of one endpoint. Instants in microseconds; the start of the newest window that was judged."""

    reference: str = ""
    """What the baseline stands for; another text in the settings makes it anew."""
    seconds: int = 0
    baseline: str = ""
    """Digest of the object that holds it; empty while there is none."""
    inputs_until: int | None = None
    labels_until: int | None = None
    columns: Track | None = None
    served: list[list[Any]] | None = None
    """The calibration of score, latency and performance."""
    felt: Track | None = None
    """Score and latency."""
    worth: Track | None = None
    """Performance."""
    unlabelled: int = 0
    """Windows in a row without a figure of performance."""
    far: dict[str, str] = {}
    """Columns that were far out in the newest window, with what looked broken about them."""
    metric: str = ""
    """Which figure performance is."""
    problem: str = ""
    """Why there is no baseline, where one is due."""

    def performance(self, open_: list[Episode], quiet: int) -> Performance:
        """Whether performance holds, by the episodes that are open."""
        if self.served is None or self.unlabelled >= quiet:
            return "unknown"
        return "lost" if any(each.kind == "quality" for each in open_) else "holds"


class Outcome(NamedTuple):
    """What a step found out, as the catalog keeps it."""

    progress: Progress
    episodes: list[Episode]
    """New and changed ones."""
    profiles: dict[str, tuple[int, str]]
    """For `inputs` and `segments` the start of the window and the digest of the object."""


class Watched(msgspec.Struct, frozen=True, kw_only=True):
    """An endpoint as a step of the controller finds it."""

    endpoint: str
    seconds: int
    revision: int
    settings: DriftSettings
    progress: Progress
    episodes: list[Episode]
    """Those that are open."""


def encoded(progress: Progress) -> bytes:
    """For the catalog."""
    return msgspec.msgpack.encode(progress)


def decoded(raw: bytes | None) -> Progress:
    """What `encoded` encoded."""
    return Progress() if raw is None else msgspec.msgpack.decode(raw, type=Progress)


def identity_of(settings: DriftSettings) -> str:
    """The text that changes when the reference does."""
    return msgspec.json.encode(settings.reference).decode()
