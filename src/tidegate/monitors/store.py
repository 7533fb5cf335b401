"""The catalog's part of monitors: windows, how far the log has been followed, what drift was found, and settings."""

from collections.abc import Callable, Iterable
from typing import Any

import msgspec
import sqlalchemy as sa

from tidegate.kernel import wire
from tidegate.kernel.clock import to_micros
from tidegate.kernel.errors import Conflict
from tidegate.monitors.drift_records import DriftSettings, Episode
from tidegate.monitors.progress import Outcome, Watched, decoded, encoded
from tidegate.monitors.records import (
    DAY,
    SHADOW,
    Changes,
    EndpointQuality,
    Orphans,
    QualityWindow,
    State,
    StoredWindow,
    WindowKey,
)
from tidegate.predictions.records import Mark
from tidegate.storage.catalog import Catalog, Prepared
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

drift = table(
    "monitor_drift",
    sa.Column("endpoint", sa.String(128), primary_key=True),
    sa.Column("settings", sa.LargeBinary),
    sa.Column("revision", sa.BigInteger),
    sa.Column("progress", sa.LargeBinary),
    room="monitors",
)

profiles = table(
    "monitor_profile",
    sa.Column("endpoint", sa.String(128), primary_key=True),
    sa.Column("start", Micros, primary_key=True),
    sa.Column("seconds", sa.BigInteger, primary_key=True, autoincrement=False),
    sa.Column("inputs", sa.String(64)),
    sa.Column("segments", sa.String(64)),
    room="monitors",
)

episodes = table(
    "monitor_episode",
    sa.Column("id", sa.String(32), primary_key=True),
    sa.Column("endpoint", sa.String(128), nullable=False),
    sa.Column("closed", Micros),
    sa.Column("body", sa.LargeBinary, nullable=False),
    sa.Index(None, "endpoint", "closed"),
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

Bound = sa.BindParameter[Any]

# Questions that are asked at every step, so they are built once, and compiled once (`Catalog.query`) where each is a
# snapshot by itself.
_endpoint: sa.BindParameter[Any] = sa.bindparam("endpoint")
_seconds: sa.BindParameter[Any] = sa.bindparam("seconds")
_start: sa.BindParameter[Any] = sa.bindparam("start")
_LENGTH = sa.func.coalesce(endpoints.c.seconds, sa.bindparam("default", type_=sa.BigInteger))
_NOW = sa.select(revisions.c.revision)
_MARKS = sa.select(marks.c.topic, marks.c.sequence, numbers.c.segment, numbers.c.number).join_from(
    marks, numbers, numbers.c.topic == marks.c.topic, isouter=True
)
_ENDPOINTS = sa.select(endpoints)
_MISFITS = (
    sa.select(windows)
    .join(endpoints, endpoints.c.endpoint == windows.c.endpoint)  # where none is, it always was the default
    .where(windows.c.seconds != _LENGTH)
    .order_by(*_KEYS)
    .limit(sa.bindparam("limit"))
)
_IS_THIS = [column == sa.bindparam(column.name) for column in _KEYS]
_THIS = sa.select(windows).where(*_IS_THIS)
_SPANNING = (
    sa.select(windows)
    .where(windows.c.endpoint == _endpoint)
    .where(windows.c.first_id <= sa.bindparam("last"), windows.c.last_id >= sa.bindparam("first"))
    .order_by(*_KEYS)
)
_WATCHED = sa.select(windows.c.endpoint).distinct().order_by(windows.c.endpoint)
_DRIFT = sa.select(drift).where(drift.c.endpoint == _endpoint)
_ONE = sa.select(sa.cast(_endpoint, sa.String(128)).label("endpoint")).subquery()
_STANDING = (
    sa.select(endpoints.c.seconds, drift.c.settings, drift.c.revision, drift.c.progress, episodes.c.body)
    .select_from(_ONE)
    .join(endpoints, endpoints.c.endpoint == _ONE.c.endpoint, isouter=True)
    .join(drift, drift.c.endpoint == _ONE.c.endpoint, isouter=True)
    .join(episodes, (episodes.c.endpoint == _ONE.c.endpoint) & episodes.c.closed.is_(None), isouter=True)
    .order_by(episodes.c.id)
)
"""One row for each open episode, one at least."""
_PAGE = (
    sa.select(episodes.c.body)
    .where(episodes.c.endpoint == _endpoint)
    .order_by(episodes.c.id.desc())
    .limit(sa.bindparam("limit"))
)
_OPEN_PAGE = _PAGE.where(episodes.c.closed.is_(None))
_MOVING = sa.select(windows.c.start).where(windows.c.endpoint == _endpoint, windows.c.seconds != _seconds).limit(1)
_SERVED = windows.c.endpoint == _endpoint, windows.c.seconds == _seconds, windows.c.variant != SHADOW
_STARTS = (
    sa.select(windows.c.start)
    .where(*_SERVED, windows.c.start >= sa.bindparam("since"), windows.c.start < sa.bindparam("before"))
    .distinct()
    .order_by(windows.c.start)
    .limit(sa.bindparam("limit"))
)
_AT = sa.select(windows).where(*_SERVED, windows.c.start == _start).order_by(*_KEYS)
_LABELLED = sa.select(sa.func.coalesce(sa.func.sum(windows.c.labels), 0).label("labels")).where(
    windows.c.endpoint == _endpoint,
    windows.c.variant != SHADOW,
    windows.c.start >= sa.bindparam("since"),
    windows.c.start + windows.c.seconds * 1_000_000 <= sa.bindparam("until", type_=sa.BigInteger),
)
_BEGINNING, _ENDLESS = -(2**63), 2**63 - 1


class SqlMonitors:
    """Windows and marks in a catalog."""

    def __init__(self, catalog: Catalog) -> None:
        self._catalog = catalog
        self._upsert = _Upserts(catalog)
        self._marks, self._misfits = catalog.query(_MARKS), catalog.query(_MISFITS)
        self._this, self._spanning = catalog.query(_THIS), catalog.query(_SPANNING)
        self._now, self._labelled = catalog.query(_NOW), catalog.query(_LABELLED)
        self._remove = catalog.prepared(windows.delete().where(*_IS_THIS))
        self._forget = catalog.prepared(numbers.delete().where(numbers.c.topic == sa.bindparam("topic")))

    def state(self) -> State:
        """Everything but the windows, as of one moment."""
        with self._catalog.connect() as connection:
            revision = connection.execute(_NOW).scalar() or 0
            found = _marked(connection.execute(_MARKS))
            rows = connection.execute(_ENDPOINTS).all()
        return State(
            revision=revision,
            marks=found,
            seconds={row.endpoint: row.seconds for row in rows if row.seconds is not None},
            orphans={row.endpoint: _orphans(row.orphans) for row in rows if row.orphans is not None},
        )

    def marks(self) -> dict[str, Mark]:
        """How far each topic has been followed."""
        return _marked(self._marks())

    def save(self, changes: Changes, revision: int, fence: Callable[[Any], None] | None = None) -> None:
        """Write a step's changes in one transaction.

        Raises `Conflict` when another controller has saved since that revision was read, or `fence` says so.
        """
        self._catalog.write(lambda: self._save(changes, revision), fence=fence)

    def misfits(self, default: int, limit: int) -> list[StoredWindow]:
        """Windows of another length than their endpoint's."""
        return _stored(self._misfits(default=default, limit=limit))

    def find(self, key: WindowKey) -> StoredWindow | None:
        """The window of this key."""
        found = _stored(self._this(**key._asdict()))
        return found[0] if found else None

    def spanning(self, endpoint: str, first_id: str, last_id: str) -> list[StoredWindow]:
        """The windows of an endpoint that may hold predictions with ids from the first to the last."""
        return _stored(self._spanning(endpoint=endpoint, first=first_id, last=last_id))

    def windows(
        self, endpoint: str, since: int | None, limit: int, before: tuple[int, int, str, int, str] | None
    ) -> list[StoredWindow]:
        """Windows that end after `since` (microseconds), newest first, from the one after the key `before`."""
        query = sa.select(windows).where(windows.c.endpoint == endpoint).limit(limit)
        if since is not None:
            query = query.where(windows.c.start + windows.c.seconds * 1_000_000 > since)
        if before is not None:
            query = query.where(sa.tuple_(*_PAGE_KEYS) < sa.tuple_(*map(sa.literal, before)))
        with self._catalog.connect() as connection:
            return _stored(connection.execute(query.order_by(*(key.desc() for key in _PAGE_KEYS))))

    def labelled(self, endpoint: str, since: int | None, until: int) -> int:
        """Labelled rows of windows that began from `since` on and ended by `until` (microseconds), shadows apart."""
        [row] = self._labelled(endpoint=endpoint, since=_BEGINNING if since is None else since, until=until)
        return int(row.labels)

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
        current = next((row.revision for row in self._now()), 0)
        if current != revision:
            raise Conflict(f"another controller followed the predictions meanwhile (revision {current}); run again")
        for key in changes.removed:
            self._remove(**key._asdict())
        for topic in changes.marks:
            self._forget(topic=topic)
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


class _Upserts:
    """Writes rows inside a transaction: new, or these columns of the row with this key."""

    def __init__(self, catalog: Catalog) -> None:
        self._catalog = catalog
        self._known: dict[tuple[str, ...], Prepared] = {}

    def __call__(self, into: sa.Table, values: dict[str, Any], key: tuple[str, ...]) -> None:
        shape = (into.name, *values)
        prepared = self._known.get(shape)
        if prepared is None:
            insert = self._catalog.insert(into)
            rest = {name: insert.excluded[name] for name in values if name not in key}
            upsert = insert.on_conflict_do_update(index_elements=list(key), set_=rest)
            prepared = self._known[shape] = self._catalog.prepared(upsert)
        prepared(**values)


def _newest(connection: sa.Connection, condition: sa.ColumnElement[bool]) -> list[QualityWindow]:
    start = sa.select(sa.func.max(windows.c.start)).where(condition).scalar_subquery()
    query = sa.select(windows.c.figures).where(condition, windows.c.start == start)
    found = connection.execute(query.order_by(windows.c.model, windows.c.number, windows.c.variant)).scalars()
    return [_window(figures) for figures in found]


def _stored(rows: Iterable[Any]) -> list[StoredWindow]:
    return [
        StoredWindow(
            key=WindowKey(row.endpoint, row.model, row.number, row.variant, row.seconds, row.start),
            first_id=row.first_id,
            last_id=row.last_id,
            profile=row.profile,
            window=_window(row.figures),
        )
        for row in rows
    ]


def _marked(rows: Iterable[Any]) -> dict[str, Mark]:
    """The marks from a row for each segment that is read in part, one at least for each topic."""
    found: dict[str, Mark] = {}
    for row in rows:
        mark = found.setdefault(row.topic, Mark(sequence=row.sequence, numbers={}))
        if row.segment is not None:
            mark.numbers[row.segment] = row.number
    return found


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


class SqlDrift:
    """Settings, progress, profiles and episodes in a catalog."""

    def __init__(self, catalog: Catalog) -> None:
        self._catalog = catalog
        self._upsert = _Upserts(catalog)
        self._watched, self._standing = catalog.query(_WATCHED), catalog.query(_STANDING)
        self._drift, self._moving = catalog.query(_DRIFT), catalog.query(_MOVING)
        self._starts, self._at = catalog.query(_STARTS), catalog.query(_AT)

    def settings(self, endpoint: str) -> DriftSettings:
        """How an endpoint is watched."""
        with self._catalog.connect() as connection:
            raw = connection.execute(sa.select(drift.c.settings).where(drift.c.endpoint == endpoint)).scalar()
        return _settings(raw)

    def set_settings(self, endpoint: str, settings: DriftSettings) -> None:
        """Watch an endpoint in another way, inside the ambient transaction."""
        self._upsert(drift, {"endpoint": endpoint, "settings": wire.encode(settings, DriftSettings)}, ("endpoint",))

    def endpoints(self) -> list[str]:
        """Endpoints that have windows."""
        return [row.endpoint for row in self._watched()]

    def watched(self, endpoint: str) -> Watched:
        """An endpoint with all that is known of it, as of one moment."""
        rows = self._standing(endpoint=endpoint)
        row = rows[0]
        return Watched(
            endpoint=endpoint,
            seconds=row.seconds or DAY,
            revision=row.revision or 0,
            settings=_settings(row.settings),
            progress=decoded(row.progress),
            episodes=[_episode(each.body) for each in rows if each.body is not None],
        )

    def moving(self, watched: Watched) -> bool:
        """Whether windows of another length than the endpoint's are still there."""
        return bool(self._moving(**_of(watched)))

    def starts(self, watched: Watched, since: int, before: int | None, limit: int) -> list[int]:
        """The first starts of windows from `since` to before `before`, microseconds, in order."""
        bounds = {"since": since, "before": _ENDLESS if before is None else before, "limit": limit}
        return [row.start for row in self._starts(**_of(watched), **bounds)]

    def at(self, watched: Watched, start: int) -> list[tuple[str, QualityWindow]]:
        """The windows with this start whose answers were given: digest of the rows, and figures."""
        return [(row.profile, _window(row.figures)) for row in self._at(**_of(watched), start=start)]

    def save(
        self, watched: Watched, outcome: Outcome, tell: Callable[[], None], fence: Callable[[Any], None] | None = None
    ) -> None:
        """Write what a step found out in one transaction; `tell` appends the facts.

        Raises `Conflict` when another controller has saved since `watched` was read, or `fence` says so.
        """
        self._catalog.write(lambda: self._save(watched, outcome, tell), fence=fence)

    def profile(self, endpoint: str) -> str:
        """Digest of the newest window of inputs; empty where there is none."""
        query = sa.select(profiles.c.inputs).where(profiles.c.endpoint == endpoint, profiles.c.inputs.is_not(None))
        with self._catalog.connect() as connection:
            return connection.execute(query.order_by(profiles.c.start.desc()).limit(1)).scalar() or ""

    def segments(self, endpoint: str, since: int | None, limit: int, before: int | None) -> list[tuple[int, str]]:
        """Starts and digests of windows that have segments, newest first."""
        query = sa.select(profiles.c.start, profiles.c.segments).where(
            profiles.c.endpoint == endpoint, profiles.c.segments.is_not(None)
        )
        if since is not None:
            query = query.where(profiles.c.start + profiles.c.seconds * 1_000_000 > since)
        if before is not None:
            query = query.where(profiles.c.start < before)
        with self._catalog.connect() as connection:
            rows = connection.execute(query.order_by(profiles.c.start.desc()).limit(limit))
            return [(row.start, row.segments) for row in rows]

    def episodes(self, endpoint: str, open_only: bool, limit: int, before: str) -> list[Episode]:
        """Episodes, newest first, those with a smaller id."""
        query = _OPEN_PAGE if open_only else _PAGE
        if before:
            query = query.where(episodes.c.id < before)
        with self._catalog.connect() as connection:
            found = connection.execute(query, {"endpoint": endpoint, "limit": limit}).scalars()
            return [_episode(body) for body in found]

    def _save(self, watched: Watched, outcome: Outcome, tell: Callable[[], None]) -> None:
        self._catalog.serialise()
        endpoint = watched.endpoint
        row = next(iter(self._drift(endpoint=endpoint)), None)
        current = row.revision if row is not None and row.revision is not None else 0
        if current != watched.revision or _settings(row.settings if row is not None else None) != watched.settings:
            raise Conflict(f"{endpoint} was judged by another controller, or its settings changed; run again")
        values = {"endpoint": endpoint, "revision": watched.revision + 1, "progress": encoded(outcome.progress)}
        self._upsert(drift, values, ("endpoint",))
        for kind, (start, digest) in outcome.profiles.items():
            key = {"endpoint": endpoint, "start": start, "seconds": watched.seconds}
            self._upsert(profiles, {**key, kind: digest}, tuple(key))
        for episode in outcome.episodes:
            closed = None if episode.closed is None else to_micros(episode.closed)
            body = wire.encode(episode, Episode)
            values = {"id": episode.id, "endpoint": endpoint, "closed": closed, "body": body}
            self._upsert(episodes, values, ("id",))
        tell()


def _of(watched: Watched) -> dict[str, Any]:
    return {"endpoint": watched.endpoint, "seconds": watched.seconds}


def _settings(raw: bytes | None) -> DriftSettings:
    if raw is None:
        return DriftSettings()
    found: DriftSettings = wire.decode(raw, DriftSettings, "settings")
    return found


def _episode(body: bytes) -> Episode:
    found: Episode = wire.decode(body, Episode, "episode")
    return found
