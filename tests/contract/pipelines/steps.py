"""Steps that the tests of pipelines run, most of them in a process of their own."""

import os
import signal
from datetime import timedelta
from pathlib import Path
from typing import Any

from tidegate.kernel.errors import NotFound, Refused
from tidegate.pipelines.records import Wait
from tidegate.pipelines.running import StepContext

HERE = "tests.contract.pipelines.steps"
DIES = "dies"
"""Parameter: the step that kills its process."""


def told(context: StepContext) -> None:
    """Leave a line in the file that the run names, then die where and as often as it says."""
    trace = context.params.get("trace")
    if trace is None:
        return
    with Path(trace).open("a") as file:
        file.write(f"{context.step} {os.getpid()}\n")
    begun = sum(line.startswith(f"{context.step} ") for line in Path(trace).read_text().splitlines())
    if context.params.get(DIES) == context.step and begun <= context.params.get("times", 1):
        os.kill(os.getpid(), signal.SIGKILL)


def collect(context: StepContext) -> dict[str, Any]:
    """The first step."""
    told(context)
    return {"rows": context.params.get("rows", 3), "at": context.now.isoformat()}


def train(context: StepContext) -> dict[str, Any]:
    """The second: an effect in the home, once however often it is begun."""
    told(context)
    with context.once("run"):
        run = context.workspace.runs.create("nightly", params={"rows": context.outputs["collect"]["rows"]})
    return {"run": run.id}


def deploy(context: StepContext) -> dict[str, Any]:
    """The third."""
    told(context)
    return {"deployed": context.outputs["train"]["run"]}


def approved(context: StepContext) -> dict[str, Any] | Wait:
    """Waits until there is a pipeline called `approved`, as for somebody's word."""
    told(context)
    try:
        word = context.workspace.pipelines.get("approved")
    except NotFound:
        return Wait("nobody has approved")
    return {"by": word.by}


def matured(context: StepContext) -> dict[str, Any] | Wait:
    """Waits for a day of business time."""
    told(context)
    until = context.started_at + timedelta(days=1)
    return {} if context.now >= until else Wait("labels are young", until)


def refuses(context: StepContext) -> dict[str, Any]:
    """Says no."""
    told(context)
    raise Refused("the gate said no")


def breaks(context: StepContext) -> dict[str, Any]:
    """A fault in a user's code."""
    told(context)
    return {"x": 1 // 0}


def hoards(context: StepContext) -> dict[str, Any]:
    """Returns what belongs into an object."""
    return {"bytes": "x" * 100_000}


def sleeps(context: StepContext) -> dict[str, Any]:
    """Never comes to an end."""
    told(context)
    while True:
        signal.pause()


def whoami(context: StepContext) -> dict[str, Any]:
    """Does what not everybody may."""
    context.workspace.people.add("friend", role="admin")
    return {}


def named(*functions: Any) -> tuple[str, ...]:
    """The steps of these functions, as a pipeline names them."""
    return tuple(f"{HERE}:{function.__name__}" for function in functions)
