"""What happens by itself in a home, in the order of a round. Imported by the process that runs it, not by a server."""

import sys
from collections.abc import Callable
from typing import NamedTuple

from tidegate.endpoints.moves import Moves
from tidegate.events.store import EventLog
from tidegate.incidents.book import IncidentBook
from tidegate.incidents.controller import IncidentController
from tidegate.incidents.store import SqlIncidents
from tidegate.kernel.dispatch import Dispatcher
from tidegate.loop.controllers import Controller
from tidegate.loop.retrainer import Retrainer
from tidegate.loop.retraining import Retraining
from tidegate.loop.sealing import SealingController
from tidegate.loop.situation import Witness
from tidegate.loop.store import SqlRetraining
from tidegate.loop.threads import all_threads
from tidegate.monitors.controller import QualityController
from tidegate.monitors.drift_controller import DriftController
from tidegate.monitors.store import SqlDrift, SqlMonitors
from tidegate.pipelines.controller import PipelineController
from tidegate.pipelines.journal import Journal
from tidegate.pipelines.records import Pipeline, PipelineRun
from tidegate.predictions.codecs import CODECS
from tidegate.predictions.following import Follower
from tidegate.predictions.records import LABELS, PREDICTIONS
from tidegate.rollouts.acts import Acts, writing
from tidegate.rollouts.controller import RolloutController
from tidegate.rollouts.store import SqlRollouts
from tidegate.runs.controller import PurgeController
from tidegate.runs.purging import Purger
from tidegate.storage.opening import Storage
from tidegate.storage.sweeping import Sweeper


class Shared(NamedTuple):
    """What the controllers share with the services of the same home."""

    storage: Storage
    facts: EventLog
    dispatcher: Dispatcher
    moves: Moves
    acts: Acts
    journal: Journal
    book: IncidentBook
    witness: Witness
    retraining: Retraining
    order: Callable[[PipelineRun, int], bytes]
    """What the process of a pipeline's steps is told."""
    prepare: Callable[[Pipeline], bytes] | None
    """What it is told before there is a run; None where processes are not begun ahead."""
    purger: Purger
    grace_seconds: float


def build(shared: Shared) -> list[Controller]:
    """Each hears in one round of what those before it did."""
    storage = shared.storage
    catalog, clock, machine, objects = storage.catalog, storage.clock, storage.machine, storage.objects
    followed = storage.journal_folder, storage.journal_index, objects
    predictions, labels = Follower(PREDICTIONS, *followed), Follower(LABELS, *followed)
    sealing = SealingController(
        storage.journal_folder, index=storage.journal_index, objects=objects, codecs=CODECS, clock=clock
    )
    quality = QualityController(
        store=SqlMonitors(catalog),
        predictions=predictions,
        labels=labels,
        objects=objects,
        clock=clock,
        machine=machine,
    )
    drift = DriftController(
        store=SqlDrift(catalog), log=quality, objects=objects, clock=clock, ids=storage.ids, facts=shared.facts
    )
    rollouts = RolloutController(
        store=SqlRollouts(catalog),
        moves=shared.moves,
        acts=shared.acts,
        write=writing(catalog, shared.dispatcher.on_behalf),
        predictions=predictions,
        labels=labels,
        objects=objects,
        clock=clock,
        machine=machine,
    )
    retrainer = Retrainer(
        store=SqlRetraining(catalog),
        transactions=catalog,
        authority=shared.dispatcher,
        audit=storage.audit,
        witness=shared.witness,
        watch=drift,
        retraining=shared.retraining,
    )
    incidents = IncidentController(store=SqlIncidents(catalog), book=shared.book, events=shared.facts)
    sweeper = Sweeper(catalog, objects, storage.audit, machine, shared.grace_seconds)
    return [
        Controller("sealing", sealing.step, apart=True),
        Controller("quality", quality.step, apart=True),
        Controller("drift", drift.step),
        Controller("rollouts", rollouts.step),
        Controller("retraining", retrainer.step),
        _pipelines(shared),
        Controller("incidents", incidents.step),
        Controller("purging", PurgeController(shared.purger, catalog, storage.audit).step),
        Controller("sweeping", sweeper.step),
        Controller("forgetting", storage.memory.step),
    ]


def _pipelines(shared: Shared) -> Controller:
    controller = PipelineController(
        journal=shared.journal,
        command=(sys.executable, "-m", "tidegate.workspace.stepping"),
        message=shared.order,
        environment=all_threads,
        prepare=shared.prepare,
    )
    return Controller("pipelines", controller.step, controller.close)
