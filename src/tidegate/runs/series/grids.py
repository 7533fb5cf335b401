"""The steps of a chart, divided into buckets of one width."""

from collections.abc import Sequence

import msgspec


class Grid(msgspec.Struct, frozen=True):
    """Buckets of ``width`` steps from ``start`` on; the last may reach beyond ``end``, which is included."""

    start: int
    end: int
    width: int

    def place(self, step: int) -> int:
        """The number of the bucket that a step lies in."""
        return (step - self.start) // self.width

    def steps(self, place: int) -> tuple[int, int]:
        """The first and the last step of a bucket."""
        first = self.start + place * self.width
        return first, min(first + self.width - 1, self.end)

    def edges(self) -> list[int]:
        """The first step of each bucket."""
        return list(range(self.start, self.end + 1, self.width))


def grid_of(spans: Sequence[tuple[int, int]], points: int, start: int | None, end: int | None) -> Grid:
    """At most so many buckets over the steps asked for, or else over all that the spans (first, last) hold."""
    first = min((span[0] for span in spans), default=0) if start is None else start
    last = max((span[1] for span in spans), default=first) if end is None else end
    return Grid(first, last, max(1, -(-(last - first + 1) // points)))
