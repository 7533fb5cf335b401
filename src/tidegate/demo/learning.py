"""The demo's beginning: tables with their contracts, features without a leak, and a first version in production."""

from collections.abc import Callable
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from tidegate.data.records import DatasetVersion
from tidegate.demo import flights
from tidegate.demo.definitions import inputs
from tidegate.demo.leaking import Careless
from tidegate.demo.plan import APPROVER, Plan
from tidegate.demo.telling import Say
from tidegate.demo.training import ENDPOINT, HELD_OUT, MODEL, fit, judge, learnable
from tidegate.kernel.errors import Internal, Invalid, Refused
from tidegate.models.records import ModelVersion
from tidegate.workspace import Workspace, open_workspace

if TYPE_CHECKING:
    import polars as pl

    from tidegate.features.training import TrainingSet


class Begun(NamedTuple):
    """What the beginning came to."""

    version: ModelVersion
    rows: "TrainingSet"
    """All that there was to learn from."""
    careless: Careless
    damaged_copy: str
    early_promotion: str
    author_approval: str


def begin(ws: Workspace, home: Path, plan: Plan, tables: "tuple[pl.DataFrame, pl.DataFrame]", say: Say) -> Begun:
    """From raw tables to a version that answers. Raises `Internal` where something goes through that must not."""
    say("chapter", "Data: what the source systems knew by 1 April, and a damaged copy")
    damage = _commit(ws, plan.since, tables, say)
    say("chapter", "Features: defined once, joined as of each departure")
    correct = _join(ws, plan.since, say)
    train, held_out = correct.split(before=plan.since - HELD_OUT)
    say("chapter", "Model: trained, tracked, checked, approved by somebody else, promoted")
    version = fit(ws, train)
    onnx = version.manifest.facts.get("onnx", "")
    say(
        "done",
        f"{version.reference}  {version.digest[:12]}  learnt from {len(train.y):,} flights; {version.runtime}: {onnx}",
    )
    careless = _leak(ws, plan.since, version, held_out, say)
    early, own = _through_the_gate(ws, home, version, held_out, say)
    ws.endpoints.deploy(ENDPOINT, version, outcome_independent=True)
    told = ws.features.materialize(inputs())
    rows = sum(each.rows for each in told)
    say("done", f"{version.reference} answers; the online store holds what {rows:,} rows say of {len(told)} views")
    return Begun(version, correct, careless, damage, early, own)


def _commit(ws: Workspace, now: datetime, tables: "tuple[pl.DataFrame, pl.DataFrame]", say: Say) -> str:
    schedule, weather = tables
    flown = ws.data.commit("flights", flights.flown(schedule, now), note="as known on 1 April")
    landed = ws.data.commit("landings", flights.landings(schedule, now), note="as the airport tells of them")
    seen = ws.data.commit("weather", flights.observed(weather, now), note="hourly, at the three airports")
    planes = ws.data.commit("planes", flights.read("planes"))
    say("done", ", ".join(map(_named, (flown, landed, seen, planes))))
    contract = seen.contract
    for column in ("temperature_f", "dew_point_f", "humidity_percent"):
        contract = contract.changed(column, nullable=True, share_null=0.05)
    ws.data.set_contract("weather", contract, note="a sensor may fail now and then")
    try:
        ws.data.commit("flights", flights.damaged(flights.flown(schedule, now)))
    except Invalid as error:
        damage = error.message
    else:
        raise Internal("a damaged copy was committed: the contract did not hold")
    if ws.data.resolve("flights").digest != flown.digest:
        raise Internal("the damaged copy was refused and left something behind")
    say("refused", f"refused, a damaged copy: {'; '.join(broken_rules(damage))}")
    return damage


def broken_rules(refusal: str) -> list[str]:
    """The lines of a refusal that name columns and rows."""
    return [line.removeprefix("- ") for line in refusal.splitlines() if line.startswith("- ")]


def _join(ws: Workspace, now: datetime, say: Say) -> "TrainingSet":
    applied = ws.features.apply(inputs())
    rows = learnable(ws, now, None)
    views = ", ".join(view.view.name for view in applied.views)
    say("done", f"{applied} {applied.digest[:12]}: {len(applied.inputs)} inputs from {views} and the request")
    known = len(rows.y)
    say(
        "done",
        f"{len(rows.frame):,} departures joined; {known:,} had landed, {rows.left_out:,} have no label to learn from",
    )
    return rows


def _leak(ws: Workspace, now: datetime, version: ModelVersion, held_out: "TrainingSet", say: Say) -> Careless:
    """Train once more on delays that nobody could have known, and see what becomes of the promise."""
    ws.features.apply(inputs(leaky=True))
    leaky_train, leaky_held_out = learnable(ws, now, None, leaky=True).split(before=now - HELD_OUT)
    careless = Careless(leaky_train)
    leak = careless.beside(ws, version, leaky_held_out, held_out)
    say(
        "done",
        f"a delay stamped at its own departure would change {leak.rows_changed:.1%} of the rows: on the newest "
        f"{leak.rows:,} flights AUC {leak.promised:.3f} promised, {leak.served:.3f} once served; the correct join "
        f"promises and serves {leak.correct:.3f}",
    )
    return careless


def _through_the_gate(
    ws: Workspace, home: Path, version: ModelVersion, held_out: "TrainingSet", say: Say
) -> tuple[str, str]:
    early = refusal(lambda: ws.models.promote(MODEL, version.number, to="production"))
    say("refused", f"refused, too early: {_missing(early)}")
    report = judge(ws, version, held_out).require()
    say("done", f"gate quality: {report.verdict}; {report.reason}")
    own = refusal(lambda: ws.approvals.approve(version, reason="I made it, so it is good"))
    say("refused", f"refused, one's own: {own.message}")
    ws.people.add(APPROVER, role="approver")
    approve(home, version.reference, "clearly better than chance, on what could be known in time")
    promoted = ws.models.promote(MODEL, version.number, to="production")
    say("done", f"approved by {APPROVER}; {promoted.reference} is in stage {promoted.stage}")
    return early.message, own.message


def approve(home: Path, reference: str, reason: str) -> None:
    """What the second person does, in a workspace of their own."""
    with acting(home, APPROVER) as theirs:
        theirs.approvals.approve(reference, reason=reason)


def acting(home: Path, person: str) -> Workspace:
    """The home as somebody else opens it."""
    return open_workspace(home, actor=person, catalog="", objects="")


def refusal(forbidden: Callable[[], Any]) -> Refused:
    """The refusal of what must be refused. Raises `Internal` where it went through."""
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
