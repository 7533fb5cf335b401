"""Steps of pipelines that train nothing, for the tests of when a model is trained anew."""

from typing import Any

from tidegate.kernel.errors import NotFound
from tidegate.pipelines.records import Wait
from tidegate.pipelines.running import StepContext

HERE = "tests.contract.loop.training_steps"


def train(context: StepContext) -> dict[str, Any]:
    """Leaves a run in the home, of whoever the pipeline runs for."""
    run = context.workspace.runs.create("trained anew", params=context.params)
    return {"run": run.id}


def approved(context: StepContext) -> dict[str, Any] | Wait:
    """Waits until there is a pipeline called `approved`, as for somebody's word."""
    try:
        return {"by": context.workspace.pipelines.get("approved").by}
    except NotFound:
        return Wait("nobody has approved")
