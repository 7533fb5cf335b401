"""The walk from one prediction back to the bytes that trained its model, and its telling."""

from typing import NamedTuple

from tidegate.endpoints.records import Deployment
from tidegate.endpoints.rules import spelling
from tidegate.endpoints.service import Endpoints
from tidegate.kernel.errors import NotFound
from tidegate.lineage.records import Edge, Graph, Node
from tidegate.loop.records import DatasetStep, DeploymentStep, ModelStep, PredictionStep, RunStep, VerdictStep, Why
from tidegate.models.records import APPROVAL, Attestation, ModelVersion
from tidegate.models.service import Models
from tidegate.predictions.records import Prediction
from tidegate.predictions.service import Predictions
from tidegate.runs.service import Runs


class Sources(NamedTuple):
    """Whom the walk asks."""

    predictions: Predictions
    endpoints: Endpoints
    models: Models
    runs: Runs
    graph: Graph


def walk(sources: Sources, prediction_id: str) -> Why:
    """Everything behind one prediction. Raises `NotFound`, `Invalid` for what is no id."""
    prediction = sources.predictions.get(prediction_id)
    version = sources.models.resolve(prediction.model)
    deployment = _deployment(sources.endpoints, prediction)
    attestations = sources.models.attestations(version.name, version.number, limit=1000).items
    return Why(
        prediction=_asked(prediction),
        deployment=deployment,
        model=ModelStep(
            model=version.reference,
            digest=version.digest,
            runtime=version.runtime,
            created_at=version.created_at,
            created_by=version.created_by,
        ),
        run=_run(sources.runs, version.run_id),
        datasets=_datasets(sources.graph, version),
        gates=tuple(_verdict(each) for each in attestations if each.kind != APPROVAL),
        approvals=tuple(_verdict(each) for each in attestations if each.kind == APPROVAL),
    )


def _asked(prediction: Prediction) -> PredictionStep:
    shares = prediction.probabilities
    named: dict[str, float] | None = None
    if shares is not None:
        pairs = zip(prediction.classes, shares, strict=True)
        named = {spelling(label): float("nan") if share is None else share for label, share in pairs}
    return PredictionStep(
        id=prediction.id,
        at=prediction.at,
        inputs=dict(prediction.inputs),
        value=prediction.value,
        probabilities=named,
        labels=tuple(label.value for label in prediction.labels),
    )


def _deployment(endpoints: Endpoints, prediction: Prediction) -> DeploymentStep:
    cursor = ""
    while True:
        page = endpoints.deployments(prediction.endpoint, limit=1000, cursor=cursor)
        found: Deployment | None = next((each for each in page.items if each.id == prediction.deployment), None)
        if found is not None:
            return DeploymentStep(
                endpoint=found.endpoint,
                deployment=found.id,
                variant=prediction.variant,
                deployed_at=found.created_at,
                deployed_by=found.by,
            )
        if page.next is None:
            raise NotFound(f"deployment {prediction.deployment} of prediction {prediction.id} is not in the catalog")
        cursor = page.next


def _run(runs: Runs, run_id: str | None) -> RunStep | None:
    if run_id is None:
        return None
    run = runs.get(run_id)
    return RunStep(
        id=run.id,
        experiment=run.experiment,
        started_at=run.started_at,
        actor=run.actor,
        params=dict(run.params),
        commit=run.code.commit,
        dirty=run.code.dirty,
        diff_digest=run.code.diff_digest,
        python=run.environment.python if run.environment else None,
        packages_digest=run.environment.packages_digest if run.environment else None,
    )


def _datasets(graph: Graph, version: ModelVersion) -> tuple[DatasetStep, ...]:
    edges: list[Edge] = graph.into(Node("model", version.digest))
    if version.run_id is not None:
        edges += graph.into(Node("run", version.run_id))
    seen: dict[tuple[str, str], DatasetStep] = {}
    for edge in edges:
        if edge.source.kind == "dataset":
            step = DatasetStep(dataset=edge.source.label, digest=edge.source.key, role=edge.role)
            seen.setdefault((step.digest, step.role), step)
    return tuple(seen.values())


def _verdict(each: Attestation) -> VerdictStep:
    figures = ", ".join(f"{name} {value}" for name, value in each.evidence.items())
    return VerdictStep(kind=each.kind, verdict=each.verdict, by=each.by, at=each.at, summary=each.reason or figures)


def tell(why: Why) -> str:
    """The walk as text, from the prediction at the top to the data at the bottom."""
    day = "%Y-%m-%d %H:%M UTC"
    asked, deployment, model, run = why.prediction, why.deployment, why.model, why.run
    shares = asked.probabilities or {}
    answer = _short(asked.value)
    chance = f", with probability {shares[answer]:.3f}" if answer in shares else ""
    outcome = f"; it turned out {_short(asked.labels[-1])}" if asked.labels else "; no label yet"
    lines = [
        f"prediction {asked.id}",
        f"  answered {answer}{chance}, at {asked.at.strftime(day)}{outcome}",
        f"  asked with {', '.join(f'{name}={_short(value)}' for name, value in asked.inputs.items())}",
        f"└ endpoint {deployment.endpoint}, variant {deployment.variant}",
        f"  deployment {deployment.deployment}, {deployment.deployed_at.strftime(day)} by {deployment.deployed_by}",
        f"  └ model {model.model}  {model.digest[:12]}  served by {model.runtime}",
        f"    made {model.created_at.strftime(day)} by {model.created_by}",
    ]
    lines += [
        f"    ├ {each.kind}: {each.verdict}, by {each.by}: {each.summary}" for each in (*why.gates, *why.approvals)
    ]
    if run is not None:
        lines.append(f"    └ run {run.id}, experiment {run.experiment}, {run.started_at.strftime(day)} by {run.actor}")
        lines.append(f"      ├ code {_code(run)}")
        lines.append(f"      ├ environment {_environment(run)}")
    pad = "      " if run is not None else "    "
    for index, dataset in enumerate(why.datasets):
        branch = "└" if index == len(why.datasets) - 1 else "├"
        lines.append(f"{pad}{branch} data {dataset.dataset}  {dataset.digest[:12]}  ({dataset.role})")
    return "\n".join(lines)


def _short(value: object) -> str:
    """A value as JSON spells it, numbers not longer than they need be."""
    if value is None or isinstance(value, bool):
        return {None: "null", True: "true", False: "false"}[value]
    return f"{value:.6g}" if isinstance(value, float) else str(value)


def _environment(run: RunStep) -> str:
    if run.python is None:
        return "not recorded"
    return f"Python {run.python}" + (f", packages {run.packages_digest[:12]}" if run.packages_digest else "")


def _code(run: RunStep) -> str:
    if run.commit is None:
        return "not under version control"
    changes = f" with uncommitted changes {run.diff_digest[:12]}" if run.diff_digest else ""
    return f"commit {run.commit[:12]}{changes}"
