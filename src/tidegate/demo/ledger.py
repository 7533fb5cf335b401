"""Holds what the client was told against what the home kept, and measures what retraining was worth."""

import numpy as np
import polars as pl

from tidegate.demo.replay import Kept
from tidegate.demo.report import Reconciled
from tidegate.statistics.metrics import auc


def reconcile(log: pl.DataFrame, kept: Kept) -> Reconciled:
    """Look for every acknowledged prediction and label in the log, with what was asked, the answer and the outcome.

    ``log`` is `predictions.scan`, with the labels that hold.
    """
    once = log.unique("id")
    told = kept.predictions.with_columns(value=_spelt("value"))
    share = pl.col("probabilities").list.get(1, null_on_oob=True)
    logged = once.select("id", "inputs", pl.struct("at", "value", share.alias("probability")).alias("logged"))
    joined = told.select("id", "asked", pl.struct("at", "value", "probability").alias("told"))
    joined = joined.join(logged, on="id", how="left")
    # What was asked comes first in the inputs, and what was looked up after it.
    as_asked = pl.col("inputs").str.starts_with(pl.col("asked").str.strip_suffix("}"))
    lost = joined.filter(~as_asked.fill_null(value=False) | pl.col("told").ne_missing(pl.col("logged"))).height
    outcomes = once.select("id", pl.struct("label", "observed_at").alias("logged"))
    labels = kept.labels.select("id", pl.struct(_spelt("label").alias("label"), "observed_at").alias("told"))
    right = labels.join(outcomes, on="id", how="left").filter(pl.col("told").eq_missing(pl.col("logged"))).height
    mine = pl.col("id").is_in(told["id"].implode())
    copies = log.filter(mine).height - once.filter(mine).height
    return Reconciled(
        acknowledged=told.height,
        lost=lost + labels.height - right,
        doubled=copies + told.height - told["id"].n_unique(),
        unacknowledged=log.filter(~mine).height,
        labels_joined=right,
    )


def _spelt(name: str) -> pl.Expr:
    """A flag as the log has it."""
    return pl.when(name).then(pl.lit("true")).otherwise(pl.lit("false"))


def auc_by_month(log: pl.DataFrame, first: str) -> dict[str, dict[str, float]]:
    """AUC of what was answered (`retrained`), and of the first version on the same rows (`static`), by month in UTC.

    ``first`` is the first version, such as `late-arrival/1`: where another one answered, its answer is a shadow.
    """
    model, _, number = first.rpartition("/")
    shadow = pl.col("shadows").list.eval(
        pl.when((pl.element().struct["model"] == model) & (pl.element().struct["number"] == int(number))).then(
            pl.element().struct["probabilities"].list.get(1, null_on_oob=True)
        )
    )
    own = pl.col("probabilities").list.get(1, null_on_oob=True)
    ours = (pl.col("model") == model) & (pl.col("number") == int(number))
    rows = log.filter(pl.col("label").is_not_null()).select(
        month=pl.col("at").dt.strftime("%Y-%m"),
        late=pl.col("label") == "true",
        retrained=own,
        static=pl.when(ours).then(own).otherwise(shadow.list.drop_nulls().list.first()),
    )
    found: dict[str, dict[str, float]] = {"static": {}, "retrained": {}}
    for (month,), part in sorted(rows.drop_nulls().group_by("month")):
        truth = part["late"].to_numpy().astype(np.intp)
        for name, figures in found.items():
            figures[str(month)] = auc(truth, part[name].to_numpy())
    return found


def surest_delay(log: pl.DataFrame) -> str:
    """The id of the prediction of a delay that was surest, and came true."""
    share = pl.col("probabilities").list.get(1, null_on_oob=True)
    right = log.filter((pl.col("label") == "true") & (pl.col("value") == "true"))
    return str(right.sort(share, descending=True)["id"][0])
