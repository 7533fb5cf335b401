"""The table of gates: a row is a plan, and once it is done its report."""

from typing import Any

import sqlalchemy as sa

from tidegate.gates.records import GatePlan, GateReport
from tidegate.kernel import wire
from tidegate.storage.catalog import Catalog
from tidegate.storage.schema import table

gates = table(
    "gate",
    sa.Column("id", sa.String(32), primary_key=True),
    sa.Column("digest", sa.String(64), nullable=False, index=True),
    sa.Column("plan", sa.LargeBinary, nullable=False),
    sa.Column("verdict", sa.String(32), nullable=True),
    sa.Column("report", sa.LargeBinary, nullable=True),
    room="gates",
)


class SqlGates:
    """Gates in the catalog. Keeps the laws of `GateStore`."""

    def __init__(self, catalog: Catalog) -> None:
        self._catalog = catalog

    def add(self, plan: GatePlan) -> None:
        """Keep a plan."""
        with self._catalog.connect() as connection:
            connection.execute(gates.insert().values(id=plan.id, digest=plan.digest, plan=wire.encode(plan, GatePlan)))

    def plan(self, plan_id: str) -> GatePlan | None:
        """The plan of this id."""
        found = self._all(sa.select(gates.c.plan).where(gates.c.id == plan_id), GatePlan)
        return found[0] if found else None

    def finish(self, report: GateReport) -> bool:
        """Keep the report of a plan; False when it has one."""
        update = gates.update().where(gates.c.id == report.id, gates.c.report.is_(None))
        with self._catalog.connect() as connection:
            done = connection.execute(update.values(verdict=report.verdict, report=wire.encode(report, GateReport)))
            return done.rowcount == 1

    def report(self, plan_id: str) -> GateReport | None:
        """The report of a plan, None while there is none."""
        query = sa.select(gates.c.report).where(gates.c.id == plan_id, gates.c.report.is_not(None))
        found = self._all(query, GateReport)
        return found[0] if found else None

    def reports(self, digest: str, before: str, limit: int) -> list[GateReport]:
        """Reports on a version (empty: on all), those with a smaller id, newest first."""
        query = sa.select(gates.c.report).where(gates.c.report.is_not(None)).order_by(gates.c.id.desc()).limit(limit)
        if digest:
            query = query.where(gates.c.digest == digest)
        if before:
            query = query.where(gates.c.id < before)
        return self._all(query, GateReport)

    def open_plans(self, digest: str) -> list[GatePlan]:
        """Plans on a version that have no report, newest first."""
        query = sa.select(gates.c.plan).where(gates.c.digest == digest, gates.c.report.is_(None))
        return self._all(query.order_by(gates.c.id.desc()), GatePlan)

    def _all(self, query: sa.Select[Any], kind: Any) -> list[Any]:
        with self._catalog.connect() as connection:
            return [wire.decode(raw, kind, "row of the catalog") for raw in connection.execute(query).scalars()]
