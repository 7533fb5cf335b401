"""The catalog's part of the loop: retraining policies and the decisions made by them; requests for a tick."""

from typing import Any

import msgspec
import sqlalchemy as sa

from tidegate.kernel.clock import from_micros, to_micros
from tidegate.loop.policy import LARGEST_BUDGET, RetrainingPolicy
from tidegate.loop.records import KeptPolicy, RetrainingDecision, TickAnswer
from tidegate.storage.catalog import Catalog
from tidegate.storage.schema import AutoKey, Micros, table

policies = table(
    "retraining_policy",
    sa.Column("endpoint", sa.String(128), primary_key=True),
    sa.Column("policy", sa.LargeBinary, nullable=False),
    sa.Column("digest", sa.String(64), nullable=False),
    sa.Column("active", sa.Boolean, nullable=False),
    sa.Column("set_by", sa.String(128), nullable=False),
    sa.Column("set_at", Micros, nullable=False),
    room="loop",
)

decisions = table(
    "retraining_decision",
    sa.Column("id", sa.String(32), primary_key=True),
    sa.Column("endpoint", sa.String(128), nullable=False),
    sa.Column("at", Micros, nullable=False),
    sa.Column("fired", sa.Boolean, nullable=False),
    sa.Column("proposal", sa.String(32), nullable=False),
    sa.Column("reason", sa.String(32), nullable=False),
    sa.Column("summary", sa.Text, nullable=False),
    sa.Column("policy", sa.String(64), nullable=False),
    sa.Column("run", sa.String(32), nullable=False),
    sa.Column("decided_by", sa.String(128), nullable=False),
    sa.Index("ix_retraining_decision_endpoint", "endpoint", "at", "id"),
    room="loop",
)

ticks = table(
    "tick",
    sa.Column("number", AutoKey, primary_key=True, autoincrement=True),
    sa.Column("answer", sa.LargeBinary),
    room="loop",
)

_KEPT_ANSWERS = 100
"""So many answers are kept for those who asked and have gone away."""

# Questions that are asked at every step, built once.
_ACTIVE = sa.select(policies).where(policies.c.active).order_by(policies.c.endpoint)
_FIRED = (
    sa.select(decisions)
    .where(decisions.c.endpoint == sa.bindparam("endpoint"), decisions.c.fired)
    .order_by(decisions.c.at.desc(), decisions.c.id.desc())
    .limit(sa.bindparam("limit"))
)

_COLUMNS = ("id", "endpoint", "fired", "proposal", "reason", "summary", "policy", "run")


class SqlRetraining:
    """Policies and decisions in a catalog."""

    def __init__(self, catalog: Catalog) -> None:
        self._catalog = catalog
        self._active, self._fired = catalog.query(_ACTIVE), catalog.query(_FIRED)

    def claim(self) -> None:
        """Wait for this transaction's turn: what is read after it still holds at the commit."""
        self._catalog.serialise()

    def policy(self, endpoint: str) -> KeptPolicy | None:
        """The policy of an endpoint."""
        with self._catalog.connect() as connection:
            row = connection.execute(sa.select(policies).where(policies.c.endpoint == endpoint)).one_or_none()
        return None if row is None else _policy(row)

    def active(self) -> list[KeptPolicy]:
        """Every policy that is in force, by endpoint."""
        return [_policy(row) for row in self._active()]

    def keep(self, kept: KeptPolicy) -> None:
        """Set the policy of an endpoint, new or known."""
        changing = {
            "policy": msgspec.json.encode(kept.policy),
            "digest": kept.digest,
            "active": kept.active,
            "set_by": kept.set_by,
            "set_at": to_micros(kept.set_at),
        }
        insert = self._catalog.insert(policies).values(endpoint=kept.endpoint, **changing)
        with self._catalog.connect() as connection:
            connection.execute(insert.on_conflict_do_update(index_elements=[policies.c.endpoint], set_=changing))

    def add(self, decision: RetrainingDecision) -> None:
        """Add a decision; none is ever changed."""
        fields = {name: getattr(decision, name) for name in _COLUMNS}
        row = decisions.insert().values(**fields, at=to_micros(decision.at), decided_by=decision.by)
        with self._catalog.connect() as connection:
            connection.execute(row)

    def fired(self, endpoint: str) -> list[RetrainingDecision]:
        """The retrainings of an endpoint, newest first, as many as a budget may allow."""
        return [_decision(row) for row in self._fired(endpoint=endpoint, limit=LARGEST_BUDGET)]

    def page(self, endpoint: str, before: tuple[int, str] | None, limit: int) -> list[RetrainingDecision]:
        """Decisions of an endpoint, newest first, those older than this instant (in microseconds) and id."""
        conditions: list[sa.ColumnElement[bool]] = [decisions.c.endpoint == endpoint]
        if before is not None:
            moment, decision_id = before
            older = (decisions.c.at < moment) | ((decisions.c.at == moment) & (decisions.c.id < decision_id))
            conditions.append(older)
        query = sa.select(decisions).where(*conditions).order_by(decisions.c.at.desc(), decisions.c.id.desc())
        with self._catalog.connect() as connection:
            return [_decision(row) for row in connection.execute(query.limit(limit))]


def _policy(row: Any) -> KeptPolicy:
    return KeptPolicy(
        endpoint=row.endpoint,
        policy=msgspec.json.decode(row.policy, type=RetrainingPolicy),
        digest=row.digest,
        active=row.active,
        set_by=row.set_by,
        set_at=from_micros(row.set_at),
    )


def _decision(row: Any) -> RetrainingDecision:
    return RetrainingDecision(
        **{name: getattr(row, name) for name in _COLUMNS}, at=from_micros(row.at), by=row.decided_by
    )


class SqlTicks:
    """Requests for a tick, and their answers."""

    def __init__(self, catalog: Catalog) -> None:
        self._catalog = catalog
        self._answer_to = catalog.query(sa.select(ticks.c.answer).where(ticks.c.number == sa.bindparam("number")))
        newest = sa.select(sa.func.max(ticks.c.number).label("number")).where(ticks.c.answer.is_(None))
        self._newest = catalog.query(newest)

    def quick_pulse(self) -> object | None:
        """A value that changes whenever anybody commits; None where it costs as much as a query."""
        return self._catalog.quick_pulse()

    def ask(self) -> int:
        """Add a request; its number."""

        def work() -> int:
            with self._catalog.connect() as connection:
                added = connection.execute(ticks.insert().values(answer=None).returning(ticks.c.number))
                return int(added.scalar_one())

        return self._catalog.write(work, durable=False)

    def take(self, number: int) -> TickAnswer | None:
        """The answer to a request, which is then forgotten; None while there is none."""
        found = next((row.answer for row in self._answer_to(number=number)), None)
        if found is None:
            return None
        self._change(ticks.delete().where(ticks.c.number == number))
        return msgspec.json.decode(found, type=TickAnswer)

    def newest(self) -> int:
        """The number of the newest request without an answer, 0 where there is none."""
        [(number,)] = self._newest()
        return number or 0

    def answer(self, upto: int, answer: TickAnswer) -> None:
        """Answer every request up to a number, and forget old answers that nobody took."""
        waiting = (ticks.c.number <= upto) & ticks.c.answer.is_(None)
        left = (ticks.c.number <= upto - _KEPT_ANSWERS) & ticks.c.answer.is_not(None)
        told = ticks.update().where(waiting).values(answer=msgspec.json.encode(answer))
        self._change(told, ticks.delete().where(left))

    def _change(self, *statements: sa.UpdateBase) -> None:
        def work() -> None:
            with self._catalog.connect() as connection:
                for statement in statements:
                    connection.execute(statement)

        self._catalog.write(work, durable=False)
