"""The tables of drafts: files of models that runs left, and what is said and measured of them."""

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any, Literal

import sqlalchemy as sa

from tidegate.kernel.clock import from_micros, to_micros
from tidegate.kernel.errors import Invalid
from tidegate.models.records import Draft, DraftMetric, DraftUse
from tidegate.models.search import DraftSearch
from tidegate.runs.records import Artifact
from tidegate.runs.search.ast import Attribute, Field, MetricValue, OrderKey, Param
from tidegate.runs.search.paging import Position
from tidegate.runs.search_clauses import LACKING, PRESENT, Clause, Column, Key, clause, in_order
from tidegate.storage.catalog import Catalog
from tidegate.storage.released import Claims, Released
from tidegate.storage.schema import OF_RUN, Micros, table
from tidegate.storage.text import among

drafts = table(
    "draft",
    sa.Column("id", sa.String(32), primary_key=True),
    sa.Column("experiment_id", sa.String(32), nullable=False),
    sa.Column("name", sa.String(250), nullable=False),
    sa.Column("kind", sa.String(250), nullable=False),
    sa.Column("run_id", sa.String(32), nullable=True, info=OF_RUN),
    sa.Column("status", sa.String(16), nullable=False),
    sa.Column("created_at", Micros, nullable=False),
    sa.Column("created_by", sa.String(128), nullable=False),
    sa.Column("updated_at", Micros, nullable=False),
    sa.Index("ix_draft_experiment_id", "experiment_id", "name"),
    sa.Index("ix_draft_run_id", "run_id"),
    room="models",
)

texts = table(
    "draft_text",
    sa.Column("draft_id", sa.String(32), primary_key=True),
    sa.Column("part", sa.String(8), primary_key=True),
    sa.Column("name", sa.String(250), primary_key=True),
    sa.Column("text", sa.Text, nullable=False),
    room="models",
)
"""Parameters and tags, by part."""

files = table(
    "draft_file",
    sa.Column("draft_id", sa.String(32), primary_key=True),
    sa.Column("name", sa.String(250), primary_key=True),
    sa.Column("digest", sa.String(64), nullable=False),
    sa.Column("bytes", sa.BigInteger, nullable=False),
    room="models",
)

metrics = table(
    "draft_metric",
    sa.Column("draft_id", sa.String(32), primary_key=True),
    sa.Column("name", sa.String(250), primary_key=True),
    sa.Column("at", Micros, primary_key=True, autoincrement=False),
    sa.Column("step", sa.BigInteger, primary_key=True, autoincrement=False),
    sa.Column("run_id", sa.String(32), primary_key=True, info=OF_RUN),
    sa.Column("value", sa.Double, nullable=True),  # null is NaN
    sa.Column("dataset", sa.String(500), nullable=False),
    sa.Column("dataset_digest", sa.String(36), nullable=False),
    sa.Index("ix_draft_metric_run_id", "run_id"),
    room="models",
)

uses = table(
    "draft_use",
    sa.Column("run_id", sa.String(32), primary_key=True, info=OF_RUN),
    sa.Column("draft_id", sa.String(32), primary_key=True),
    sa.Column("role", sa.String(8), primary_key=True),
    sa.Column("step", sa.BigInteger, nullable=False),
    sa.Index("ix_draft_use_draft_id", "draft_id"),
    room="models",
)

Part = Literal["param", "tag"]


class SqlDrafts:
    """Drafts in the catalog. Keeps the laws of `DraftStore`."""

    def __init__(self, catalog: Catalog) -> None:
        self._catalog = catalog
        self._claims, self._released = Claims(catalog), Released(catalog)
        moved = drafts.update().where(drafts.c.id == sa.bindparam("draft")).values(updated_at=sa.bindparam("at"))
        self._touch = catalog.prepared(moved)
        self._put_metric = catalog.prepared(_upsert(catalog, metrics))
        order = (uses.c.run_id, uses.c.step, uses.c.draft_id)
        self._uses = catalog.queries(sa.select(uses).where(among(uses.c.run_id, named="run_ids")).order_by(*order))

    def add(self, draft: Draft) -> None:
        """Add a draft without params, tags, metrics and files."""
        values = {name: getattr(draft, name) for name in ("id", "experiment_id", "name", "kind", "run_id", "status")}
        values |= {"created_at": to_micros(draft.created_at), "created_by": draft.created_by}
        self._run(drafts.insert().values(**values, updated_at=to_micros(draft.updated_at)))

    def get(self, draft_id: str) -> Draft | None:
        """A draft with all that belongs to it."""
        with self._catalog.connect() as connection:
            found = _read(connection, connection.execute(sa.select(drafts).where(drafts.c.id == draft_id)).all())
        return found[0] if found else None

    def hold(self, draft_id: str) -> Draft | None:
        """A draft that nobody else changes until the transaction ends."""
        self._run(sa.select(drafts.c.id).where(drafts.c.id == draft_id).with_for_update())
        return self.get(draft_id)

    def touch(self, draft_id: str, at: datetime) -> bool:
        """Note when a draft was changed, which nobody else does until the transaction ends; whether it is there."""
        return self._touch(draft=draft_id, at=to_micros(at)) > 0

    def write(self, draft: Draft) -> None:
        """Write status and moment of a draft that is there."""
        changes = {"status": draft.status, "updated_at": to_micros(draft.updated_at)}
        self._run(drafts.update().where(drafts.c.id == draft.id).values(changes))

    def remove(self, draft_id: str) -> None:
        """Remove a draft and all that belongs to it; its files are released."""
        own = sa.select(files.c.digest).where(files.c.draft_id == draft_id)
        with self._catalog.connect() as connection:
            self._released.add(connection.execute(own).scalars().all())
        self._run(drafts.delete().where(drafts.c.id == draft_id))
        for each in (texts, files, metrics, uses):
            self._run(each.delete().where(each.c.draft_id == draft_id))

    def put_texts(self, draft_id: str, part: Part, given: Mapping[str, str]) -> None:
        """Set params, or tags."""
        rows = [{"draft_id": draft_id, "part": part, "name": name, "text": text} for name, text in given.items()]
        self._put(texts, rows)

    def delete_tag(self, draft_id: str, name: str) -> bool:
        """Delete a tag; whether it was there."""
        own = sa.and_(texts.c.draft_id == draft_id, texts.c.part == "tag", texts.c.name == name)
        with self._catalog.connect() as connection:
            return connection.execute(texts.delete().where(own)).rowcount > 0

    def put_files(self, draft_id: str, given: Iterable[Artifact]) -> None:
        """Set files by path, and hold them."""
        given = list(given)
        self._claims.hold([one.digest for one in given])
        rows = [{"draft_id": draft_id, "name": one.name, "digest": one.digest, "bytes": one.bytes} for one in given]
        self._put(files, rows)

    def put_metrics(self, draft_id: str, given: Iterable[DraftMetric]) -> None:
        """Add measurements; the same one again is one."""
        rows = [
            {
                "draft_id": draft_id,
                "name": one.name,
                "at": to_micros(one.at) if one.at is not None else 0,
                "step": one.step,
                "run_id": one.run_id,
                "value": None if one.value != one.value else one.value,
                "dataset": one.dataset,
                "dataset_digest": one.dataset_digest,
            }
            for one in given
        ]
        once = {tuple(row[key.name] for key in metrics.primary_key): row for row in rows}
        self._put_metric.defer(list(once.values()))

    def put_use(self, use: DraftUse) -> None:
        """Note that a run left or took a draft."""
        self._put(uses, [{"run_id": use.run_id, "draft_id": use.draft_id, "role": use.role, "step": use.step}])

    def uses(self, run_ids: Sequence[str]) -> list[DraftUse]:
        """What runs left and took, by run, in the order of step and id."""
        [rows] = self._uses(run_ids=list(run_ids))  # perhaps of thousands: not on the connection of quick looks
        return [DraftUse(draft_id=row.draft_id, run_id=row.run_id, role=row.role, step=row.step) for row in rows]

    def page(self, search: DraftSearch, after: Position | None, limit: int) -> list[tuple[Draft, Position]]:
        """Drafts after a position, each with its own."""
        fields = _DraftFields(search)
        keys = [fields.key(number, key) for number, key in enumerate(search.order)]
        query = sa.select(drafts, *(column for key in keys for column in key.columns))
        query = query.where(drafts.c.experiment_id.in_(search.experiments), clause(search.where, fields))
        with self._catalog.connect() as connection:
            rows = connection.execute(in_order(query, keys, after).limit(limit)).all()
            found = _read(connection, rows)
        return [(draft, tuple(key.place(row) for key in keys)) for draft, row in zip(found, rows, strict=True)]

    def _put(self, into: sa.Table, rows: Sequence[Mapping[str, Any]]) -> None:
        if rows:
            with self._catalog.connect() as connection:
                connection.execute(_upsert(self._catalog, into), rows)

    def _run(self, statement: sa.Executable) -> None:
        with self._catalog.connect() as connection:
            connection.execute(statement)


def _upsert(catalog: Catalog, into: sa.Table) -> Any:
    insert = catalog.insert(into)
    keys = [column.name for column in into.primary_key]
    new = {column.name: insert.excluded[column.name] for column in into.c if column.name not in keys}
    return insert.on_conflict_do_update(index_elements=keys, set_=new)


class _DraftFields:
    """The fields of drafts: attributes, params, tags, and metrics, of some datasets where they are named."""

    def __init__(self, search: DraftSearch) -> None:
        self._datasets = search.datasets

    def column(self, field: Field) -> Column:
        """The column of an attribute, of a text, or of the value of a measurement."""
        if isinstance(field, Attribute):
            return drafts.c[field.name]
        if isinstance(field, Param) and field.number:
            raise Invalid(f"params of drafts are texts: write params.{field.name} = '…', quoted", field="filter")
        return metrics.c.value if isinstance(field, MetricValue) else texts.c.text

    def holds(self, field: Field, condition: Clause | None) -> Clause:
        """Whether the draft has the field, and the condition is met there; of a metric, of any measurement."""
        column, met = self.column(field), [] if condition is None else [condition]
        if isinstance(field, Attribute):
            return sa.and_(column.is_not(None), *met)
        return sa.exists(sa.select(column).where(*self._own(field), *met))

    def equals(self, _field: Field, _value: str) -> Clause | None:
        """No quicker way."""
        return None

    def key(self, number: int, key: OrderKey) -> Key:
        """A key of an order; of a metric, its last value."""
        value = self.column(key.field)
        if not isinstance(key.field, Attribute):
            own = sa.select(value).where(*self._own(key.field))
            if isinstance(key.field, MetricValue):
                own = own.order_by(metrics.c.step.desc(), metrics.c.at.desc()).limit(1)
            value = own.scalar_subquery()
        return Key(number, key, value, sa.case((value.is_(None), LACKING), else_=PRESENT))

    def _own(self, field: Field) -> list[Clause]:
        """Which rows of the field's table are of this field, and of a draft."""
        name = getattr(field, "name", "")
        if not isinstance(field, MetricValue):
            part = "param" if isinstance(field, Param) else "tag"
            return [texts.c.draft_id == drafts.c.id, texts.c.part == part, texts.c.name == name]
        clauses: list[Clause] = [metrics.c.draft_id == drafts.c.id, metrics.c.name == name]
        if self._datasets:
            clauses.append(sa.or_(*(_on(*dataset) for dataset in self._datasets)))
        return clauses


def _on(name: str, digest: str) -> Clause:
    clauses = [metrics.c.dataset == name]
    if digest:
        clauses.append(metrics.c.dataset_digest == digest)
    return sa.and_(*clauses)


def _read(connection: sa.Connection, rows: Sequence[sa.Row[Any]]) -> list[Draft]:
    ids = [row.id for row in rows]
    said: dict[tuple[str, str], dict[str, str]] = {}
    for one in _belonging(connection, texts, ids):
        said.setdefault((one.draft_id, one.part), {})[one.name] = one.text
    kept: dict[str, list[Artifact]] = {}
    for one in _belonging(connection, files, ids):
        kept.setdefault(one.draft_id, []).append(Artifact(one.name, one.digest, one.bytes))
    measured: dict[str, list[DraftMetric]] = {}
    for one in _belonging(connection, metrics, ids):
        measured.setdefault(one.draft_id, []).append(_metric(one))
    return [
        Draft(
            id=row.id,
            name=row.name,
            experiment_id=row.experiment_id,
            run_id=row.run_id,
            kind=row.kind,
            status=row.status,
            params=said.get((row.id, "param"), {}),
            tags=said.get((row.id, "tag"), {}),
            metrics=tuple(measured.get(row.id, ())),
            files=tuple(kept.get(row.id, ())),
            created_at=from_micros(row.created_at),
            created_by=row.created_by,
            updated_at=from_micros(row.updated_at),
        )
        for row in rows
    ]


def _belonging(connection: sa.Connection, of: sa.Table, ids: Sequence[str]) -> Sequence[sa.Row[Any]]:
    if not ids:
        return ()
    return connection.execute(sa.select(of).where(of.c.draft_id.in_(ids)).order_by(*of.primary_key)).all()


def _metric(row: sa.Row[Any]) -> DraftMetric:
    return DraftMetric(
        name=row.name,
        value=float("nan") if row.value is None else row.value,
        step=row.step,
        at=from_micros(row.at),
        run_id=row.run_id,
        dataset=row.dataset,
        dataset_digest=row.dataset_digest,
    )
