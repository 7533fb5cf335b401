"""Answers by idempotency key, written in the transaction that they answer for."""

import sqlalchemy as sa

from tidegate.kernel.clock import MachineClock, to_micros
from tidegate.kernel.dispatch import Remembered
from tidegate.storage.catalog import Catalog
from tidegate.storage.schema import Micros, table

answers = table(
    "idempotency",
    sa.Column("actor", sa.String(128), primary_key=True),
    sa.Column("key", sa.String(128), primary_key=True),
    sa.Column("operation", sa.String(128), nullable=False),
    sa.Column("request_digest", sa.String(64), nullable=False),
    sa.Column("answer", sa.LargeBinary, nullable=False),
    sa.Column("written_at", Micros, nullable=False, index=True),
    room="storage",
)


class AnswerMemory:
    """Remembers what was answered, so that a repeated request is not done twice."""

    def __init__(self, catalog: Catalog, machine: MachineClock) -> None:
        self._catalog = catalog
        self._machine = machine

    def recall(self, actor: str, key: str) -> Remembered | None:
        """What was answered under this key before."""
        query = sa.select(answers).where(answers.c.actor == actor, answers.c.key == key)
        with self._catalog.connect() as connection:
            row = connection.execute(query).one_or_none()
        return None if row is None else Remembered(row.operation, row.request_digest, row.answer)

    def remember(self, actor: str, key: str, remembered: Remembered) -> None:
        """Keep the answer, inside the ambient transaction."""
        with self._catalog.connect() as connection:
            connection.execute(
                answers.insert().values(
                    actor=actor,
                    key=key,
                    operation=remembered.operation,
                    request_digest=remembered.request_digest,
                    answer=remembered.answer,
                    written_at=to_micros(self._machine.wall()),
                )
            )

    def forget(self, older_than_seconds: float) -> int:
        """Drop answers older than this (machine time); returns how many."""
        limit = to_micros(self._machine.wall()) - int(older_than_seconds * 1e6)

        def work() -> int:
            with self._catalog.connect() as connection:
                return connection.execute(answers.delete().where(answers.c.written_at < limit)).rowcount

        return self._catalog.write(work, durable=False)
