"""Holds what the client was told against what the home kept, and measures what retraining was worth."""

from typing import Final

import numpy as np
import polars as pl

from tidegate.demo.replay import Kept
from tidegate.demo.report import Reconciled
from tidegate.statistics.metrics import auc

_EXACT: Final = ("value", "probability", "at")


def reconcile(log: pl.DataFrame, kept: Kept) -> Reconciled:
    """Look for every acknowledged prediction and label in the log, with its answer and outcome.

    ``log`` is `predictions.scan`, with the labels that hold.
    """
    found = log.select(
        "id",
        pl.col("value").alias("kept_value"),
        pl.col("probabilities").list.get(1, null_on_oob=True).alias("kept_probability"),
        pl.col("at").alias("kept_at"),
    )
    copies = log.group_by("id").len().filter(pl.col("len") > 1)
    told = kept.predictions.with_columns(value=pl.when("value").then(pl.lit("true")).otherwise(pl.lit("false")))
    joined = told.join(found.unique("id"), on="id", how="left")
    same = pl.all_horizontal(pl.col(f"kept_{name}").eq_missing(pl.col(name)) for name in _EXACT)
    lost = joined.filter(~same).height
    labels = kept.labels.join(
        log.unique("id").select("id", "label", pl.col("observed_at").alias("kept")), on="id", how="left"
    )
    spelt = pl.when(pl.col("label")).then(pl.lit("true")).otherwise(pl.lit("false"))
    right = labels.filter(pl.col("label_right").eq_missing(spelt) & pl.col("kept").eq_missing(pl.col("observed_at")))
    lost += labels.height - right.height
    acknowledged = told["id"]
    return Reconciled(
        acknowledged=told.height,
        lost=lost,
        doubled=copies.filter(pl.col("id").is_in(acknowledged.implode())).height
        + told.height
        - acknowledged.n_unique(),
        unacknowledged=log.height - log.filter(pl.col("id").is_in(acknowledged.implode())).height,
        labels_joined=right.height,
    )


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
