"""The tables of drafts: files of models that runs left, and what is said and measured of them."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, Final, Literal

import sqlalchemy as sa

from tidegate.kernel.clock import from_micros, to_micros
from tidegate.kernel.errors import Invalid
from tidegate.models.records import Draft, DraftMetric, DraftUse
from tidegate.models.search import DraftSearch
from tidegate.models.search_store import Clause, Column, clause_of
from tidegate.runs.records import Artifact
from tidegate.runs.search.ast import Attribute, Field, MetricValue, OrderKey, Param
from tidegate.runs.search.fields import value_kind
from tidegate.runs.search.paging import Place, Position
from tidegate.runs.search_clauses import after as behind
from tidegate.storage.catalog import Catalog
from tidegate.storage.released import Claims, Released
from tidegate.storage.schema import OF_RUN, Micros, table
from tidegate.storage.text import by_code_point

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
_PRESENT: Final = 0
_LACKING: Final = 1


class SqlDrafts:
    """Drafts in the catalog. Keeps the laws of `DraftStore`."""

    def __init__(self, catalog: Catalog) -> None:
        self._catalog = catalog
        self._claims, self._released = Claims(catalog), Released(catalog)

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
        self._put(metrics, list({tuple(row[key.name] for key in metrics.primary_key): row for row in rows}.values()))

    def put_use(self, use: DraftUse) -> None:
        """Note that a run left or took a draft."""
        self._put(uses, [{"run_id": use.run_id, "draft_id": use.draft_id, "role": use.role, "step": use.step}])

    def uses(self, run_ids: Sequence[str]) -> list[DraftUse]:
        """What runs left and took, by run, in the order of step and id."""
        query = sa.select(uses).where(uses.c.run_id.in_(run_ids))
        with self._catalog.connect() as connection:
            rows = connection.execute(query.order_by(uses.c.run_id, uses.c.step, uses.c.draft_id)).all()
        return [DraftUse(draft_id=row.draft_id, run_id=row.run_id, role=row.role, step=row.step) for row in rows]

    def page(self, search: DraftSearch, after: Position | None, limit: int) -> list[tuple[Draft, Position]]:
        """Drafts after a position, each with its own."""
        fields = _DraftFields(search)
        keys = [_Key(fields, key, number) for number, key in enumerate(search.order)]
        query = sa.select(drafts, *(column for key in keys for column in key.columns))
        query = query.where(drafts.c.experiment_id.in_(search.experiments), clause_of(search.where, fields))
        if after is not None:
            query = query.where(behind(keys, after))
        query = query.order_by(*(one for key in keys for one in key.order)).limit(limit)
        with self._catalog.connect() as connection:
            rows = connection.execute(query).all()
            found = _read(connection, rows)
        return [(draft, tuple(key.place(row) for key in keys)) for draft, row in zip(found, rows, strict=True)]

    def _put(self, into: sa.Table, rows: Sequence[Mapping[str, Any]]) -> None:
        if not rows:
            return
        insert = self._catalog.insert(into)
        keys = [column.name for column in into.primary_key]
        new = {column.name: insert.excluded[column.name] for column in into.c if column.name not in keys}
        with self._catalog.connect() as connection:
            connection.execute(insert.on_conflict_do_update(index_elements=keys, set_=new), rows)

    def _run(self, statement: sa.Executable) -> None:
        with self._catalog.connect() as connection:
            connection.execute(statement)


class _DraftFields:
    """The fields of drafts: attributes, params, tags, and metrics, of some datasets where they are named."""

    def __init__(self, search: DraftSearch) -> None:
        self._datasets = search.datasets

    def column(self, field: Field) -> Column:
        """The column of an attribute, or the last value of a metric."""
        if isinstance(field, Attribute):
            return drafts.c[field.name]
        if isinstance(field, MetricValue):
            own = sa.select(metrics.c.value).where(*self._own(field))
            return own.order_by(metrics.c.step.desc(), metrics.c.at.desc()).limit(1).scalar_subquery()
        if isinstance(field, Param) and field.number:
            raise Invalid(f"params of drafts are texts: write params.{field.name} = '…', quoted", field="filter")
        of = texts.c.part == ("param" if isinstance(field, Param) else "tag")
        name = getattr(field, "name", "")
        own_text = sa.select(texts.c.text).where(texts.c.draft_id == drafts.c.id, of, texts.c.name == name)
        return own_text.scalar_subquery()

    def holds(self, field: Field, condition: Callable[[Column], Any]) -> Clause:
        """Whether the draft has the field, and the condition is met of it; of a metric, of any measurement."""
        if isinstance(field, MetricValue):
            return sa.exists(sa.select(metrics.c.name).where(*self._own(field), condition(metrics.c.value)))
        column = self.column(field)
        return sa.and_(column.is_not(None), sa.func.coalesce(condition(column), sa.false()))

    def _own(self, field: MetricValue) -> list[Clause]:
        clauses: list[Clause] = [metrics.c.draft_id == drafts.c.id, metrics.c.name == field.name]
        if self._datasets:
            clauses.append(sa.or_(*(_on(name, digest) for name, digest in self._datasets)))
        return clauses


class _Key:
    """One key of an order: whether the draft has the field at all, and the field."""

    def __init__(self, fields: _DraftFields, key: OrderKey, number: int) -> None:
        column = fields.column(key.field)
        self._descending = key.descending
        self._empty: Any = "" if value_kind(key.field) == "text" else 0
        self._rank = sa.case((column.is_(None), _LACKING), else_=_PRESENT)
        value = sa.func.coalesce(column, self._empty)
        self._value = by_code_point(value) if self._empty == "" else value
        self._names = (f"rank_{number}", f"value_{number}")
        self.columns = (self._rank.label(self._names[0]), value.label(self._names[1]))

    @property
    def order(self) -> list[Column]:
        """What to sort by."""
        return [self._rank, self._value.desc() if self._descending else self._value.asc()]

    def place(self, row: sa.Row[Any]) -> Place:
        """Where a row stands."""
        rank, value = (row._mapping[name] for name in self._names)
        return Place(rank, value)

    def same(self, place: Place) -> Clause:
        """Whether a draft stands there."""
        return sa.and_(self._rank == place.rank, self._value == place.value)

    def beyond(self, place: Place) -> Clause:
        """Whether a draft stands behind it."""
        further = self._value < place.value if self._descending else self._value > place.value
        return sa.or_(self._rank > place.rank, sa.and_(self._rank == place.rank, further))


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
