"""`tidegate demo --fast` does what it says, step by step: everything for real, nothing lost, the bad model stopped."""

import json
import os
import signal
import subprocess
import sys
import urllib.request
from collections.abc import Iterator
from datetime import datetime, timedelta
from pathlib import Path
from statistics import median
from typing import Any, NamedTuple

import polars as pl
import pytest
from sklearn.metrics import roc_auc_score

import tidegate as tg
from tests.integration.tidegate_process import RUN, children, is_alive, tidegate, until
from tidegate.demo import flights
from tidegate.demo.plan import FAST
from tidegate.demo.telling import addresses
from tidegate.demo.training import ENDPOINT, MODEL, learnable

pytestmark = [pytest.mark.slow, pytest.mark.timeout(900), pytest.mark.xdist_group("demo")]


class Ran(NamedTuple):
    """The demo after it ran with ``--keep``."""

    home: Path
    report: dict[str, Any]
    page: str
    """The status page that its server showed afterwards."""


@pytest.fixture(scope="module")
def ran(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Ran]:
    """One run, and its server until the end of the module."""
    home = tmp_path_factory.mktemp("demo") / "home"
    done = subprocess.run(
        [sys.executable, "-c", RUN, "demo", "--fast", "--json", "--keep", "--home", str(home)],
        capture_output=True,
        text=True,
        timeout=800,
    )
    assert done.stdout.count("\n") == 1, done.stdout + done.stderr
    report = json.loads(done.stdout)
    try:
        assert done.returncode == 0, done.stdout + done.stderr
        with urllib.request.urlopen(report["url"], timeout=30) as answer:
            page = answer.read().decode()
        yield Ran(home, report, page)
    finally:
        under = children(report["pid"])
        os.kill(report["pid"], signal.SIGTERM)
        until(lambda: not any(is_alive(pid) for pid in (report["pid"], *under.values())), "the server ended")


def moment(text: str) -> datetime:
    return datetime.fromisoformat(text)


def test_step_1_a_damaged_copy_is_refused_with_its_rows_named(ran: Ran) -> None:
    told = ran.report["refusals"]["damaged_copy"]
    for words in ("rows 17, 18, 19", "(rows 23, 24)", "(row 41)", "the contract says sorted (row 2000)"):
        assert words in told
    with tg.open(ran.home) as ws:
        assert ws.data.get("flights", 1).rows < flights.read("flights").height


def test_step_2_the_leak_promises_what_it_does_not_keep(ran: Ran) -> None:
    leak = ran.report["leak"]
    assert leak["rows"] > 30_000
    assert leak["rows_changed"] > 0.9
    assert leak["promised"] == pytest.approx(0.80, abs=0.02)
    assert leak["served"] == pytest.approx(0.71, abs=0.02)
    assert leak["correct"] == pytest.approx(0.74, abs=0.02)
    assert leak["served"] + 0.02 < leak["correct"] < leak["promised"] - 0.04


def test_step_3_a_version_reaches_production_by_its_gate_and_a_second_person(ran: Ran) -> None:
    first = ran.report["models"][0]
    assert first["version"] == f"{MODEL}/1"
    assert first["runtime"] == "onnx"
    assert first["verdicts"] == ["gate:quality: pass"]
    assert first["approver"] == "reviewer"
    assert [stage for stage, _ in first["stages"]] == ["development", "production"]
    assert "gate:quality was not run" in ran.report["refusals"]["early_promotion"]
    assert "can never approve" in ran.report["refusals"]["author_approval"]


def test_step_4_every_flight_was_asked_about_once_an_hour_and_every_label_is_joined(ran: Ran) -> None:
    due = flights.read("flights").filter(pl.col(flights.DEPARTS).is_between(FAST.since, FAST.until, closed="left"))
    hours = due[flights.DEPARTS].dt.truncate("1h").n_unique()
    report = ran.report
    assert (report["rows"], report["acknowledged"]) == (due.height, due.height)
    assert (report["requests"], report["lost"], report["doubled"]) == (hours, 0, 0)
    landed = due.filter(pl.col(flights.LANDS) <= FAST.until).drop_nulls(flights.DELAY)
    assert report["labels_joined"] == landed.height


def test_step_4_what_was_served_equals_the_batch_join(ran: Ran) -> None:
    """Of a day: the features in the log, looked up online, are those of the training set, bit for bit."""
    day, next_day = datetime.fromisoformat("2013-04-25T00:00:00Z"), datetime.fromisoformat("2013-04-26T00:00:00Z")
    with tg.open(ran.home) as ws:
        log = ws.predictions.scan(ENDPOINT, since=day, until=next_day).collect()
        rows = ws.features.training_set(
            "late_arrival_inputs", labels="flights", at=flights.DEPARTS, label=flights.DELAY, since=day, until=next_day
        )
    names = [column.name for column in rows.columns]
    expected = rows.frame.select(names)
    asked = [{name: json.loads(text)[name] for name in names} for text in log["inputs"]]
    served = pl.DataFrame(asked, schema=expected.schema)
    order = ["carrier", "origin", "distance_miles", "scheduled_hour", "year_built", "seats"]
    assert served.height == expected.height > 900
    assert served.sort(order, nulls_last=True).equals(expected.sort(order, nulls_last=True), null_equal=True)


def test_step_5_there_are_windows_of_the_whole_and_of_segments(ran: Ran) -> None:
    with tg.open(ran.home) as ws:
        windows = ws.monitors.windows(ENDPOINT, limit=1000).items
        # All of a day's rows may be the canary's.
        days = {window.start for window in windows if window.variant in ("stable", "canary")}
        assert len(days) == FAST.days
        segments = ws.monitors.segments(ENDPOINT, limit=1).items[0].segments
        assert {segment.column for segment in segments} == {"carrier", "origin"}
    features = [each for each in ran.report["episodes"] if each["kind"] == "feature"]
    assert any(each["severity"] == "information" for each in features)


def test_step_6_retraining_came_by_the_calendar_and_went_out_as_a_canary(ran: Ran) -> None:
    fired = [each for each in ran.report["retrainings"] if each["fired"]]
    assert fired
    assert {each["reason"] for each in fired} <= {"due", "confirmed"}
    first = ran.report["rollouts"][0]
    assert first["version"] == f"{MODEL}/2"
    assert first["outcome"] in ("promoted", "inconclusive")
    assert [step["share"] for step in first["steps"]] == [5, 25, 50, 100][: len(first["steps"])]
    assert all(each["margin"] > 0 for each in ran.report["rollouts"])
    held_back = [each for each in ran.report["retrainings"] if not each["fired"]]
    assert "performance_holds" in {each["reason"] for each in held_back}


def test_step_6_what_retraining_was_worth_is_measured_on_the_same_rows(ran: Ran) -> None:
    months = ran.report["auc_by_month"]
    with tg.open(ran.home) as ws:
        may = datetime.fromisoformat("2013-05-01T00:00:00Z")
        april, _ = learnable(ws, may + timedelta(days=1), FAST.since).split(before=may)
        answers = ws.models.load(f"{MODEL}/1").predict(april).probabilities
    assert answers is not None
    # What the first model would have said all along is what it says of the batch join.
    assert months["static"]["2013-04"] == pytest.approx(roc_auc_score(april.y, answers[:, 1]), abs=1e-9)
    # All but a canary's part of the last four days of April was answered by it.
    assert months["retrained"]["2013-04"] == pytest.approx(months["static"]["2013-04"], abs=0.001)
    assert 0.7 < months["static"]["2013-05"] < 0.8
    # The canary takes over in the first days of May, and for eight days one of the features is told in another unit.
    assert 0.005 < months["retrained"]["2013-05"] - months["static"]["2013-05"] < 0.05


def test_step_7_the_leaky_candidate_is_stopped_by_evidence_after_its_gate_was_overridden(ran: Ran) -> None:
    leaky = next(each for each in ran.report["rollouts"] if moment(each["started_at"]) >= FAST.leaky)
    assert moment(leaky["started_at"]) >= moment(ran.report["rollouts"][0]["decided_at"])
    assert leaky["outcome"] == "rolled_back"
    assert leaky["alpha"] == ran.report["rollouts"][0]["alpha"]
    assert 0 < leaky["rows"] < 20_000
    version = next(each for each in ran.report["models"] if each["version"] == leaky["version"])
    assert "override:gate:quality: pass" in version["verdicts"]
    assert "gate:quality: fail" in version["verdicts"]
    assert "does not pass the gate" in ran.report["refusals"]["leaky_gate"]
    assert any("rolled back" in each["title"] for each in ran.report["incidents"])


def test_step_8_a_changed_unit_is_seen_named_held_back_and_over(ran: Ran) -> None:
    assert "visibility_miles" in ran.report["refusals"]["broken_feed"]
    broken = [each for each in ran.report["episodes"] if each["diagnosis"] == "broken_input"]
    assert [each["column"] for each in broken] == ["visibility_miles"]
    assert "1.609" in broken[0]["summary"]
    assert FAST.broken[0] <= moment(broken[0]["opened"]) < FAST.broken[1] <= moment(broken[0]["closed"])
    assert "broken_input" in {each["reason"] for each in ran.report["retrainings"]}
    fired = [moment(each["at"]) for each in ran.report["retrainings"] if each["fired"]]
    assert not any(moment(broken[0]["opened"]) < at < FAST.broken[1] for at in fired)
    incident = next(each for each in ran.report["incidents"] if "broken" in each["title"])
    assert (incident["state"], incident["automatic"]) == ("resolved", True)
    assert "tidegate monitors diagnosis" in incident["what_to_do"]


def test_step_9_two_kills_lost_nothing_and_the_canary_went_on(ran: Ran) -> None:
    killed = ran.report["restarts"]
    assert [each["killed"] for each in killed] == ["the serving process", "the whole server"]
    assert killed[1]["canary"].startswith(f"{MODEL}/2 at ")
    assert ran.report["retried"] > 0
    assert ran.report["held"]


def test_step_10_why_leads_to_data_run_gate_and_approver(ran: Ran) -> None:
    why = ran.report["why"]
    datasets = {each["dataset"].partition("/")[0] for each in why["datasets"]}
    assert datasets == {"flights", "landings", "weather", "planes"}
    assert [each["by"] for each in why["approvals"]] == ["reviewer"]
    asked = tidegate("why", why["prediction"]["id"], "--json", "--home", ran.home)
    assert asked.code == 0, asked.err
    assert json.loads(asked.out) == why


def test_step_10_the_three_addresses_answer_and_the_way_to_production_is_timed(ran: Ran) -> None:
    urls = [line.split()[0] for line in addresses(ran.report["url"]).splitlines()]
    assert len(urls) == 3
    for url in urls:
        with urllib.request.urlopen(url, timeout=30) as answer:
            assert answer.status == 200
            assert answer.read()
    promoted = [each for each in ran.report["rollouts"] if each["outcome"] == "promoted"]
    assert promoted
    assert ran.report["days_to_production"] == pytest.approx(median(each["days"] for each in promoted))


def test_the_home_holds_what_the_demo_told(ran: Ran) -> None:
    with tg.open(ran.home) as ws:
        log = ws.predictions.scan(ENDPOINT).collect()
        assert log.height == log["id"].n_unique() == ran.report["acknowledged"] + ran.report["unacknowledged"]
        assert log.height - log["label"].null_count() == ran.report["labels_joined"]
        assert ws.audit.verify().intact
        champion = ws.models.resolve(f"{MODEL}@champion").reference
    promoted = [each["version"] for each in ran.report["rollouts"] if each["outcome"] == "promoted"]
    assert champion == (promoted or [f"{MODEL}/1"])[-1]
    assert champion in ran.page


def test_a_home_that_exists_is_left_alone(ran: Ran) -> None:
    again = tidegate("demo", "--home", ran.home)
    assert again.code == 1
    assert "a new folder" in again.err


def test_what_cannot_be_a_home_is_refused_in_a_line(tmp_path: Path) -> None:
    file = tmp_path / "file"
    file.touch()
    for home, reason in ((file, "is no folder"), (file / "below", "cannot be made")):
        refused = tidegate("demo", "--home", home)
        assert refused.code == 1
        assert reason in refused.err
        assert len(refused.err.splitlines()) == 1, "nothing else: nothing was made"


def test_ctrl_c_stops_the_server_that_the_demo_started(tmp_path: Path) -> None:
    home = tmp_path / "home"
    with subprocess.Popen(
        [sys.executable, "-c", RUN, "demo", "--fast", "--home", str(home)],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
    ) as demo:
        assert demo.stdout is not None
        said = ""
        for line in demo.stdout:
            said += line
            if "hour by hour" in line:
                break
        supervisors = children(demo.pid)
        servers = {**supervisors, **{name: pid for one in supervisors.values() for name, pid in children(one).items()}}
        assert len(servers) >= 3, said
        demo.send_signal(signal.SIGINT)
        said += demo.stdout.read()
    assert demo.returncode == 130, said
    assert "\x1b" not in said
    until(lambda: not any(is_alive(pid) for pid in servers.values()), "the server ended")
