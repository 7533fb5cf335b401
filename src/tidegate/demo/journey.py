"""The demo's year: every hour asked, every day looked after, and what happens on the way."""

import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Final

from tidegate.demo import flights
from tidegate.demo.leaking import Stamped
from tidegate.demo.learning import Begun, acting, approve, broken_rules, refusal
from tidegate.demo.plan import HEAD, Plan
from tidegate.demo.replay import Replay
from tidegate.demo.report import Leak, Restart
from tidegate.demo.server import DemoServer
from tidegate.demo.telling import Mark, Say
from tidegate.demo.training import (
    CANARY,
    ENDPOINT,
    HELD_OUT,
    HISTORY,
    MODEL,
    PIPELINE,
    STEPS,
    Upstream,
    fit,
    judge,
    learnable,
)
from tidegate.demo.watching import Watcher
from tidegate.endpoints.records import Strategy
from tidegate.kernel.errors import Internal, Invalid, Unavailable
from tidegate.loop.policy import RetrainingPolicy
from tidegate.loop.supervisor import settle
from tidegate.workspace import Workspace, open_workspace

if TYPE_CHECKING:
    import polars as pl

    from tidegate.features.training import TrainingSet

DAY: Final = timedelta(days=1)
PATIENCE_SECONDS: Final = 120.0
PAUSE_SECONDS: Final = 0.2
STRIKE_SECONDS: Final = 0.002
"""After an hour's requests were begun: answering them takes several times as long."""
SHADOW: Final = Strategy(kind="shadow")


class Journey:
    """Replays the plan's days against the server, and does what people would do meanwhile."""

    def __init__(
        self,
        ws: Workspace,
        home: Path,
        *,
        server: DemoServer,
        plan: Plan,
        tables: "tuple[pl.DataFrame, pl.DataFrame]",
        begun: Begun,
        say: Say,
    ) -> None:
        self._ws = ws
        self.home = home
        self._server = server
        self.plan = plan
        self._begun = begun
        self._say = say
        self.schedule, self._weather = tables
        self._upstream = Upstream(home / "upstream")
        self._watcher = Watcher(ws)
        self._remote = open_workspace(server.url, token="")
        self._shadowed = False
        self.restarts: list[Restart] = []
        self.leaky_gate = ""
        self.leak: Leak | None = None
        self.broken_feed = ""
        self.replay = Replay(_to_replay(self.schedule, plan), self._weather, server.port, ENDPOINT)

    def run(self, progress: Callable[[int, int], None]) -> None:
        """All days. Raises what the server refuses for good."""
        self._prepare()
        settle()
        with self._remote, ThreadPoolExecutor(1, "controllers") as controllers:
            working = controllers.submit(self._work, self.plan.since)
            for number in range(self.plan.days):
                day = self.plan.since + number * DAY
                for hour in self.replay.day(day):
                    if hour in self.plan.kills:
                        working.result()  # whoever is killed over a tick leaves a lease that must first run out
                        self._kill(hour)
                self._tell(working.result())
                self._look_after(day + DAY)
                # The controllers do a day's work beside the traffic of the next one, as they would anywhere.
                working = controllers.submit(self._work, day + DAY)
                progress(number + 1, self.plan.days)
            self.replay.close()
            self._tell(working.result())
            self._settle()

    def _prepare(self) -> None:
        """What the retraining needs: the feeds, the pipeline, the policy; and what quality is measured by."""
        self._upstream.folder.mkdir()
        self.schedule.write_parquet(self._upstream.folder / "flights.parquet")
        self._tell_weather(self._weather)
        ws = self._ws
        ws.pipelines.register(PIPELINE, steps=STEPS)
        ws.people.add(HEAD, role="admin")
        ws.monitors.set_segments(ENDPOINT, columns=("carrier", "origin"))
        ws.monitors.set_reference(ENDPOINT, self._begun.rows.frame, at=flights.DEPARTS)
        self._keep_to_the_calendar(self.plan.since)

    def _keep_to_the_calendar(self, now: datetime) -> None:
        """Set the policy that the plan has from this day on, if any."""
        for since, days in self.plan.schedule:
            if since == now:
                policy = RetrainingPolicy(
                    pipeline=PIPELINE,
                    params={"upstream": str(self._upstream.folder)},
                    schedule_days=days,
                    cool_down_days=21.0,
                    budget=self.plan.budget,
                    budget_days=365.0,
                )
                self._ws.retraining.set_policy(ENDPOINT, policy=policy)
                self._say(
                    "plain", f"{now:%d %B}  the retraining policy: every {days:g} days, if nothing speaks against it"
                )

    def _tell_weather(self, weather: "pl.DataFrame") -> None:
        self.replay.weather = weather
        weather.write_parquet(self._upstream.folder / "weather.parquet")

    def _work(self, until: datetime) -> list[tuple[Mark, str]]:
        """Have the controllers work; what there is to tell then."""
        self._tick(until)
        return self._watcher.look(until)

    def _tell(self, news: list[tuple[Mark, str]]) -> None:
        for mark, text in news:
            self._say(mark, text)

    def _tick(self, until: datetime) -> None:
        """Have the server's controllers do what is due, once more where the server was killed over it."""
        give_up = time.monotonic() + PATIENCE_SECONDS
        while True:
            try:
                self._remote.loop.tick(until=until)
            except Unavailable:
                if time.monotonic() > give_up:
                    raise
                time.sleep(PAUSE_SECONDS)
            else:
                return

    def _look_after(self, now: datetime) -> None:
        """Midnight: a person's approval, and what the plan has for this day."""
        self._approve_what_waits()
        self._keep_to_the_calendar(now)
        if now >= self.plan.leaky and self.leak is None and self._ws.endpoints.get(ENDPOINT).canary is None:
            self._let_a_leaky_model_out(now)
        if now == self.plan.broken[0]:
            self._break_the_feed(now)
        if now == self.plan.broken[1]:
            self._tell_weather(self._weather)
            self._say("plain", f"{now:%d %B}  the weather feed tells miles again, and has mended what it had told")
        self._keep_the_first_model_in_sight()

    def _approve_what_waits(self) -> None:
        for run in self._ws.pipelines.runs(PIPELINE, state="waiting").items:
            approve(self.home, str(run.outputs["train"]["version"]), f"{run.outputs['check']['reason']}")

    def _keep_the_first_model_in_sight(self) -> None:
        """Once another version answers, the first one goes on in the shadow: what was gained can then be measured."""
        endpoint = self._ws.endpoints.get(ENDPOINT)
        if not self._shadowed and endpoint.live is not None and endpoint.live.number != 1:
            self._ws.endpoints.deploy(ENDPOINT, f"{MODEL}/1", strategy=SHADOW)
            self._shadowed = True

    def _let_a_leaky_model_out(self, now: datetime) -> None:
        """Somebody stamps the delays at their own departure, believes the promise, and has the gate overridden."""
        ws = self._ws
        ws.data.commit("flights", self._upstream.flights(now))
        ws.data.commit("landings", self._upstream.landings(now))
        ws.data.commit("weather", self._upstream.weather(now))
        leaky, correct = (learnable(ws, now, now - HISTORY, leaky=each) for each in (True, False))
        self._tell_the_leak(now, *(rows.split(before=self.plan.since)[1] for rows in (leaky, correct)))
        stamped = Stamped(leaky.split(before=now - HELD_OUT)[0], correct.service)
        version = fit(ws, stamped, note="delays stamped at their own departure")
        held_out = correct.split(before=now - HELD_OUT)[1]
        gate = refusal(lambda: judge(ws, version, held_out).require())
        self.leaky_gate = gate.message
        self._say("refused", f"{now:%d %B}  refused, a leaky candidate: {gate.message}")
        with acting(self.home, HEAD) as head:
            head.models.override(MODEL, version.number, gate="gate:quality", reason="the notebook says 0.77; a trial")
        approve(self.home, version.reference, "overridden by the head; watched by the canary")
        ws.models.promote(MODEL, version.number, to="production")
        ws.endpoints.deploy(ENDPOINT, version.reference, strategy=CANARY)
        self._say(
            "plain", f"{now:%d %B}  the gate is overridden by {HEAD}, with a reason; {version.reference} is a canary"
        )

    def _tell_the_leak(self, now: datetime, leaky: "TrainingSet", correct: "TrainingSet") -> None:
        """What the leak promised in the beginning, and what it would have kept on all flights since."""
        leak = self.leak = self._begun.careless.beside(self._ws, self._begun.version, leaky, correct)
        self._say(
            "done",
            f"{now:%d %B}  the leak of the beginning, on all {leak.rows:,} flights since: AUC {leak.promised:.3f} "
            f"promised, {leak.served:.3f} once served; the correct join {leak.correct:.3f}",
        )

    def _break_the_feed(self, now: datetime) -> None:
        """The source changes a unit. The contract refuses its table; what is pushed goes through, and is seen."""
        self._tell_weather(flights.in_kilometres(self._weather, *self.plan.broken))
        later = now + 2 * DAY
        try:
            self._ws.data.commit("weather", self._upstream.weather(later))
        except Invalid as error:
            self.broken_feed = error.message
        else:
            raise Internal("a feed in another unit was committed: the contract did not hold")
        told = "; ".join(broken_rules(self.broken_feed))
        self._say("refused", f"{now:%d %B}  refused, the weather feed of the next two days: {told}")

    def _kill(self, hour: datetime) -> None:
        """`kill -9` while requests are on their way: of the serving process, then of the whole server."""
        everything = hour == self.plan.kills[1]
        what = "the whole server" if everything else "the serving process"
        self.replay.catch_up()
        canary = self._ws.endpoints.get(ENDPOINT).canary
        before = self.replay.acknowledged

        def strike() -> None:
            time.sleep(STRIKE_SECONDS)
            if everything:
                self._server.kill_everything()
                self._server.start()
            else:
                self._server.kill_serving()

        killer = threading.Thread(target=strike, daemon=True)
        started = time.perf_counter()
        killer.start()
        self.replay.hour(hour)
        killer.join()
        seconds = time.perf_counter() - started
        beside = f"{canary.version} at {canary.share or 0:g} %" if canary is not None else ""
        self.restarts.append(Restart(killed=what, at=hour, acknowledged_before=before, canary=beside, seconds=seconds))
        during = f", with the canary {beside}" if beside else ""
        self._say(
            "killed", f"{hour:%d %B}  kill -9 of {what}{during}; the next hour was answered {seconds:.1f} s later"
        )

    def _settle(self) -> None:
        """Some days without departures, until the last of them has been judged."""
        end = self.plan.until
        for number in (1, 2):
            self._approve_what_waits()
            self._tell(self._work(end + number * DAY))


def _to_replay(schedule: "pl.DataFrame", plan: Plan) -> "pl.DataFrame":
    """The flights of the plan's days, and those that were in the air when they began."""
    import polars as pl

    departs, lands = pl.col(flights.DEPARTS), pl.col(flights.LANDS)
    return schedule.filter((departs >= plan.since) | (lands > plan.since), departs < plan.until)
