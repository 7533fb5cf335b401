"""The rows of one window, as compact columns: what a late label needs so that nothing else is read again."""

import io
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

import msgspec
import polars as pl

from tidegate.monitors.records import SHADOW, Figures
from tidegate.monitors.rules import Sample, figures_of
from tidegate.predictions.codecs import label_schema
from tidegate.predictions.reading import holding_labels
from tidegate.predictions.records import FELL_BACK
from tidegate.predictions.rules import value_number, value_text

GROUP = ("endpoint", "model", "number", "variant")
LABEL = ("label", "label_number", "observed_at", "received_at")
NEWS = (
    "id",
    "at",
    *GROUP,
    "inputs",
    "value",
    "value_number",
    "classes",
    "probabilities",
    "latency",
    "status",
    "unknown",
    "missing",
    "shadows",
)
"""The columns of the prediction log that a profile is made from."""

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


def labelled(profile: pl.DataFrame, labels: pl.DataFrame) -> pl.DataFrame:
    """The profile with those of the labels that are its own and hold against what it has; the same object if none."""
    theirs = labels.select("prediction_id", *(pl.col(name).alias(f"new_{name}") for name in LABEL))
    joined = profile.join(theirs, left_on="id", right_on="prediction_id", how="left", maintain_order="left")
    seen, new_seen = pl.col("observed_at"), pl.col("new_observed_at")
    came, new_came = pl.col("received_at"), pl.col("new_received_at")
    text, new_text = pl.col("label").fill_null(""), pl.col("new_label").fill_null("")
    later = (new_came > came) | ((new_came == came) & (new_text > text))
    holds = new_came.is_not_null() & (came.is_null() | (new_seen > seen) | ((new_seen == seen) & later))
    marked = joined.with_columns(holds.fill_null(value=False).alias("_holds"))
    if not marked["_holds"].any():
        return profile
    chosen = [pl.when("_holds").then(pl.col(f"new_{name}")).otherwise(pl.col(name)).alias(name) for name in LABEL]
    return marked.with_columns(chosen).select(list(_SCHEMA))


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
    """The object of a profile, or of labels: the same bytes for the same rows `of` the same owner.

    Two shadows may answer alike. Each has an object of its own even so: what replaces one deletes its old object.
    """
    buffer = io.BytesIO()
    profile.write_parquet(buffer, compression="zstd", statistics=False, metadata={"of": of})
    return buffer.getvalue()


def unpacked(data: bytes, names: Sequence[str] | None = None) -> pl.DataFrame:
    """What `packed` packed, or some of its columns."""
    return pl.read_parquet(io.BytesIO(data), columns=None if names is None else list(names))


def sample_of(profile: pl.DataFrame) -> tuple[Sample, bool]:
    """The rows as arrays, and whether their answers are classes: those that the newest row could choose from."""
    classes = msgspec.json.decode(profile["classes"][-1], type=list[Any])
    came = pl.col("received_at").is_not_null()
    columns = profile.select(
        answered=~pl.col("failed"),
        labelled=came,
        same=came & _equal(pl.col("value"), pl.col("value_number")),
        number=pl.col("value_number").fill_null(float("nan")),
        target=pl.col("label_number").fill_null(float("nan")),
        score=pl.col("score").fill_null(float("nan")),
        outcome=_outcome(classes),
        positive=_positive(classes),
        latency=pl.col("latency").cast(pl.Float64).fill_null(float("nan")),
    )
    return Sample(**{name: columns[name].to_numpy() for name in Sample._fields}), bool(classes)


def _equal(text: pl.Expr, number: pl.Expr) -> pl.Expr:
    """Whether the label is this value: numbers by their size, whatever their type, else text by text."""
    numbers = pl.col("label_number").is_not_null() & number.is_not_null()
    same = pl.when(numbers).then(pl.col("label_number") == number).otherwise(pl.col("label") == text)
    return same.fill_null(value=False)


def _outcome(classes: list[Any]) -> pl.Expr:
    absent = pl.lit(float("nan"))
    if len(classes) != 2:
        return absent
    first, second = (
        _equal(pl.lit(value_text(value), dtype=pl.String()), pl.lit(value_number(value), dtype=pl.Float64()))
        for value in classes
    )
    return (
        pl.when(pl.col("received_at").is_null())
        .then(absent)
        .when(second)
        .then(1.0)
        .when(first)
        .then(0.0)
        .otherwise(absent)
    )


def _positive(classes: list[Any]) -> pl.Expr:
    """1 where the answer is the second of two classes, 0 where it is another one."""
    absent = pl.lit(float("nan"))
    if len(classes) != 2:
        return absent
    text, number = value_text(classes[1]), value_number(classes[1])
    same = pl.col("value") == pl.lit(text, dtype=pl.String())
    if number is not None:
        same = pl.col("value_number") == number
    return pl.when("failed").then(absent).otherwise(same.fill_null(value=False).cast(pl.Float64))


def _sum(tallies: pl.Series) -> dict[str, int]:
    """JSON objects of counts, added up."""
    total = Counter[str]()
    for text, times in tallies.drop_nulls().value_counts().iter_rows():
        for name, count in msgspec.json.decode(text, type=dict[str, int]).items():
            total[name] += count * times
    return dict(sorted(total.items()))
