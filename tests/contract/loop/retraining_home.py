"""A home whose model is trained anew, and what that leaves in it."""

import shutil
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from tests.contract.loop import training_steps
from tests.postgres import Databases
from tests.slices import deployed
from tidegate.events.store import EventLog
from tidegate.loop.policy import RetrainingPolicy
from tidegate.testing.workspaces import Home, Way

START = datetime(2013, 6, 1, tzinfo=UTC)
DAY = timedelta(days=1)
ENDPOINT = "windy"
MONTHLY = RetrainingPolicy(pipeline="retraining", schedule_days=30, drift=False, cool_down_days=7, minimum_labels=1)


class LearningHomes:
    """Homes with a simulated clock, a deployed model, and a pipeline: copies of one on each database."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._made: dict[bool, str] = {}

    def new(self, folder: Path, way: Way, databases: Databases | None) -> Home:
        """A home of this way; its catalog is on PostgreSQL where there is a server."""
        original = self._folder / ("postgres" if databases else "sqlite")
        if bool(databases) not in self._made:
            self._made[bool(databases)] = catalog = databases.with_catalog() if databases else ""
            _make(original, catalog)
        shutil.copytree(original, folder)
        catalog = databases.copy(self._made[True]) if databases else ""
        return Home(folder, way, catalog, simulated_clock=True)


def _make(folder: Path, catalog: str) -> None:
    home = Home(folder, "local", catalog, simulated_clock=True)
    home.workspace.loop.tick(START)
    home.workspace.endpoints.deploy(ENDPOINT, deployed(home).version)
    home.workspace.pipelines.register("retraining", steps=(f"{training_steps.HERE}:train",))
    home.close()


def reasons(home: Home) -> list[str]:
    """Why it was decided so, the oldest first."""
    return [each.reason for each in reversed(home.workspace.retraining.decisions(ENDPOINT).items)]


def facts(home: Home) -> list[tuple[str, dict[str, Any]]]:
    """What the room said."""
    storage = home.inside.storage
    events = EventLog(storage.catalog, storage.clock, storage.ids).after(0, type_prefix="tidegate.loop.")
    return [(event.type.rpartition(".")[2], event.data) for event in events]


def audited(home: Home) -> list[tuple[str, str, str]]:
    """Which changes of the room were made, by whom, of what, the oldest first."""
    rows = home.inside.audit.list(limit=1000).items
    mine = [row for row in rows if row.operation.startswith("retraining.") and row.outcome == "ok"]
    return [(row.operation, row.actor, row.subject) for row in reversed(mine)]


def traces(home: Home) -> tuple[list[str], int, int, int]:
    """Whatever a retraining leaves: decisions, runs, facts, rows of the audit."""
    storage = home.inside.storage
    return (
        reasons(home),
        len(home.inside.pipelines.runs("retraining").items),
        len(EventLog(storage.catalog, storage.clock, storage.ids).after(0)),
        len(home.inside.audit.list(limit=1000).items),
    )
