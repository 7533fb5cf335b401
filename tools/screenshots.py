"""Replays some weeks of real flights as the demo does, and takes the pictures of the page at `/` for docs/."""

import sys
import tempfile
import time
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import polars as pl
from playwright.sync_api import Browser
from sklearn.ensemble import HistGradientBoostingClassifier, HistGradientBoostingRegressor

from tidegate.demo import flights
from tidegate.demo.flights import midnight
from tidegate.demo.journey import Journey
from tidegate.demo.learning import begin
from tidegate.demo.plan import AUTHOR, Plan
from tidegate.demo.server import DemoServer
from tidegate.endpoints.records import OutcomeIn, Strategy
from tidegate.models.records import ModelVersion, StagePolicy
from tidegate.workspace import Workspace, open_workspace
from tools.browser import launched

PICTURES = Path(__file__).resolve().parents[1] / "docs" / "pictures"
SIZES = {"wide": (1100, 800), "narrow": (390, 844)}
DAY = timedelta(days=1)
NEVER = midnight(2015, 1, 1)
PLAN = Plan(
    since=midnight(2013, 5, 1),
    until=midnight(2013, 5, 23),
    schedule=((midnight(2013, 5, 1), 19),),
    budget=4,
    kills=(NEVER, NEVER),
    leaky=midnight(2013, 5, 7),
    broken=(midnight(2013, 5, 21), NEVER),
)
"""A leaky model is let out and rolled back; the calendar asks for a canary, and then the weather feed breaks."""

ASKED = ["carrier", "origin", "distance_miles", "scheduled_hour", "weekday"]
EVERY = 4
"""Of the endpoints that are not the demo's, one flight in so many is asked about."""


def main() -> int:
    """Make docs/pictures/status-{wide,narrow}-{light,dark}.png."""
    PICTURES.mkdir(parents=True, exist_ok=True)
    started = time.perf_counter()
    with tempfile.TemporaryDirectory() as folder:
        home = Path(folder) / "flights" / ".tidegate"
        home.mkdir(parents=True)
        server = DemoServer(home)
        try:
            with open_workspace(home, simulated_clock=True, catalog="", objects="", actor=AUTHOR) as workspace:
                live(workspace, home, server)
            with launched() as browser:
                take(browser, f"{server.url}/")
        finally:
            server.stop()
    sys.stdout.write(f"{PICTURES}: {time.perf_counter() - started:.0f} s\n")
    return 0


def live(workspace: Workspace, home: Path, server: DemoServer) -> None:
    """Some weeks in the life of a home: the demo's endpoint, and two others beside it."""
    tables = flights.schedule(), flights.weather()
    workspace.loop.tick(until=PLAN.since)
    server.launch()
    begun = begin(workspace, home, PLAN, tables, say)
    server.wait()
    journey = Journey(workspace, home, server=server, plan=PLAN, tables=tables, begun=begun, say=say)
    others = Others(workspace, tables[0])
    journey.run(others.day)


def say(_mark: str, text: str) -> None:
    """What the demo tells, on one line each."""
    sys.stdout.write(f"{text.splitlines()[0][:160]}\n")


class Others:
    """Endpoints beside the demo's: one that foretells minutes, with a shadow, and one that nobody tells a label."""

    def __init__(self, workspace: Workspace, schedule: pl.DataFrame) -> None:
        self._workspace = workspace
        minutes = pl.col(flights.DELAY).cast(pl.Float64).alias("minutes")
        self._rows = schedule.with_columns(minutes, cancelled=pl.col(flights.LANDS).is_null())
        self._pending: list[OutcomeIn] = []

    def day(self, done: int, days: int) -> None:
        """A day is over: what was due on it is asked about, and labels follow."""
        now = PLAN.since + done * DAY
        for each in self._workspace.incidents.list(state="open").items:
            if each.severity == "warning":
                self._workspace.incidents.acknowledge(each.id, note="it was a trial")
        if done == 1:
            slow = HistGradientBoostingRegressor(loss="absolute_error", max_iter=60, random_state=0)
            self._deploy("arrival-delay", "minutes", slow, now)
        if done == days // 2:
            other = HistGradientBoostingRegressor(loss="absolute_error", max_iter=15, random_state=0)
            self._deploy("arrival-delay", "minutes", other, now, Strategy(kind="shadow"))
        if done == days - 2:
            self._deploy("cancellation", "cancelled", HistGradientBoostingClassifier(max_iter=20), now)
        if done > 1:
            self._serve("arrival-delay", now, self._pending)
            landed = [each for each in self._pending if each.observed_at <= now]
            self._workspace.endpoints.labels("arrival-delay", landed)
            self._pending = [each for each in self._pending if each.observed_at > now]
        if done > days - 2:
            self._serve("cancellation", now, [])

    def _deploy(self, name: str, label: str, model: Any, now: datetime, strategy: Strategy | None = None) -> None:
        """From rows to a version that answers."""
        known = self._rows.filter(pl.col(flights.DEPARTS).is_between(now - 45 * DAY, now, closed="left"))
        learnt = known.select(*ASKED, label, flights.DEPARTS).drop_nulls(label)
        dataset = self._workspace.data.commit(f"{name}-inputs", learnt)
        chosen = self._workspace.data.rows(dataset, features=ASKED, label=label, order_by=flights.DEPARTS)
        with self._workspace.runs.start(name, inputs=[chosen]) as run:
            version: ModelVersion = self._workspace.models.log(
                name, model.fit(chosen.X, chosen.y), run=run, inputs=chosen
            )
        if version.number == 1:
            self._workspace.models.set_policy(name, "production", policy=StagePolicy())
        promoted = self._workspace.models.promote(name, version.number, to="production")
        self._workspace.endpoints.deploy(name, promoted, strategy=strategy or Strategy())

    def _serve(self, name: str, now: datetime, pending: list[OutcomeIn]) -> None:
        """A day's questions; what will become of them is added to what is pending."""
        due = pl.col(flights.DEPARTS).is_between(now - DAY, now, closed="left")
        asked = self._rows.filter(due).gather_every(EVERY)
        answers = self._workspace.endpoints.predict(
            name, asked.select(ASKED).to_dicts(), at=asked[flights.DEPARTS].to_list()
        ).predictions
        for answer, minutes, seen in zip(
            answers, asked["minutes"].to_list(), asked[flights.LANDS].to_list(), strict=True
        ):
            if minutes is not None and seen is not None:
                pending.append(OutcomeIn(answer.id, minutes, seen))


def take(browser: Browser, address: str) -> None:
    """One picture for each size and scheme."""
    for size, (width, height) in SIZES.items():
        for scheme in ("light", "dark"):
            context = browser.new_context(
                viewport={"width": width, "height": height}, color_scheme="dark" if scheme == "dark" else "light"
            )
            page = context.new_page()
            page.goto(address, wait_until="load")
            page.screenshot(path=PICTURES / f"status-{size}-{scheme}.png", full_page=True)
            context.close()


if __name__ == "__main__":
    sys.exit(main())
