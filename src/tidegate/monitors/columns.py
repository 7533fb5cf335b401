"""The columns of logged inputs: taken out of their JSON text, described once for a reference, measured each window."""

import functools
from collections import Counter
from collections.abc import Container, Sequence
from operator import attrgetter
from typing import Any

import msgspec
import numpy as np
import polars as pl
from numpy.typing import NDArray
from scipy.special import ndtri

from tidegate.monitors.drift_records import ColumnType, ColumnWindow
from tidegate.statistics import distances
from tidegate.statistics.drift import SMALLEST
from tidegate.statistics.metrics import variance_of

Floats = NDArray[np.float64]

MOST_COLUMNS = 200
MOST_VALUES = 50
"""So many categories of a column are counted by name."""

LATTICE = 2048
"""A column of numbers with more different values than this in the reference has no list of values seen."""

TRACKED = 6
"""So many categories have a stream of their own."""

_GRID = 512
_QUANTILES = (0.0, 0.05, 0.25, 0.5, 0.75, 0.95, 1.0)
_SAMPLE = 100
_NEAR = 1e-6
NAN = float("nan")
_NUMBERS, _TEXTS = {int, float, type(None)}, {str, type(None)}
_NOWHERE = distances.Distances(NAN, NAN, NAN)


class ColumnReference(msgspec.Struct, frozen=True, kw_only=True):
    """What a column's values were like over the whole reference."""

    column: str
    type: ColumnType
    rows: int
    nulls: float
    """Share of the rows."""
    least_distinct: int
    """Different values in the window that had the fewest."""
    quantiles: list[float] = []
    grid: list[float] = []
    """Sorted quantiles: the place of a value among them says how usual it is."""
    edges: list[float] = []
    bins: list[int] = []
    seen: list[float] | None = None
    """All values of a column of numbers that has few."""
    categories: dict[str, int] = {}
    others: int = 0
    """Rows of categories beyond those; a value among them would be taken for unseen, so none is while there are any."""
    novel: list[float] = []
    """Of each reference window the share of rows with a value that no other one has."""


class Measured(msgspec.Struct, frozen=True):
    """A column in one window: what is shown, and its streams with the variance that comes of few rows."""

    window: ColumnWindow
    values: list[float]
    noise: list[float]


def names_in(inputs: pl.Series) -> list[str]:
    """The columns that the inputs have, by the first of them."""
    found: dict[str, None] = {}
    for text in inputs.drop_nulls().head(_SAMPLE):
        row = msgspec.json.decode(text)
        found |= dict.fromkeys(row if isinstance(row, dict) else ())
    return list(found)[:MOST_COLUMNS]


def taken_out(inputs: pl.Series, names: Sequence[str], numbers: Container[str] = ()) -> pl.DataFrame:
    """The inputs as columns of text, whatever they hold (JSON, where it is no text); null where one is absent.

    Of those in `numbers`, a column that holds nothing else comes as numbers.
    """
    fields = {f"_{place}": name for place, name in enumerate(names)}
    row = msgspec.defstruct("Row", [(field, Any, None) for field in fields], rename=fields, gc=False)
    decode, absent = msgspec.json.Decoder(row).decode, row()
    rows = [absent if text is None else decode(text) for text in inputs.to_list()]
    return pl.DataFrame(
        [_column(name, list(map(attrgetter(field), rows)), name in numbers) for field, name in fields.items()]
    )


def _column(name: str, values: list[Any], number: bool) -> pl.Series:
    kinds = set(map(type, values))
    if number and kinds <= _NUMBERS:
        return pl.Series(name, values, pl.Float64, strict=False)
    if not kinds <= _TEXTS:
        values = [value if type(value) in _TEXTS else msgspec.json.encode(value).decode() for value in values]
    return pl.Series(name, values, pl.String)


def typed(frame: pl.DataFrame, types: dict[str, ColumnType]) -> pl.DataFrame:
    """The columns as numbers (null where there is none; infinities too) or as text."""
    numbers = {name: pl.col(name).cast(pl.Float64, strict=False) for name in types if types[name] == "number"}
    finite = {name: pl.when(value.is_finite()).then(value).alias(name) for name, value in numbers.items()}
    return frame.select([finite.get(name, pl.col(name).cast(pl.String, strict=False)) for name in types])


def types_of(frame: pl.DataFrame) -> dict[str, ColumnType]:
    """Numbers where every value that is there is one, else text. Columns without a value are left out."""
    found: dict[str, ColumnType] = {}
    for name, kind in frame.schema.items():
        values = frame[name].drop_nulls()
        if values.is_empty():
            continue
        if kind == pl.String:
            found[name] = "text" if values.cast(pl.Float64, strict=False).null_count() else "number"
        else:
            found[name] = "number" if kind.is_numeric() else "text"
    return found


def described(name: str, kind: ColumnType, windows: Sequence[pl.Series]) -> ColumnReference:
    """The reference of a column (`typed`), from its windows."""
    every = pl.concat(windows)
    values = every.drop_nulls()
    least_distinct, novel = _variety(every, [len(window) for window in windows])
    common: dict[str, Any] = {
        "column": name,
        "type": kind,
        "rows": len(values),
        "nulls": every.null_count() / max(len(every), 1),
        "least_distinct": least_distinct,
        "novel": novel,
    }
    if kind == "text":
        counts = dict(values.value_counts(sort=True).sort("count", name, descending=[True, False]).iter_rows())
        kept = dict(list(counts.items())[:MOST_VALUES])
        return ColumnReference(**common, categories=kept, others=len(values) - sum(kept.values()))
    numbers = np.sort(values.to_numpy())
    edges = distances.quantile_edges(numbers)
    distinct = np.unique(numbers)
    few = len(distinct) <= min(LATTICE, len(numbers) / 5)
    steps = (np.arange(_GRID) + 0.5) / _GRID
    return ColumnReference(
        **common,
        quantiles=_quantiles(numbers),
        grid=np.quantile(numbers, steps, method="inverted_cdf").tolist() if len(numbers) else [],
        edges=edges.tolist(),
        bins=distances.counts_within(edges, numbers).tolist(),
        seen=distinct.tolist() if few else None,
    )


def streams_of(reference: ColumnReference) -> list[str]:
    """The figures of a column that are followed from window to window."""
    if reference.type == "number":
        return ["location", "spread", "nulls", *(["unseen"] if reference.seen else [])]
    return ["nulls", "unseen", *(f"share of {name}" for name in _tracked(reference))]


def smallest(reference: ColumnReference, figure: str) -> float:
    """The distance from its mean that a stream may always have.

    A few values that were never seen are no news, least of all among many numbers.
    """
    return {"text": 0.05, "number": 0.15}[reference.type] if figure == "unseen" else SMALLEST


def measured(reference: ColumnReference, values: pl.Series) -> Measured:
    """A column (`typed`) in one window."""
    return _numbers(reference, values) if reference.type == "number" else _texts(reference, values)


def scores_of(reference: ColumnReference, numbers: Floats) -> Floats:
    """Each value's place in the reference as a standard normal number; a value beyond all counts as about 3."""
    grid = np.asarray(reference.grid)
    places = np.searchsorted(grid, numbers, "left") + np.searchsorted(grid, numbers, "right")
    return np.asarray(_scores(len(grid))[places], dtype=np.float64)


@functools.cache
def _scores(size: int) -> Floats:
    """The score of each place, in and between the entries of a grid of that size."""
    return np.asarray(ndtri((np.arange(2 * size + 1) / 2 + 0.5) / (size + 1)), dtype=np.float64)


def streams_in(reference: ColumnReference, values: pl.Series) -> tuple[list[float], list[float]]:
    """The streams of a column (`typed`) in one window, and their noise, without the rest of `measured`."""
    if reference.type == "number":
        return number_streams(reference, finite(values), len(values))
    return _text_streams(reference, Counter(values.drop_nulls().to_list()), len(values))


def finite(values: pl.Series) -> Floats:
    """The numbers of a column (`typed`) that are there."""
    numbers = values.to_numpy()
    return np.asarray(numbers[np.isfinite(numbers)], dtype=np.float64)


def number_streams(reference: ColumnReference, numbers: Floats, rows: int) -> tuple[list[float], list[float]]:
    """Location, spread, null rate, and share of values never seen, of a window of `rows` rows; and their noise."""
    nulls, own = _share(rows - len(numbers), rows), _noise(rows)
    strange = [turned(unseen_share(reference.seen, numbers))] if reference.seen else []
    if not len(numbers) or not reference.grid:
        return [NAN, NAN, nulls, *strange], [NAN, NAN, own, *([own] * len(strange))]
    scores = scores_of(reference, numbers)
    sizes = np.abs(scores)
    # a constant window tells no less about its variance than one row of the reference would
    variances = [max(variance_of(each, len(each)), 0.1) / len(numbers) for each in (scores, sizes)]
    return [float(scores.mean()), float(sizes.mean()), nulls, *strange], [*variances, own, *([own] * len(strange))]


def unseen_share(seen: Sequence[float] | Floats, numbers: Floats, near: float = _NEAR) -> float:
    """The share of the numbers that are none of the sorted ones, within a relative distance."""
    if not len(numbers):
        return NAN
    known = np.asarray(seen)
    after = np.minimum(known.searchsorted(numbers), len(known) - 1)
    nearest = np.minimum(np.abs(known[after] - numbers), np.abs(known[np.maximum(after - 1, 0)] - numbers))
    return float((nearest > near * np.maximum(np.abs(numbers), 1.0)).mean())


def _numbers(reference: ColumnReference, values: pl.Series) -> Measured:
    numbers = np.sort(finite(values))
    bins = distances.counts_within(reference.edges, numbers)
    streams, noise = number_streams(reference, numbers, len(values))
    there = len(numbers) > 0
    mean = float(numbers.mean()) if there else NAN
    far = distances.between(reference.bins, bins) if there else _NOWHERE
    window = ColumnWindow(
        column=reference.column,
        type="number",
        count=len(values),
        nulls=len(values) - len(numbers),
        distinct=int((np.diff(numbers) > 0).sum()) + there,
        mean=mean,
        deviation=float(np.abs(numbers - mean).mean()) if there else NAN,
        quantiles=_quantiles(numbers),
        bins=bins.tolist(),
        unseen=float(np.sin(streams[-1]) ** 2) if reference.seen else NAN,
        psi=far.psi,
        jsd=far.jsd,
        ks=far.ks,
    )
    return Measured(window, streams, noise)


def _text_streams(reference: ColumnReference, counts: Counter[str], rows: int) -> tuple[list[float], list[float]]:
    """Null rate, share of values never seen, and the shares of the tracked ones, of a window of `rows`; their noise."""
    known = reference.categories
    there = sum(counts.values())
    strange = NAN
    if not reference.others:
        strange = _share(there - sum(counts[name] for name in known.keys() & counts.keys()), rows)
    values = [_share(rows - there, rows), strange, *(_share(counts[name], rows) for name in _tracked(reference))]
    return values, [_noise(rows)] * len(values)


def _texts(reference: ColumnReference, values: pl.Series) -> Measured:
    there = values.drop_nulls()
    counts = Counter(there.to_list())
    rows, known = len(values), reference.categories
    strangers = sum(count for name, count in counts.items() if name not in known)
    unseen = strangers / rows if rows and not reference.others else NAN
    first = [*known.values(), reference.others]
    second = [*(counts.get(name, 0) for name in known), strangers]
    shown = dict(sorted(counts.items(), key=lambda item: (-item[1], item[0]))[:MOST_VALUES])
    far = distances.between(first, second) if counts else _NOWHERE
    window = ColumnWindow(
        column=reference.column,
        type="text",
        count=rows,
        nulls=rows - len(there),
        distinct=len(counts),
        mean=NAN,
        deviation=NAN,
        categories=shown,
        others=len(there) - sum(shown.values()),
        unseen=unseen,
        psi=far.psi,
        jsd=far.jsd,
        ks=NAN,
    )
    return Measured(window, *_text_streams(reference, counts, rows))


def _tracked(reference: ColumnReference) -> list[str]:
    return list(reference.categories)[:TRACKED]


def turned(share: float) -> float:
    """A share on the scale on which its noise does not depend on it."""
    return float(np.arcsin(np.sqrt(share)))


def _variety(every: pl.Series, lengths: Sequence[int]) -> tuple[int, list[float]]:
    """Of windows that lie one after the other: the fewest values that one has, and each one's share of lone values.

    A lone value is one that no other window has. A window without rows has no share, one of nulls counts for no value.
    """
    rows = pl.DataFrame({"value": every, "window": np.repeat(np.arange(len(lengths)), lengths)})
    there = pl.col("value").is_not_null()
    window = pl.col("window")
    lone = there & (window.min().over("value") == window.max().over("value"))
    distinct = pl.col("value").filter(there).n_unique()
    found = rows.with_columns(lone=lone).group_by("window").agg(pl.col("lone").mean(), distinct)
    of = {window: (share, values) for window, share, values in found.iter_rows()}
    shares = [float(of[place][0]) if place in of else NAN for place in range(len(lengths))]
    return min((values for _, values in of.values() if values), default=0), shares


def _share(part: int, rows: int) -> float:
    return turned(part / rows) if rows else NAN


def _noise(rows: int) -> float:
    return 1 / (4 * rows) if rows else NAN


def _quantiles(numbers: Floats) -> list[float]:
    """Of sorted numbers, each a value that is there."""
    places = np.maximum(np.ceil(np.array(_QUANTILES) * len(numbers)).astype(int) - 1, 0)
    return [float(each) for each in numbers[places]] if len(numbers) else []
