"""What a version must show before it may be trusted: quality against the champion, or against a constant."""

from typing import Protocol

from tidegate.data.records import Origin
from tidegate.events.records import Facts
from tidegate.gates import rules
from tidegate.gates.records import QUALITY, Figures, GatePlan, GateReport, HeldOut, QualityPolicy
from tidegate.kernel.clock import BusinessClock
from tidegate.kernel.context import actor
from tidegate.kernel.errors import Conflict, Forbidden, NotFound, Refused
from tidegate.kernel.ids import IdFactory, parse_id
from tidegate.kernel.operation import Service, operation
from tidegate.kernel.pages import Page, decode_cursor, encode_cursor, page_size
from tidegate.lineage.records import Edge, Graph, Node
from tidegate.models.records import CHAMPION, ModelVersion
from tidegate.models.rules import digest_of
from tidegate.models.service import Models


class GateStore(Protocol):
    """Where plans and reports are kept.

    Laws:

    1. **Once.** A plan takes one report.
    2. **Newest first.** Reports come in the reverse order of their plans' ids.
    """

    def add(self, plan: GatePlan) -> None:
        """Keep a plan."""
        ...

    def plan(self, plan_id: str) -> GatePlan | None:
        """The plan of this id."""
        ...

    def finish(self, report: GateReport) -> bool:
        """Keep the report of a plan; False when it has one."""
        ...

    def report(self, plan_id: str) -> GateReport | None:
        """The report of a plan, None while there is none."""
        ...

    def reports(self, digest: str, before: str, limit: int) -> list[GateReport]:
        """Reports on a version (empty: on all), those with a smaller id."""
        ...

    def open_plans(self, digest: str) -> list[GatePlan]:
        """Plans on a version that have no report."""
        ...


class Gates(Service):
    """What a version must show before it may be trusted.

    The comparison runs where it is called, so its figures are as trustworthy as who called; the home announces the
    policy beforehand, chooses the champion, and draws the verdict from the figures itself.
    """

    room = "gates"
    uses = ("models",)
    _models: Models

    def __init__(self, *, store: GateStore, clock: BusinessClock, ids: IdFactory, facts: Facts, graph: Graph) -> None:
        self._store = store
        self._clock = clock
        self._ids = ids
        self._facts = facts
        self._graph = graph

    def check(self, version: str | ModelVersion, *, on: HeldOut, policy: QualityPolicy | None = None) -> GateReport:
        """Judge a version on held-out rows, against the champion or, while there is none, the best constant answer.

        The plan, with the policy's digest, is in the catalog before the first row is predicted. Raises `Refused` for
        the very rows that the version was trained on, `Invalid` for rows or a metric that do not fit the model.
        """
        from tidegate.gates.comparison import compare

        chosen = self._models.resolve(version if isinstance(version, str) else version.reference)
        wanted = policy or rules.default_policy(chosen.signature)
        plan = self.plan(chosen.reference, dataset=on.digest, origins=tuple(on.lineage), policy=wanted)
        candidate = self._models.load(chosen)
        champion = None if plan.champion is None else self._models.load(plan.champion)
        return self.record(plan.id, figures=compare(wanted, on, candidate, champion))

    @operation("POST /gates/plans", role="contributor", audit="change")
    def plan(self, version: str, *, dataset: str, origins: tuple[Origin, ...] = (), policy: QualityPolicy) -> GatePlan:
        """Announce a test, so that its policy and its rows are known before its result."""
        rules.check_policy(policy)
        chosen = self._models.resolve(version)
        rules.check_metric(policy, chosen.signature, chosen.reference)
        if dataset == chosen.manifest.inputs:
            raise Refused(
                f"{chosen.reference} was trained on exactly these rows: check it on rows that it has not seen",
                version=chosen.reference,
            )
        champion = self._champion(chosen)
        now = self._clock.now()
        plan = GatePlan(
            id=self._ids.new(now),
            version=chosen.reference,
            digest=chosen.digest,
            against="baseline" if champion is None else "champion",
            champion=None if champion is None else champion.reference,
            champion_digest=None if champion is None else champion.digest,
            dataset=dataset,
            origins=origins,
            policy=policy,
            policy_digest=digest_of(policy),
            planned_at=now,
            by=actor(),
        )
        self._store.add(plan)
        self._facts.append(
            "tidegate.gates.planned", plan.version, plan=plan.id, policy=plan.policy_digest, dataset=dataset
        )
        return plan

    @operation("POST /gates/reports", role="contributor", audit="change")
    def record(self, plan_id: str, *, figures: Figures) -> GateReport:
        """Keep the figures of a planned test; the verdict is drawn here, and attested of the version.

        A plan takes one report, from who made the plan.
        """
        plan = self._planned(plan_id)
        if plan.by != actor():
            raise Forbidden(f"plan {plan_id} is {plan.by}'s: make one of your own", plan=plan_id)
        rules.check_figures(figures)
        verdict, reason, threshold = rules.judge(plan.policy, plan.against, plan.champion, figures)
        report = GateReport(
            plan=plan, figures=figures, verdict=verdict, reason=reason, threshold=threshold, at=self._clock.now()
        )
        if not self._store.finish(report):
            raise Conflict(f"plan {plan_id} has its report already: a test is not run twice, plan another")
        name, _, number = plan.version.rpartition("/")
        self._models.attest(
            name,
            int(number),
            kind=QUALITY,
            verdict=verdict,
            policy_digest=plan.policy_digest,
            reason=reason,
            evidence={"report": plan.id, "dataset": plan.dataset, "champion": plan.champion_digest or ""},
        )
        for origin in plan.origins:
            node = Node("model", plan.digest, plan.version)
            self._graph.add(Edge(Node("dataset", origin.digest, origin.label), node, "held-out"))
        self._facts.append("tidegate.gates.judged", plan.version, report=plan.id, verdict=verdict)
        return report

    @operation("GET /gates/reports/{report_id}", role="viewer", audit="none")
    def get(self, report_id: str) -> GateReport:
        """One report."""
        plan = self._planned(report_id)
        report = self._store.report(report_id)
        if report is None:
            raise NotFound(f"the test {report_id} of {plan.version} was planned and never reported")
        return report

    @operation("GET /gates/reports", role="viewer", audit="none")
    def list(self, *, version: str = "", limit: int = 100, cursor: str = "") -> Page[GateReport]:
        """Reports, newest first; on one version where it is given."""
        key = decode_cursor(cursor, (str,))
        digest = self._models.resolve(version).digest if version else ""
        found = self._store.reports(digest, key[0] if key else "", page_size(limit) + 1)
        return Page(found[:limit], encode_cursor(found[limit - 1].id) if len(found) > limit else None)

    @operation("GET /gates/plans", role="viewer", audit="none")
    def unfinished(self, version: str) -> tuple[GatePlan, ...]:
        """Tests of a version that were planned and never reported, newest first."""
        return tuple(self._store.open_plans(self._models.resolve(version).digest))

    def _planned(self, plan_id: str) -> GatePlan:
        parse_id(plan_id, "id of a gate's plan")
        plan = self._store.plan(plan_id)
        if plan is None:
            raise NotFound(f"there is no plan {plan_id}: 'tidegate gates list' shows the reports there are")
        return plan

    def _champion(self, version: ModelVersion) -> ModelVersion | None:
        try:
            champion = self._models.resolve(f"{version.name}@{CHAMPION}")
        except NotFound:
            return None
        return None if champion.digest == version.digest else champion
