"""Serves a home in which two months of real flights were answered, and takes the pictures of its page for docs/."""

import sys
import tempfile
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, NamedTuple

import polars as pl
from playwright.sync_api import Browser, sync_playwright
from sklearn.ensemble import HistGradientBoostingClassifier, HistGradientBoostingRegressor

from tidegate.demo import flights
from tidegate.endpoints.records import OutcomeIn
from tidegate.gates.records import QualityPolicy
from tidegate.http.thread import serving
from tidegate.kernel.settings import Settings
from tidegate.models.records import StagePolicy
from tidegate.workspace import LocalWorkspace, open_local

PICTURES = Path(__file__).resolve().parents[1] / "docs" / "pictures"
CHROMIUM = "/usr/bin/chromium"
QUIET = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]
SIZES = {"wide": (1100, 800), "narrow": (390, 844)}
FIRST = datetime(2013, 4, 1, tzinfo=UTC)
DAYS = 61
LEARNT = timedelta(days=45)
EVERY = 4
"""One flight in so many is asked about."""


AT_ONCE = 3
"""So many rows a request."""


class Endpoint(NamedTuple):
    """What is trained and asked."""

    name: str
    label: str
    model: Any
    policy: QualityPolicy | None = None
    days: int = DAYS
    """It is deployed so many days before the end."""
    told: bool = True
    """Whether labels arrive."""


def boosted(rounds: int = 80) -> Any:
    """A classifier."""
    return HistGradientBoostingClassifier(max_iter=rounds, random_state=0)


MINUTES = HistGradientBoostingRegressor(loss="absolute_error", max_iter=80, random_state=0)

ENDPOINTS = [
    Endpoint("late-arrival", "late", boosted(), QualityPolicy(metric="auc", must_beat=0.05)),
    Endpoint("arrival-delay", "arrival_delay_minutes", MINUTES),
    Endpoint("punctuality", "on_time", boosted(), days=38),
    Endpoint("cancellation", "cancelled", boosted(40), days=2, told=False),
]


def main() -> int:
    """Make docs/pictures/status-{wide,narrow}-{light,dark}.png."""
    PICTURES.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as folder:
        settings = Settings(home=str(Path(folder) / "flights" / ".tidegate"))
        with open_local(settings, simulated_clock=True) as workspace:
            live(workspace)
            with serving(workspace) as address, sync_playwright() as playwright:
                browser = playwright.chromium.launch(executable_path=CHROMIUM, args=QUIET)
                take(browser, address)
                browser.close()
    return 0


def live(workspace: LocalWorkspace) -> None:
    """Two months in the life of a home: what was learnt in spring is asked day by day, and labels follow."""
    rows = departures()
    workspace.loop.tick(until=FIRST)
    workspace.people.add("reviewer", role="approver")
    pending: dict[str, list[OutcomeIn]] = {each.name: [] for each in ENDPOINTS}
    for left in range(DAYS, 0, -1):
        now = FIRST + timedelta(days=DAYS - left)
        for each in ENDPOINTS:
            if left == each.days:
                deploy(workspace, each, between(rows, now - LEARNT, now))
        now += timedelta(days=1)
        workspace.loop.tick(until=now)
        asked = between(rows, now - timedelta(days=1), now)
        for each in ENDPOINTS:
            if left <= each.days:
                pending[each.name] += serve(workspace, each, asked.gather_every(EVERY, each.days % EVERY))
                pending[each.name] = tell(workspace, each.name, pending[each.name], now)
    workspace.loop.tick()


def between(rows: pl.DataFrame, start: datetime, end: datetime) -> pl.DataFrame:
    """The flights that were to leave then."""
    return rows.filter(pl.col(flights.ORDER).is_between(start, end, closed="left"))


def departures() -> pl.DataFrame:
    """The flights of spring with everything that is asked for or told of them."""
    raw = flights.read("flights").sort(flights.ORDER, maintain_order=True)
    joined = flights.departures(raw, flights.read("weather"))
    return joined.with_columns(
        arrival_delay_minutes=raw["arrival_delay_minutes"].cast(pl.Float64),
        on_time=~pl.col("late"),
        cancelled=pl.col("late").is_null(),
    ).filter(pl.col(flights.ORDER).is_between(FIRST - LEARNT, FIRST + timedelta(days=DAYS + 1)))


def deploy(workspace: LocalWorkspace, what: Endpoint, learnt: pl.DataFrame) -> None:
    """From rows to a version that answers. `punctuality` learns `on_time` and will be told `late`: a real mistake."""
    dataset = workspace.data.commit(f"{what.name}-inputs", learnt.select(*flights.FEATURES, what.label, flights.ORDER))
    chosen = workspace.data.rows(dataset, features=flights.FEATURES, label=what.label, order_by=flights.ORDER)
    train, held_out = chosen.split(at=int(len(chosen) * 0.8))
    with workspace.runs.start(what.name, inputs=[train]) as run:
        version = workspace.models.log(what.name, what.model.fit(train.X, train.y), run=run, inputs=train)
    if what.policy is None:
        workspace.models.set_policy(what.name, "production", policy=StagePolicy())
    else:
        workspace.gates.check(version, on=held_out, policy=what.policy).require()
        with open_local(Settings(home=workspace.settings.home, actor="reviewer")) as theirs:
            theirs.approvals.approve(version, reason="clearly better than chance")
    workspace.endpoints.deploy(what.name, workspace.models.promote(what.name, version.number, to="production"))


def serve(workspace: LocalWorkspace, what: Endpoint, asked: pl.DataFrame) -> list[OutcomeIn]:
    """A day's questions; what will become of them is the answer."""
    at = asked[flights.ORDER].to_list()
    rows = asked.select(flights.FEATURES).to_dicts()
    answers = [
        answer
        for first in range(0, len(rows), AT_ONCE)
        for answer in workspace.endpoints.predict(
            what.name, rows[first : first + AT_ONCE], at=at[first : first + AT_ONCE]
        ).predictions
    ]
    if not what.told:
        return []
    truth = asked["late" if what.label == "on_time" else what.label].to_list()
    seen = asked["arrived_at"].to_list()
    told = zip(answers, truth, seen, strict=True)
    return [OutcomeIn(answer.id, value, when) for answer, value, when in told if value is not None and when is not None]


def tell(workspace: LocalWorkspace, name: str, pending: list[OutcomeIn], now: datetime) -> list[OutcomeIn]:
    """Send the labels of what has landed; what is left are those of what still flies."""
    landed = [outcome for outcome in pending if outcome.observed_at <= now]
    if landed:
        workspace.endpoints.labels(name, landed)
    return [outcome for outcome in pending if outcome.observed_at > now]


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
