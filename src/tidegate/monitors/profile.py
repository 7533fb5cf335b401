"""The rows of one window, as compact columns: what a late label needs so that nothing else is read again."""

import io
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

import msgspec
import numpy as np
import polars as pl
from numpy.typing import NDArray

from tidegate.monitors.records import SHADOW, Figures
from tidegate.monitors.rules import Flags, Floats, Sample, figures_of
from tidegate.predictions.codecs import label_schema
from tidegate.predictions.reading import holding_labels
from tidegate.predictions.records import FELL_BACK, Value
from tidegate.predictions.rules import value_number, value_text

GROUP = ("endpoint", "model", "number", "variant")
LABEL = ("label", "label_number", "observed_at", "received_at")

Places = NDArray[np.intp]

_PLAIN = pl.CompatLevel.oldest()
"""Texts one after the other: views would bring along what they no longer show."""

_SCHEMA: dict[str, pl.DataType] = {
    "id": pl.String(),
    "at": pl.Datetime("us", "UTC"),
    "inputs": pl.String(),
    "value": pl.String(),
    "value_number": pl.Float64(),
    "classes": pl.String(),
    "score": pl.Float64(),
    "latency": pl.Int64(),
    "failed": pl.Boolean(),
    "unknown": pl.String(),
    "missing": pl.String(),
    **{name: kind for name, kind in label_schema().items() if name in LABEL},
}


def rows_of(news: pl.DataFrame) -> pl.DataFrame:
    """Predictions as rows of profiles, with the columns of `GROUP` beside them and no label yet.

    What other variants answered to a row is a row of theirs, of the variant `SHADOW`: nobody was given it.
    """
    answered = news.with_columns(failed=pl.col("value").is_null() | ~pl.col("status").is_in(("ok", FELL_BACK)))
    return pl.concat([_scored(answered), _scored(_in_shadow(news))])


def _in_shadow(news: pl.DataFrame) -> pl.DataFrame:
    asked = news.filter(pl.col("shadows").list.len() > 0).select("id", "at", "endpoint", "shadows")
    rows = asked.explode("shadows").unnest("shadows")
    absent = [pl.lit(None, dtype=_SCHEMA[name]).alias(name) for name in ("inputs", "latency", "unknown", "missing")]
    return rows.with_columns(pl.lit(SHADOW).alias("variant"), pl.col("value").is_null().alias("failed"), *absent)


def _scored(rows: pl.DataFrame) -> pl.DataFrame:
    shares = pl.col("probabilities")
    unlabelled = [pl.lit(None, dtype=_SCHEMA[name]).alias(name) for name in LABEL]
    score = pl.when(shares.list.len() == 2).then(shares.list.get(1, null_on_oob=True)).alias("score")
    return rows.with_columns(score, *unlabelled).select([*GROUP, *_SCHEMA])


def with_starts(rows: pl.DataFrame, seconds: Mapping[str, int], default: int) -> pl.DataFrame:
    """The rows with the length (`_seconds`) and the start (`_start`, microseconds) of their windows."""
    length = pl.col("endpoint").replace_strict(dict(seconds), default=default, return_dtype=pl.Int64)
    span = pl.col("_seconds") * 1_000_000
    lengths = rows.with_columns(length.alias("_seconds"))
    return lengths.with_columns((pl.col("at").dt.epoch("us") // span * span).alias("_start"))


def merged(old: pl.DataFrame | None, new: pl.DataFrame) -> pl.DataFrame:
    """The rows of both, sorted by id; an id that is in both stays as it was."""
    both = new.select(list(_SCHEMA)) if old is None else pl.concat([old, new.select(list(_SCHEMA))])
    return both.unique("id", keep="first", maintain_order=True).sort("id")


def resolved(labels: pl.DataFrame) -> pl.DataFrame:
    """Of several labels for one prediction the one that holds."""
    return holding_labels(labels.lazy()).collect()


def labelled(profile: pl.DataFrame, labels: pl.DataFrame) -> tuple[pl.DataFrame, Places]:
    """The profile with those of the labels, one a prediction, that hold against what it has; the same object if none.

    Also the places of the labels whose predictions are the profile's.
    """
    ids, names = profile["id"], labels["prediction_id"]
    nearest = np.minimum(ids.search_sorted(names).to_numpy(), len(ids) - 1)  # they are sorted
    own = np.flatnonzero((ids[nearest] == names).to_numpy())
    theirs = nearest[own]
    kept = profile[list(LABEL)]
    new = labels[list(LABEL)][own]
    holds = _holds(kept[theirs], new)
    if not holds.any():
        return profile, own
    chosen = np.arange(profile.height)
    chosen[theirs[holds]] = profile.height + np.flatnonzero(holds)
    return profile.with_columns(pl.concat([kept, new])[chosen].get_columns()), own


def _holds(old: pl.DataFrame, new: pl.DataFrame) -> Flags:
    """Which of the new labels hold against the old ones, by the same order as `predictions.rules.distinct_labels`."""
    if old["received_at"].null_count() == old.height:
        return np.ones(old.height, np.bool_)
    seen, new_seen = old["observed_at"], new["observed_at"]
    came, new_came = old["received_at"], new["received_at"]
    later = (new_came > came) | ((new_came == came) & (new["label"].fill_null("") > old["label"].fill_null("")))
    holds = came.is_null() | (new_seen > seen) | ((new_seen == seen) & later)
    return holds.fill_null(value=False).to_numpy()


def figures(profile: pl.DataFrame) -> Figures:
    """What the rows come to."""
    sample, classification = sample_of(profile)
    return figures_of(
        sample,
        classification=classification,
        unknown=_sum(profile["unknown"]),
        missing=_sum(profile["missing"]),
    )


def packed(profile: pl.DataFrame, of: str) -> bytes:
    """The object of a profile, or of labels: a line that says whose it is, then an Arrow IPC stream, zstd inside.

    Two shadows may answer alike. Each has an object of its own even so: what replaces one deletes its old object.
    The same rows may be other bytes another time (what stands under a null is anybody's), which does no harm: an
    object that no row of the catalog names is never read.

    A profile is written and read again at most a few times, within days, so what counts is how quick that is: Parquet
    would take twice as long, and hardly be smaller.
    """
    buffer = io.BytesIO()
    buffer.write(f"{of}\n".encode())
    profile.rechunk().write_ipc_stream(buffer, compression="zstd", compat_level=_PLAIN)
    return buffer.getvalue()


def unpacked(data: bytes, names: Sequence[str] | None = None) -> pl.DataFrame:
    """What `packed` packed, or some of its columns."""
    buffer = io.BytesIO(data)
    buffer.readline()
    return pl.read_ipc_stream(buffer, columns=None if names is None else list(names))


def sample_of(profile: pl.DataFrame) -> tuple[Sample, bool]:
    """The rows as arrays, and whether their answers are classes: those that the newest row could choose from."""
    classes = msgspec.json.decode(profile["classes"][-1], type=list[Any])
    answered, came = ~profile["failed"].to_numpy(), ~np.isnat(profile["received_at"].to_numpy())
    outcome, positive = np.full((2, profile.height), np.nan)
    if len(classes) == 2:
        first, second = classes
        outcome[came & _is(profile, "label", first)] = 0.0
        outcome[came & _is(profile, "label", second)] = 1.0
        positive[answered] = _is(profile, "value", second)[answered]
    number, target = profile["value_number"].to_numpy(), profile["label_number"].to_numpy()
    sample = Sample(
        answered=answered,
        labelled=came,
        same=came & _equal(profile["label"], target, profile["value"], number),
        number=number,
        target=target,
        score=profile["score"].to_numpy(),
        outcome=outcome,
        positive=positive,
        latency=profile["latency"].to_numpy().astype(np.float64),
    )
    return sample, bool(classes)


def _is(profile: pl.DataFrame, name: str, wanted: Value) -> Flags:
    """Whether the label, or the value, is the one that is wanted."""
    number = value_number(wanted)
    known = profile[f"{name}_number"].to_numpy()
    return _equal(profile[name], known, value_text(wanted), np.nan if number is None else number)


def _equal(texts: pl.Series, numbers: Floats, other_texts: pl.Series | str | None, other: Floats | float) -> Flags:
    """Whether values are the same: numbers by their size, whatever their type, else text by text."""
    same = np.asarray(numbers == other, dtype=np.bool_)
    wordy = np.isnan(numbers)
    if wordy.sum() > texts.null_count():  # a value is text where it has no number
        same[wordy] = (texts == other_texts).fill_null(value=False).to_numpy()[wordy]
    return same


def _sum(tallies: pl.Series) -> dict[str, int]:
    """JSON objects of counts, added up."""
    total = Counter[str]()
    if tallies.null_count() < len(tallies):
        for text, times in Counter(tallies.drop_nulls().to_list()).items():
            for name, count in msgspec.json.decode(text, type=dict[str, int]).items():
                total[name] += count * times
    return dict(sorted(total.items()))
