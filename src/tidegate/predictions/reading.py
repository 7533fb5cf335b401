"""The reading side of the prediction log: files and sealed segments as one, with labels joined."""

import io
from collections import Counter
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tidegate.kernel.errors import NotFound, Unavailable
from tidegate.kernel.ids import parse_id
from tidegate.kernel.objects import ObjectPlane
from tidegate.predictions.codecs import (
    LabelCodec,
    PredictionCodec,
    decode_any,
    decode_label,
    decode_prediction,
    label_of,
    label_schema,
    prediction_of,
    prediction_schema,
)
from tidegate.predictions.records import LABELS, PREDICTIONS, EndpointCount, LabelRow, Prediction, PredictionRow
from tidegate.predictions.rules import distinct_labels, told
from tidegate.predictions.seeking import records_of
from tidegate.storage.journal import JournalReader, JournalSnapshot, SealedSegment
from tidegate.storage.journal.index import SegmentIndex

if TYPE_CHECKING:
    import polars as pl


_TRIES = 5


class PredictionReader:
    """Reads what `PredictionLog` wrote, of all processes of a home. Thread-safe; never writes.

    Laws:

    1. **Everything once.** Each acknowledged row is read exactly once, before, during and after sealing.
    2. **One segment.** Looking up an id reads the segments of its writer whose ids span it: as a rule one.
    3. **Labels join.** A label joins its prediction of the same endpoint wherever either of them is kept, and
       whichever came first; among several the one that `predictions.rules` says.
    """

    def __init__(self, folder: Path, index: SegmentIndex, objects: ObjectPlane) -> None:
        self._folder = folder
        self._reader = JournalReader(folder, index, objects)
        self._counts: dict[tuple[str, str], Counter[str]] = {}

    def get(self, prediction_id: str) -> Prediction:
        """One prediction with its labels. Raises `NotFound`, `Invalid` when the text is no id."""
        writer = parse_id(prediction_id, "prediction").writer
        for _ in range(_TRIES):
            try:
                with self._reader.snapshot() as snapshot:
                    return self._told(snapshot, prediction_id, writer)
            except FileNotFoundError:  # sealed since the snapshot: look again
                continue
        raise Unavailable(f"segments were sealed again and again while {prediction_id} was looked up; try again")

    def scan(
        self, endpoint: str | None = None, *, since: datetime | None = None, until: datetime | None = None
    ) -> "pl.LazyFrame":
        """Predictions with the labels that hold, of one endpoint or all, from `since` to before `until`.

        Sealed segments are read when the frame is collected; what is still in files is in memory at once.
        """
        import polars as pl

        with self._reader.snapshot() as snapshot:
            parts = snapshot.sealed(PREDICTIONS, since=since, until=until)
            fresh = PredictionCodec().to_frame([payload for _, payload in snapshot.scan(PREDICTIONS)])
            label_parts = snapshot.sealed(LABELS)
            fresh_labels = LabelCodec().to_frame([payload for _, payload in snapshot.scan(LABELS)])
        lowest = min([*(part.first_id or "" for part in parts), *fresh["id"]], default="")
        recent = [part for part in label_parts if (part.last_id or "") >= lowest]
        predictions, labels = self._together(parts, fresh), self._together(recent, fresh_labels)
        if endpoint is not None:
            predictions = predictions.filter(pl.col("endpoint") == endpoint)
            labels = labels.filter(pl.col("endpoint") == endpoint)
        if since is not None:
            predictions = predictions.filter(pl.col("at") >= since)
        if until is not None:
            predictions = predictions.filter(pl.col("at") < until)
        joined = predictions.join(
            holding_labels(labels), left_on=["endpoint", "id"], right_on=["endpoint", "prediction_id"], how="left"
        )
        return joined.select([*prediction_schema(), *list(label_schema())[2:]])

    def count(self) -> list[EndpointCount]:
        """How much the log holds of each endpoint. Sealed segments are counted once a process."""
        predictions, labels = Counter[str](), Counter[str]()
        with self._reader.snapshot() as snapshot:
            for topic, counts in ((PREDICTIONS, predictions), (LABELS, labels)):
                for part in snapshot.sealed(topic):
                    counts.update(self._counted(part))
            predictions.update(decode_prediction(payload).source.endpoint for _, payload in snapshot.scan(PREDICTIONS))
            labels.update(decode_label(payload).endpoint for _, payload in snapshot.scan(LABELS))
        return [
            EndpointCount(endpoint=name, predictions=predictions[name], labels=labels[name])
            for name in sorted({*predictions, *labels})
        ]

    def _together(self, parts: list[SealedSegment], fresh: "pl.DataFrame") -> "pl.LazyFrame":
        import polars as pl

        columns = fresh.columns
        return pl.concat([*(open_parquet(self._reader, part).select(columns) for part in parts), fresh.lazy()])

    def _told(self, snapshot: JournalSnapshot, prediction_id: str, writer: int) -> Prediction:
        row: PredictionRow | None = None
        labels: list[LabelRow] = []
        for info in snapshot.segments():
            for payload in records_of(self._folder, info.segment, prediction_id):
                record = decode_any(payload)
                if isinstance(record, LabelRow):
                    labels.append(record)
                else:
                    row = record
        parts = snapshot.sealed(PREDICTIONS, writer=writer, holding=prediction_id) if row is None else []
        found = [columns for part in parts for columns in self._rows(part, "id", prediction_id)]
        if found:
            row = prediction_of(found[0])
        if row is None:
            raise NotFound(f"there is no prediction {prediction_id}", prediction_id=prediction_id)
        for part in snapshot.sealed(LABELS, holding=prediction_id):
            labels += map(label_of, self._rows(part, "prediction_id", prediction_id))
        return told(row, distinct_labels(label for label in labels if label.endpoint == row.source.endpoint))

    def _rows(self, part: SealedSegment, column: str, wanted: str) -> list[dict[str, Any]]:
        import polars as pl

        try:
            return open_parquet(self._reader, part).filter(pl.col(column) == wanted).collect().to_dicts()
        except pl.exceptions.PolarsError:
            self._reader.check_intact(part)
            raise

    def _counted(self, part: SealedSegment) -> Counter[str]:
        key = part.segment, part.topic
        if key not in self._counts:
            endpoints = open_parquet(self._reader, part).select("endpoint").collect()["endpoint"].value_counts()
            self._counts[key] = Counter(dict(endpoints.iter_rows()))
        return self._counts[key]


def open_parquet(reader: JournalReader, part: SealedSegment) -> "pl.LazyFrame":
    """A sealed part, read when it is collected."""
    import polars as pl

    source = reader.parquet(part)
    return pl.scan_parquet(io.BytesIO(source) if isinstance(source, bytes) else source, glob=False)


def holding_labels(labels: "pl.LazyFrame") -> "pl.LazyFrame":
    """Of the labels of each prediction, the one that holds, by the same order as `rules.distinct_labels`."""
    order = ["observed_at", "received_at", "label"]
    kept = labels.select(list(label_schema())).sort(order, nulls_last=False)
    return kept.unique(subset=["endpoint", "prediction_id"], keep="last", maintain_order=True)
