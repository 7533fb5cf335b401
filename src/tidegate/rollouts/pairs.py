"""From the prediction log to what the tests take: which rows are a rollout's, and what they lost once labels came."""

from typing import NamedTuple

import polars as pl

from tidegate.endpoints.records import Deployment
from tidegate.models.signature import Label
from tidegate.predictions.codecs import label_schema
from tidegate.predictions.records import FELL_BACK
from tidegate.predictions.rules import value_number, value_text
from tidegate.rollouts.records import KeptRollout
from tidegate.rollouts.rules import News, Pairs, Split

_SAID: dict[str, pl.DataType] = {"value": pl.String(), "number": pl.Float64(), "score": pl.Float64()}
SCHEMA: dict[str, pl.DataType] = {
    "id": pl.String(),
    "canary": pl.Boolean(),
    "failed": pl.Boolean(),
    "weight": pl.Float64(),
    "both": pl.Boolean(),
    **{f"{side}_{name}": kind for side in ("stable", "canary") for name, kind in _SAID.items()},
}
"""A row of a rollout: whose it was, whether that one failed, the share in force, whether both scored it, and what each
variant said (`score`: the probability of the second of two classes)."""


class Taken(NamedTuple):
    """What one step takes from the log for one rollout."""

    news: News
    pending: pl.DataFrame
    """Rows whose labels are still awaited."""


def take(kept: KeptRollout, predictions: pl.DataFrame, labels: pl.DataFrame, pending: pl.DataFrame) -> Taken:
    """Sort out the news of the log: `predictions` and `labels`, of all endpoints.

    ``pending`` are the rows that waited. The first label of a prediction counts: bets that were placed stay placed.
    """
    rollout = kept.rollout
    rows = rows_of(predictions, kept)
    split = rows.filter(pl.col("weight").is_not_null())
    scored = rows.filter(pl.col("both") if rollout.paired else pl.col("canary"))
    share = rollout.share / 100
    present = pl.col("weight").is_null() if share == 1 else pl.col("weight") == share
    waiting = pl.concat([pending, rows.filter(pl.col("both")) if rollout.paired else rows])
    first = labels.filter((pl.col("endpoint") == rollout.endpoint) & pl.col("label").is_not_null())
    first = first.unique("prediction_id", keep="first", maintain_order=True)
    known = first.join(waiting, left_on="prediction_id", right_on="id", how="inner", maintain_order="left")
    left = waiting.join(first, left_on="id", right_on="prediction_id", how="anti", maintain_order="left")
    news = News(
        split=_split(split, split["failed"]),
        quality=_pairs(known, kept) if rollout.paired else _wrong(known),
        rows=scored.height,
        rows_at_share=scored.filter(present).height,
        labels=known.height if rollout.paired else int(known["canary"].sum()),
    )
    return Taken(news, left)


def rows_of(predictions: pl.DataFrame, kept: KeptRollout) -> pl.DataFrame:
    """The rows of the log that are a rollout's, by `SCHEMA`, in their order."""
    ids = (kept.stable.id, kept.canary.id)
    mine = predictions.lazy().filter((pl.col("endpoint") == kept.rollout.endpoint) & pl.col("deployment").is_in(ids))
    beside = mine.select("id", "shadows").explode("shadows").drop_nulls("shadows").unnest("shadows")
    beside = beside.filter(pl.col("deployment").is_in(ids)).select(
        "id", pl.lit(value=True).alias("both"), *_said("other")
    )
    mine = mine.with_columns(*_said("own")).join(beside, on="id", how="left", maintain_order="left")
    by_canary = pl.col("deployment") == kept.canary.id
    fell_back = pl.col("status") == FELL_BACK
    rows = mine.with_columns(
        (by_canary | fell_back).alias("canary"),
        (pl.col("status") != "ok").alias("failed"),
        pl.col("both").fill_null(value=False),
        *(pl.when(by_canary).then(f"other_{name}").otherwise(f"own_{name}").alias(f"stable_{name}") for name in _SAID),
        *(pl.when(by_canary).then(f"own_{name}").otherwise(f"other_{name}").alias(f"canary_{name}") for name in _SAID),
    )
    concerned = pl.col("weight").is_not_null() | pl.col("canary") | pl.col("both")
    return rows.filter(concerned).select([pl.col(name).cast(kind) for name, kind in SCHEMA.items()]).collect()


def nothing_pending() -> pl.DataFrame:
    """No rows that wait."""
    return pl.DataFrame(schema=SCHEMA)


def no_labels() -> pl.DataFrame:
    """No labels."""
    return pl.DataFrame(schema=label_schema())


def _said(who: str) -> list[pl.Expr]:
    shares = pl.col("probabilities")
    score = pl.when(shares.list.len() == 2).then(shares.list.get(1, null_on_oob=True))
    named = {"value": pl.col("value"), "number": pl.col("value_number"), "score": score}
    return [expression.alias(f"{who}_{name}") for name, expression in named.items()]


def _split(rows: pl.DataFrame, event: pl.Series) -> Split:
    return Split(rows["canary"].to_numpy(), event.to_numpy(), rows["weight"].to_numpy())


def _wrong(known: pl.DataFrame) -> Split:
    """Rows that could have gone either way, with whether the answer of whoever's they were was wrong."""
    rows = known.filter(pl.col("weight").is_not_null())
    own = [pl.when("canary").then(f"canary_{name}").otherwise(f"stable_{name}") for name in ("value", "number")]
    return _split(rows, rows.select(pl.col("failed") | ~_is_label(*own)).to_series())


def _pairs(known: pl.DataFrame, kept: KeptRollout) -> Pairs:
    """The losses of both variants on each row: Brier where both have probabilities of two classes, else 0/1.

    A variant that gave no answer has lost the row: its loss is 1.
    """
    scored = [
        pl.col(f"{side}_score").is_not_null() | pl.col(f"{side}_value").is_null() for side in ("stable", "canary")
    ]
    both = scored[0] & scored[1]
    losses = known.select(_loss("stable", kept.stable, both), _loss("canary", kept.canary, both))
    return Pairs(losses["stable"].to_numpy(), losses["canary"].to_numpy())


def _loss(side: str, deployment: Deployment, brier: pl.Expr) -> pl.Expr:
    value, number, score = (pl.col(f"{side}_{name}") for name in _SAID)
    wrong = (~_is_label(value, number)).cast(pl.Float64)
    loss = wrong
    if len(deployment.classes) == 2:
        first, second = (_is_label(*_literals(label)) for label in deployment.classes)
        outcome = pl.when(second).then(1.0).when(first).then(0.0)
        squared = ((score - outcome) ** 2).fill_null(1.0)  # a class that the variant does not know is lost
        loss = pl.when(brier).then(squared).otherwise(wrong)
    return pl.when(value.is_null()).then(1.0).otherwise(loss).clip(0.0, 1.0).alias(side)


def _is_label(text: pl.Expr, number: pl.Expr) -> pl.Expr:
    """Whether a value is the label: numbers by their size, whatever their type, else text by text."""
    numbers = pl.col("label_number").is_not_null() & number.is_not_null()
    same = pl.when(numbers).then(pl.col("label_number") == number).otherwise(pl.col("label") == text)
    return same.fill_null(value=False)


def _literals(label: Label) -> tuple[pl.Expr, pl.Expr]:
    return pl.lit(value_text(label), dtype=pl.String()), pl.lit(value_number(label), dtype=pl.Float64())
