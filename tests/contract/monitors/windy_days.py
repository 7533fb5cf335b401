"""Days of predictions whose inputs, answers and labels are made up, and may change on some day."""

from datetime import datetime, timedelta
from typing import Any, NamedTuple

import msgspec
import numpy as np

from tests.contract.predictions.logged_home import DAY, START
from tidegate.kernel.clock import to_micros
from tidegate.predictions.log import PredictionLog
from tidegate.predictions.records import LabelRow, PredictionRow, Source

WINDY = Source("windy", "a" * 32, "windy", 1, "stable", (False, True))
ROWS = 60
REFERENCE = 14


class Change(NamedTuple):
    """What changes from a day, counted from 0, to before another."""

    since: int
    until: int = 1000
    wind: float = 1.0
    """Factor."""
    length: float = 0.0
    """Added, in standard deviations."""
    nulls: float = 0.0
    """Share of the carriers that vanish."""
    stranger: float = 0.0
    """Share of the carriers that are somebody new."""
    upside_down: bool = False
    """Whether what was likely now never happens."""


def inputs_of(rng: np.random.Generator, rows: int, change: Change | None) -> list[dict[str, Any]]:
    """Wind on a lattice with a level of the day, a length that varies a lot, carriers."""
    now = change or Change(0)
    wind = 1.15 * np.maximum(np.round(8 + 2 * rng.normal() + 3 * rng.normal(size=rows)), 0) * now.wind
    length = np.exp(6 + 0.3 * rng.normal(size=rows) + 0.3 * now.length)
    carrier = rng.choice(["UA", "B6", "EV", "DL"], rows, p=[0.4, 0.3, 0.2, 0.1]).astype(object)
    carrier[rng.random(rows) < now.nulls] = None
    carrier[rng.random(rows) < now.stranger] = "??"
    return [{"wind": float(wind[row]), "length": float(length[row]), "carrier": carrier[row]} for row in range(rows)]


def log_days(
    log: PredictionLog, days: range, *changes: Change, first: datetime = START, labels: bool = True, rows: int = ROWS
) -> None:
    """Log some days of predictions, each labelled within the hour."""
    for day in days:
        rng = np.random.default_rng(day)
        change = next((each for each in changes if each.since <= day < each.until), None)
        begin = first + day * DAY
        score = rng.random(rows)
        happened = rng.random(rows) < np.where(change is not None and change.upside_down, 1 - score, score)
        made, known = [], []
        for place, inputs in enumerate(inputs_of(rng, rows, change)):
            at = begin + timedelta(minutes=20 * place)
            shares = [1 - float(score[place]), float(score[place])]
            row = PredictionRow(
                log.ids.new(at), to_micros(at), WINDY, msgspec.json.encode(inputs), bool(score[place] > 0.5), shares,
                latency=1000 + int(rng.integers(200)),
            )  # fmt: skip
            made.append(row)
            seen = to_micros(at + timedelta(hours=1))
            known.append(LabelRow(row.id, "windy", bool(happened[place]), seen, seen))
        log.append(made)
        if labels:
            log.append_labels(known)
