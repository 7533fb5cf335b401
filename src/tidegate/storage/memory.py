"""Answers by idempotency key, written in the transaction that they answer for."""

from collections.abc import Callable
from typing import Any, Final

import msgspec
import sqlalchemy as sa

from tidegate.kernel.clock import MachineClock, to_micros
from tidegate.kernel.dispatch import Remembered
from tidegate.storage.catalog import Catalog
from tidegate.storage.schema import HOLDS_NONE, Micros, table

KEPT_SECONDS: Final = 24 * 3600.0
"""So long an answer is remembered: whoever repeats a request does so within seconds, or after a night."""

REST_SECONDS: Final = 600.0
_AT_ONCE: Final = 500  # a few milliseconds

answers = table(
    "idempotency",
    sa.Column("actor", sa.String(128), primary_key=True),
    sa.Column("key", sa.String(128), primary_key=True),
    sa.Column("operation", sa.String(128), nullable=False),
    sa.Column("request_digest", sa.String(64), nullable=False, info=HOLDS_NONE),
    sa.Column("answer", sa.LargeBinary, nullable=False, info=HOLDS_NONE),
    sa.Column("written_at", Micros, nullable=False, index=True),
    room="storage",
)


class AnswerMemory:
    """Remembers what was answered, so that a repeated request is not done twice."""

    def __init__(self, catalog: Catalog, machine: MachineClock) -> None:
        self._catalog = catalog
        self._machine = machine
        self._claim = catalog.prepared(catalog.insert(answers).on_conflict_do_nothing())
        self._keep = catalog.prepared(
            answers.update().where(answers.c.actor == sa.bindparam("whose"), answers.c.key == sa.bindparam("which"))
        )

    def recall(self, actor: str, key: str) -> Remembered | None:
        """What was answered under this key before, or None, and the key is ours until the transaction ends.

        Another transaction that has the key is waited for: two replicas never do the same request at once.
        """
        written_at = self._now()
        if self._claim(actor=actor, key=key, operation="", request_digest="", answer=b"", written_at=written_at):
            return None
        query = sa.select(answers).where(answers.c.actor == actor, answers.c.key == key)
        with self._catalog.connect() as connection:
            row = connection.execute(query).one()
        return Remembered(row.operation, row.request_digest, row.answer)

    def remember(self, actor: str, key: str, remembered: Remembered) -> None:
        """Keep the answer under the key that `recall` has taken, inside the same transaction."""
        self._keep(whose=actor, which=key, written_at=self._now(), **msgspec.structs.asdict(remembered))

    def step(self, fence: Callable[[Any], None] | None = None) -> float | None:
        """A controller's: forget some answers older than `KEPT_SECONDS` of machine time; 0 when there may be more."""
        key = sa.tuple_(answers.c.actor, answers.c.key)
        old = sa.select(answers.c.actor, answers.c.key).where(
            answers.c.written_at < self._now() - int(KEPT_SECONDS * 1e6)
        )
        with self._catalog.connect() as connection:
            if connection.execute(old.limit(1)).first() is None:
                return REST_SECONDS

        def work() -> None:
            with self._catalog.connect() as connection:
                connection.execute(answers.delete().where(key.in_(old.limit(_AT_ONCE))))

        self._catalog.write(work, durable=False, fence=fence)
        return 0.0

    def _now(self) -> int:
        return to_micros(self._machine.wall())
