"""The catalog's part of monitors: one row a window, how far the log has been followed, and settings."""

from collections.abc import Callable
from typing import Any

import msgspec
import sqlalchemy as sa

from tidegate.kernel import wire
from tidegate.kernel.errors import Conflict
from tidegate.monitors.records import (
    DAY,
    Changes,
    EndpointQuality,
    Orphans,
    QualityWindow,
    State,
    StoredWindow,
    WindowKey,
)
from tidegate.predictions.records import Mark
from tidegate.storage.catalog import Catalog
from tidegate.storage.schema import Micros, table

windows = table(
    "monitor_window",
    sa.Column("endpoint", sa.String(128), primary_key=True),
    sa.Column("start", Micros, primary_key=True),
    sa.Column("seconds", sa.BigInteger, primary_key=True, autoincrement=False),
    sa.Column("model", sa.String(128), primary_key=True),
    sa.Column("number", sa.Integer, primary_key=True, autoincrement=False),
    sa.Column("variant", sa.String(32), primary_key=True),
    sa.Column("first_id", sa.String(32), nullable=False),
    sa.Column("last_id", sa.String(32), nullable=False),
    sa.Column("labels", sa.BigInteger, nullable=False),
    sa.Column("profile", sa.String(64), nullable=False),
    sa.Column("figures", sa.LargeBinary, nullable=False),
    sa.Index(None, "endpoint", "last_id"),
    room="monitors",
)

endpoints = table(
    "monitor_endpoint",
    sa.Column("endpoint", sa.String(128), primary_key=True),
    sa.Column("seconds", sa.BigInteger),
    sa.Column("orphans", sa.LargeBinary),
    room="monitors",
)

marks = table(
    "monitor_mark",
    sa.Column("topic", sa.String(128), primary_key=True),
    sa.Column("sequence", sa.BigInteger, nullable=False),
    room="monitors",
)

numbers = table(
    "monitor_number",
    sa.Column("topic", sa.String(128), primary_key=True),
    sa.Column("segment", sa.String(32), primary_key=True),
    sa.Column("number", sa.BigInteger, nullable=False),
    room="monitors",
)

revisions = table(
    "monitor_revision",
    sa.Column("id", sa.Integer, primary_key=True, autoincrement=False),
    sa.Column("revision", sa.BigInteger, nullable=False),
    room="monitors",
)

_KEYS = (
    windows.c.endpoint,
    windows.c.model,
    windows.c.number,
    windows.c.variant,
    windows.c.seconds,
    windows.c.start,
)
_PAGE_KEYS = (windows.c.start, windows.c.seconds, windows.c.model, windows.c.number, windows.c.variant)
_REVISION = 1


class SqlMonitors:
    """Windows and marks in a catalog."""

    def __init__(self, catalog: Catalog) -> None:
        self._catalog = catalog

    def state(self) -> State:
        """Everything but the windows, as of one moment."""
        with self._catalog.connect() as connection:
            revision = connection.execute(sa.select(revisions.c.revision)).scalar() or 0
            read: dict[str, dict[str, int]] = {}
            for row in connection.execute(sa.select(numbers)):
                read.setdefault(row.topic, {})[row.segment] = row.number
            found = {
                row.topic: Mark(sequence=row.sequence, numbers=read.get(row.topic, {}))
                for row in connection.execute(sa.select(marks))
            }
            rows = connection.execute(sa.select(endpoints)).all()
        return State(
            revision=revision,
            marks=found,
            seconds={row.endpoint: row.seconds for row in rows if row.seconds is not None},
            orphans={row.endpoint: _orphans(row.orphans) for row in rows if row.orphans is not None},
        )

    def save(self, changes: Changes, revision: int, fence: Callable[[Any], None] | None = None) -> None:
        """Write a step's changes in one transaction.

        Raises `Conflict` when another controller has saved since that revision was read, or `fence` says so.
        """
        self._catalog.write(lambda: self._save(changes, revision), fence=fence)

    def misfits(self, default: int, limit: int) -> list[StoredWindow]:
        """Windows of another length than their endpoint's."""
        wanted = sa.func.coalesce(endpoints.c.seconds, default)
        joined = windows.outerjoin(endpoints, endpoints.c.endpoint == windows.c.endpoint)
        query = sa.select(windows).select_from(joined).where(windows.c.seconds != wanted)
        return self._stored(query.order_by(*_KEYS).limit(limit))

    def find(self, key: WindowKey) -> StoredWindow | None:
        """The window of this key."""
        found = self._stored(sa.select(windows).where(*_is(key)))
        return found[0] if found else None

    def spanning(self, endpoint: str, first_id: str, last_id: str) -> list[StoredWindow]:
        """The windows of an endpoint that may hold predictions with ids from the first to the last."""
        overlap = windows.c.first_id <= last_id, windows.c.last_id >= first_id
        return self._stored(sa.select(windows).where(windows.c.endpoint == endpoint, *overlap).order_by(*_KEYS))

    def windows(
        self, endpoint: str, since: int | None, limit: int, before: tuple[int, int, str, int, str] | None
    ) -> list[StoredWindow]:
        """Windows that end after `since` (microseconds), newest first, from the one after the key `before`."""
        query = sa.select(windows).where(windows.c.endpoint == endpoint).limit(limit)
        if since is not None:
            query = query.where(windows.c.start + windows.c.seconds * 1_000_000 > since)
        if before is not None:
            query = query.where(sa.tuple_(*_PAGE_KEYS) < sa.tuple_(*map(sa.literal, before)))
        return self._stored(query.order_by(*(key.desc() for key in _PAGE_KEYS)))

    def latest(self, endpoint: str) -> EndpointQuality:
        """How an endpoint stands."""
        with self._catalog.connect() as connection:
            setting = connection.execute(sa.select(endpoints).where(endpoints.c.endpoint == endpoint)).one_or_none()
            mine = windows.c.endpoint == endpoint
            newest = _newest(connection, mine)
            labelled = _newest(connection, mine & (windows.c.labels > 0))
        orphans = _orphans(setting.orphans) if setting is not None and setting.orphans is not None else None
        return EndpointQuality(
            endpoint=endpoint,
            window_seconds=setting.seconds if setting is not None and setting.seconds is not None else DAY,
            newest=newest,
            labelled=labelled,
            orphans=orphans.count if orphans is not None else 0,
            orphan_examples=orphans.examples if orphans is not None else [],
        )

    def set_seconds(self, endpoint: str, seconds: int) -> None:
        """Give an endpoint a window length of its own, inside the ambient transaction."""
        self._upsert(endpoints, {"endpoint": endpoint, "seconds": seconds}, ("endpoint",))

    def _save(self, changes: Changes, revision: int) -> None:
        self._catalog.serialise()
        with self._catalog.connect() as connection:
            current = connection.execute(sa.select(revisions.c.revision)).scalar() or 0
            if current != revision:
                raise Conflict(f"another controller followed the predictions meanwhile (revision {current}); run again")
            for key in changes.removed:
                connection.execute(windows.delete().where(*_is(key)))
            for topic in changes.marks:
                connection.execute(numbers.delete().where(numbers.c.topic == topic))
        for window in changes.windows:
            self._upsert(windows, _columns(window), tuple(column.name for column in windows.primary_key))
        for endpoint, orphans in changes.orphans.items():
            kept = msgspec.json.encode(orphans) if orphans.count else None
            self._upsert(endpoints, {"endpoint": endpoint, "orphans": kept}, ("endpoint",))
        for topic, mark in changes.marks.items():
            self._upsert(marks, {"topic": topic, "sequence": mark.sequence}, ("topic",))
            for segment, number in mark.numbers.items():
                self._upsert(numbers, {"topic": topic, "segment": segment, "number": number}, ("topic", "segment"))
        self._upsert(revisions, {"id": _REVISION, "revision": revision + 1}, ("id",))

    def _upsert(self, into: sa.Table, values: dict[str, Any], key: tuple[str, ...]) -> None:
        rest = {name: value for name, value in values.items() if name not in key}
        insert = self._catalog.insert(into).values(values)
        with self._catalog.connect() as connection:
            connection.execute(insert.on_conflict_do_update(index_elements=list(key), set_=rest))

    def _stored(self, query: sa.Select[Any]) -> list[StoredWindow]:
        with self._catalog.connect() as connection:
            return [
                StoredWindow(
                    key=WindowKey(row.endpoint, row.model, row.number, row.variant, row.seconds, row.start),
                    first_id=row.first_id,
                    last_id=row.last_id,
                    profile=row.profile,
                    window=_window(row.figures),
                )
                for row in connection.execute(query)
            ]


def _is(key: WindowKey) -> list[sa.ColumnElement[bool]]:
    return [column == part for column, part in zip(_KEYS, key, strict=True)]


def _newest(connection: sa.Connection, condition: sa.ColumnElement[bool]) -> list[QualityWindow]:
    start = sa.select(sa.func.max(windows.c.start)).where(condition).scalar_subquery()
    query = sa.select(windows.c.figures).where(condition, windows.c.start == start)
    found = connection.execute(query.order_by(windows.c.model, windows.c.number, windows.c.variant)).scalars()
    return [_window(figures) for figures in found]


def _columns(window: StoredWindow) -> dict[str, Any]:
    return {
        **window.key._asdict(),
        "first_id": window.first_id,
        "last_id": window.last_id,
        "labels": window.window.labels,
        "profile": window.profile,
        "figures": wire.encode(window.window, QualityWindow),
    }


def _window(figures: bytes) -> QualityWindow:
    found: QualityWindow = wire.decode(figures, QualityWindow, "window")
    return found


def _orphans(raw: bytes) -> Orphans:
    return msgspec.json.decode(raw, type=Orphans)
