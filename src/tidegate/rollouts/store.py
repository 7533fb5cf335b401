"""The catalog's part of rollouts: one row a rollout, and how far the log has been followed."""

from typing import Any

import msgspec
import sqlalchemy as sa

from tidegate.kernel.clock import to_micros
from tidegate.kernel.errors import Conflict
from tidegate.predictions.records import Mark
from tidegate.rollouts.records import Changes, Following, KeptRollout
from tidegate.storage.catalog import Catalog
from tidegate.storage.schema import Micros, table

rollouts = table(
    "rollout",
    sa.Column("id", sa.String(32), primary_key=True),
    sa.Column("endpoint", sa.String(128), nullable=False),
    sa.Column("state", sa.String(16), nullable=False, index=True),
    sa.Column("started_at", Micros, nullable=False),
    sa.Column("kept", sa.LargeBinary, nullable=False),
    sa.Index("ix_rollout_started", "started_at", "id"),
    sa.Index("ix_rollout_endpoint", "endpoint", "started_at", "id"),
    room="rollouts",
)

following = table(
    "rollout_following",
    sa.Column("id", sa.Integer, primary_key=True, autoincrement=False),
    sa.Column("revision", sa.BigInteger, nullable=False),
    sa.Column("marks", sa.LargeBinary, nullable=False),
    room="rollouts",
)

_ONLY = 1
_FOLLOWING = sa.select(following)
_RUNNING = sa.select(rollouts.c.kept).where(rollouts.c.state == "running").order_by(rollouts.c.id)
_KEPT = msgspec.json.Decoder(KeptRollout)
_MARKS = msgspec.json.Decoder(dict[str, Mark])


class SqlRollouts:
    """Rollouts and marks in a catalog."""

    def __init__(self, catalog: Catalog) -> None:
        self._catalog = catalog

    def following(self) -> Following:
        """The rollouts that are running, and how far the log has been followed, as of one moment."""
        with self._catalog.connect() as connection:
            marked = connection.execute(_FOLLOWING).one_or_none()
            kept = tuple(_KEPT.decode(raw) for raw in connection.execute(_RUNNING).scalars())
        if marked is None:
            return Following(revision=0, marks={}, running=kept)
        return Following(revision=marked.revision, marks=_MARKS.decode(marked.marks), running=kept)

    def save(self, changes: Changes, revision: int) -> None:
        """Write a step's changes inside the ambient transaction.

        Raises `Conflict` when somebody has saved since that revision was read.
        """
        self._catalog.serialise()
        with self._catalog.connect() as connection:
            row = connection.execute(sa.select(following)).one_or_none()
            current = 0 if row is None else row.revision
            if current != revision:
                raise Conflict(f"rollouts were changed meanwhile (revision {current}); run again")
            marks = row.marks if row is not None and changes.marks is None else msgspec.json.encode(changes.marks or {})
            for kept in changes.rollouts:
                self._upsert(connection, rollouts, _columns(kept), "id")
            self._upsert(connection, following, {"id": _ONLY, "revision": revision + 1, "marks": marks}, "id")

    def claim(self, rollout_id: str) -> tuple[KeptRollout, int] | None:
        """A rollout and the revision of all, which nobody else changes until the ambient transaction ends."""
        self._catalog.serialise()
        kept = self.find(rollout_id)
        return None if kept is None else (kept, self.following().revision)

    def find(self, rollout_id: str) -> KeptRollout | None:
        """The rollout of this id."""
        query = sa.select(rollouts.c.kept).where(rollouts.c.id == rollout_id)
        with self._catalog.connect() as connection:
            raw = connection.execute(query).scalar_one_or_none()
        return None if raw is None else _KEPT.decode(raw)

    def page(self, endpoint: str | None, before: tuple[int, str] | None, limit: int) -> list[KeptRollout]:
        """Rollouts, newest first, of one endpoint or all, from the one after the key `before`."""
        query = sa.select(rollouts.c.kept).limit(limit)
        if endpoint is not None:
            query = query.where(rollouts.c.endpoint == endpoint)
        if before is not None:
            key = sa.tuple_(rollouts.c.started_at, rollouts.c.id)
            query = query.where(key < sa.tuple_(*map(sa.literal, before)))
        query = query.order_by(rollouts.c.started_at.desc(), rollouts.c.id.desc())
        with self._catalog.connect() as connection:
            return [_KEPT.decode(raw) for raw in connection.execute(query).scalars()]

    def _upsert(self, connection: sa.Connection, into: sa.Table, values: dict[str, Any], key: str) -> None:
        rest = {name: value for name, value in values.items() if name != key}
        insert = self._catalog.insert(into).values(values)
        connection.execute(insert.on_conflict_do_update(index_elements=[key], set_=rest))


def _columns(kept: KeptRollout) -> dict[str, Any]:
    rollout = kept.rollout
    return {
        "id": rollout.id,
        "endpoint": rollout.endpoint,
        "state": rollout.state,
        "started_at": to_micros(rollout.started_at),
        "kept": msgspec.json.encode(kept),
    }
