"""Views over small tables without a home: what the service does, with the storage left out."""

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import polars as pl

from tidegate.data.records import Contract, DatasetVersion, Field
from tidegate.features import rules
from tidegate.features.entities import Entities
from tidegate.features.expressions import AnyExpression, ColumnType, col
from tidegate.features.joining import Table, Wanted, build
from tidegate.features.lookup import OnlineLookup
from tidegate.features.online_sqlite import SqliteOnlineStore
from tidegate.features.records import AppliedService, FeatureService, FeatureView, Pushed, ViewVersion
from tidegate.features.training import TrainingSet
from tidegate.features.writing import Batch, OnlineWriter

EPOCH = datetime(2013, 1, 1, tzinfo=UTC)
_KINDS: dict[str, Any] = {
    "Int64": "integer", "Float64": "number", "Boolean": "boolean", "String": "text", "Date": "date",
}  # fmt: skip


def instant(micros: int | None) -> datetime | None:
    """So many microseconds after the beginning of 2013."""
    return None if micros is None else EPOCH + timedelta(microseconds=micros)


def table(name: str, frame: pl.DataFrame) -> Table:
    """The frame as a version of a dataset."""
    fields = tuple(
        Field(name=column, kind=_KINDS.get(str(dtype.base_type()), "instant"), nullable=True)
        for column, dtype in frame.schema.items()
    )
    version = DatasetVersion(
        name=name,
        number=1,
        digest=name,
        rows=frame.height,
        contract=Contract(fields),
        contract_revision=1,
        fragments=(),
        created_at=EPOCH,
        created_by="nobody",
    )
    return Table(version, frame)


def applied(
    views: Sequence[FeatureView], tables: Mapping[str, Table], request: dict[str, ColumnType] | None = None
) -> AppliedService:
    """A version of a service of these views."""
    service = FeatureService(name="service", views=tuple(views), request=request or {})
    known = tuple(rules.apply_view(view, tables[view.source].types) for view in views)
    return AppliedService(
        name="service",
        number=1,
        digest="d",
        service=service,
        views=known,
        view_digests=tuple(map(rules.digest_of, known)),
        inputs=rules.service_inputs(service, known),
        created_at=EPOCH,
        created_by="nobody",
    )


def training_set(service: AppliedService, tables: Mapping[str, Table], labels: str, **wanted: Any) -> TrainingSet:
    """The training set of a service; the label is the column `label` unless one is given."""
    given: dict[str, Any] = {
        "at": "at", "label": col("label"), "label_known_at": None, "known_by": None, "since": None, "until": None,
        "extra": (),
    }  # fmt: skip
    return build(service, tables[labels], Wanted(**(given | wanted)), tables.__getitem__)


class Served:
    """A service over an online store of its own."""

    def __init__(self, service: AppliedService, path: Path) -> None:
        self.service = service
        self.store = SqliteOnlineStore(path)
        entities = Entities(self.store)
        self.lookup = OnlineLookup(lambda _digest: service, entities)
        self.writer = OnlineWriter(entities)

    def push(self, view: int, rows: Sequence[Mapping[str, Any]], now: int = 2**60) -> Pushed:
        """Push rows to the view in this place."""
        one = self.service.views[view]
        version = ViewVersion(
            name=one.view.name,
            number=1,
            digest=self.service.view_digests[view],
            applied=one,
            created_at=EPOCH,
            created_by="nobody",
        )
        return self.writer.push([Batch([version], [dict(row) for row in rows])], now)[0]

    def answer(self, rows: Sequence[Mapping[str, Any]], moments: Sequence[int]) -> list[dict[str, Any]]:
        """The completed rows."""
        return self.lookup.complete("d", rows, moments)


def over(kind: str, column: AnyExpression | None, micros: int) -> Any:
    """An aggregate over a window of microseconds."""
    from tidegate.features.records import Aggregate

    return Aggregate(kind, micros, column)  # type: ignore[arg-type]
