"""What may be asked of the watching of an endpoint. Pure."""

from typing import Final

from tidegate.kernel.clock import Instant
from tidegate.kernel.errors import Invalid
from tidegate.monitors.drift_records import Reference

MOST_SEGMENTS: Final = 8
FEWEST_WINDOWS: Final = 7
MOST_WINDOWS: Final = 1000
LONGEST_QUIET: Final = 30
LONGEST_WAIT: Final = 366 * 86_400


def check_segments(columns: tuple[str, ...]) -> tuple[str, ...]:
    """The columns, if they may part the traffic."""
    if len(columns) > MOST_SEGMENTS:
        raise Invalid(f"{len(columns)} columns are too many: at most {MOST_SEGMENTS} part the traffic", field="columns")
    for column in columns:
        if not column or columns.count(column) > 1:
            raise Invalid(f"column {column!r} is empty or named twice", field="columns")
    return columns


def check_reference(
    windows: int | None, since: Instant | None, until: Instant | None, frame: str, at: str
) -> Reference:
    """The reference that is meant, if it is exactly one."""
    if bool(frame) != bool(at):
        raise Invalid("a frame needs the column `at` that says when its rows were, and the other way round", field="at")
    ways = [windows is not None, until is not None, bool(frame)]
    if sum(ways) != 1 or (frame and since is not None) or (until is not None and since is None):
        raise Invalid("give either `windows`, or `since` and `until`, or `frame` and `at`", field="windows")
    if windows is not None:
        _within(windows, FEWEST_WINDOWS, MOST_WINDOWS, "windows")
        return Reference(windows=windows, since=since)
    if frame:
        return Reference(frame=frame, at=at)
    if since is not None and until is not None and since >= until:
        raise Invalid(f"the span from {since.isoformat()} to {until.isoformat()} is empty", field="until")
    return Reference(since=since, until=until)


def check_detection(alarm_every: int, inputs_after: int, labels_after: int, quiet: int) -> dict[str, int]:
    """The settings, if they are any."""
    _within(alarm_every, 1, 1_000_000, "alarm_every")
    _within(inputs_after, 0, LONGEST_WAIT, "inputs_after")
    _within(labels_after, 0, LONGEST_WAIT, "labels_after")
    _within(quiet, 1, LONGEST_QUIET, "quiet")
    if labels_after < inputs_after:
        raise Invalid(
            "labels are not known before their rows: labels_after is below inputs_after", field="labels_after"
        )
    return {"alarm_every": alarm_every, "inputs_after": inputs_after, "labels_after": labels_after, "quiet": quiet}


def _within(value: int, low: int, high: int, field: str) -> None:
    if not low <= value <= high:
        raise Invalid(f"{field} {value} is outside {low} to {high}", field=field)
