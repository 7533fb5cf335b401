"""The demo's first half: from raw flights to a version in production, and what is refused on the way."""

from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

from tidegate.data.records import DatasetVersion
from tidegate.data.rows import Rows
from tidegate.demo import flights
from tidegate.demo.report import Bounded, DemoGate, DemoModel, Refusals, RowCounts
from tidegate.demo.telling import Say
from tidegate.gates.records import GateReport, QualityPolicy
from tidegate.kernel.errors import Internal, Invalid, Refused
from tidegate.models.records import ModelVersion
from tidegate.statistics.intervals import auc_interval
from tidegate.workspace import Workspace, open_workspace

MODEL = "late-arrival"
INPUTS = "late-arrival-inputs"
AUTHOR, APPROVER = "local", "reviewer"
PARAMS = {"max_iter": 40, "learning_rate": 0.1, "max_leaf_nodes": 15, "min_samples_leaf": 40, "random_state": 0}
MUST_BEAT = 0.05
"""By how much AUC the model must be better than chance."""


class Learnt(NamedTuple):
    """What the first half came to."""

    rows: RowCounts
    model: DemoModel
    gate: DemoGate
    refusals: Refusals


def learn(ws: Workspace, home: Path, say: Say) -> Learnt:
    """Commit, train, check, approve, promote. Raises `Internal` where something goes through that must not."""
    say("chapter", "Data: what was known of a flight before it departed")
    rows, damage = _commit(ws, say)
    train, held_out = rows.split(before=flights.HELD_OUT_FROM)
    counts = RowCounts(trained=len(train), held_out=len(held_out), served=flights.SERVED, without_label=rows.left_out)
    say("done", f"{counts.trained:,} flights to learn from; the next {counts.held_out:,} are held out")
    say("chapter", "Model: logged, checked, approved by somebody else, promoted")
    version, model = _fit(ws, train, held_out, say)
    early = _refusal(lambda: ws.models.promote(MODEL, version.number, to="production"))
    say("refused", f"refused, too early: {_missing(early)}")
    policy = QualityPolicy(metric="auc", must_beat=MUST_BEAT)
    report = ws.gates.check(version, on=held_out, policy=policy).require()
    say("done", f"gate quality: {report.verdict}; {report.reason}")
    own = _refusal(lambda: ws.approvals.approve(version, reason="I made it, so it is good"))
    say("refused", f"refused, one's own: {own.message}")
    ws.people.add(APPROVER, role="approver")
    with open_workspace(home, actor=APPROVER, catalog="", objects="") as theirs:
        theirs.approvals.approve(version, reason="clearly better than chance, from weather that was known in time")
    promoted = ws.models.promote(MODEL, version.number, to="production")
    say("done", f"approved by {APPROVER}; {promoted.reference} is in stage {promoted.stage}")
    refusals = Refusals(damaged_copy=damage, early_promotion=early.message, author_approval=own.message)
    return Learnt(counts, model, _gate(report), refusals)


def _commit(ws: Workspace, say: Say) -> tuple[Rows, str]:
    raw = ws.data.commit("flights", flights.learning_flights(), note="New York, June 2013")
    weather = ws.data.commit("weather", flights.learning_weather(), note="hourly, at the three airports")
    say("done", f"{_named(raw)} and {_named(weather)} are committed")
    joined = flights.learning()
    inputs = ws.data.commit(INPUTS, joined, note="the newest weather that was an hour old at departure")
    say("done", f"{_named(inputs)}: with the newest weather that was an hour old at departure")
    try:
        ws.data.commit(INPUTS, flights.damaged(joined))
    except Invalid as error:
        damage = error.message
    else:
        raise Internal("a damaged copy was committed: the contract did not hold")
    newest = ws.data.resolve(INPUTS)
    if newest.digest != inputs.digest:
        raise Internal(f"the damaged copy was refused and left {newest} behind")
    broken = [line.removeprefix("- ") for line in damage.splitlines() if line.startswith("- ")]
    say("refused", f"refused, a damaged copy: {'; '.join(broken)}")
    chosen = ws.data.rows(inputs, features=flights.FEATURES, label=flights.LABEL, order_by=flights.ORDER)
    return chosen, damage


def _fit(ws: Workspace, train: Rows, held_out: Rows, say: Say) -> tuple[ModelVersion, DemoModel]:
    from sklearn.ensemble import HistGradientBoostingClassifier

    with ws.runs.start(MODEL, params=PARAMS, inputs=["flights", "weather"]) as run:
        model = HistGradientBoostingClassifier(**PARAMS).fit(train.X, train.y)
        area = auc_interval(held_out.y, model.predict_proba(held_out.X)[:, 1])
        run.log_metrics({"auc_held_out": area.estimate})
        version = ws.models.log(MODEL, model, run=run, inputs=train)
    facts = version.manifest.facts
    say("done", f"{version.reference}  {version.digest[:12]}  served by {version.runtime}: {facts.get('onnx', '')}")
    say("done", f"AUC {area.estimate:.3f} on the held-out flights, 95 % interval {area.low:.3f} to {area.high:.3f}")
    told = DemoModel(
        version=version.reference,
        runtime=version.runtime,
        conversion=facts.get("onnx", ""),
        digest=version.digest,
        auc_held_out=Bounded(estimate=area.estimate, low=area.low, high=area.high, n=len(held_out)),
    )
    return version, told


def _gate(report: GateReport) -> DemoGate:
    figures = report.figures
    return DemoGate(
        verdict=report.verdict,
        estimate=figures.estimate,
        interval=(figures.low, figures.high),
        n=figures.n,
        margin=report.threshold,
    )


def _refusal(forbidden: Callable[[], object]) -> Refused:
    try:
        forbidden()
    except Refused as error:
        return error
    raise Internal("something went through that must be refused")


def _missing(error: Refused) -> str:
    """What a promotion lacks, without the remedies that the message adds."""
    missing = error.details.get("missing")
    gaps = [gap["what"] for gap in missing] if isinstance(missing, list) else []
    return "; ".join(gaps) or error.message


def _named(version: DatasetVersion) -> str:
    return f"{version} {version.digest[:12]} ({version.rows:,} rows)"
