"""Runs and experiments as a notebook shows them."""

from tidegate.kernel import notebook
from tidegate.runs.records import Experiment, Run
from tidegate.runs.rules import code_label, environment_label


def run_card(run: Run) -> str:
    """A run in a small table."""
    state = f"{run.status} (deleted)" if run.deleted_at is not None else run.status
    return notebook.card(
        f"run {run.name or run.id} of {run.experiment}",
        {
            "status": state,
            "error": run.error,
            "id": run.id,
            "started": run.started_at,
            "took": "" if run.ended_at is None else f"{(run.ended_at - run.started_at).total_seconds():,.1f} s",
            "by": run.actor,
            "parent": run.parent,
            "code": code_label(run),
            "environment": environment_label(run),
            "inputs": tuple(one.label for one in run.inputs),
            **{f"param {name}": value for name, value in run.params.items()},
            **{f"metric {metric.name}": metric.value for metric in run.latest},
            "tags": run.tags,
            "artifacts": tuple(f"{one.name} ({one.bytes:,} bytes)" for one in run.artifacts),
        },
    )


def experiment_card(experiment: Experiment) -> str:
    """An experiment in a small table."""
    return notebook.card(
        f"experiment {experiment.name}",
        {
            "id": experiment.id,
            "made": experiment.created_at,
            "by": experiment.by,
            "changed": experiment.updated_at,
            "deleted": experiment.deleted_at,
            "tags": experiment.tags,
        },
    )
