"""`tidegate demo` does what it says: everything for real, nothing lost, and the server that it started is stopped."""

import json
import os
import signal
import subprocess
import sys
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import pytest

import tidegate as tg
from tests.integration.tidegate_process import RUN, children, is_alive, tidegate, until

pytestmark = [pytest.mark.slow, pytest.mark.timeout(400), pytest.mark.xdist_group("demo")]


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
        [sys.executable, "-c", RUN, "demo", "--json", "--keep", "--home", str(home)],
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    report = json.loads(done.stdout)
    assert done.stdout.count("\n") == 1
    try:
        with urllib.request.urlopen(report["url"], timeout=30) as answer:
            page = answer.read().decode()
        yield Ran(home, report, page)
    finally:
        under = children(report["pid"])
        os.kill(report["pid"], signal.SIGTERM)
        until(lambda: not any(is_alive(pid) for pid in (report["pid"], *under.values())), "the server ended")


def test_the_demo_says_that_everything_held(ran: Ran) -> None:
    report = ran.report
    assert report["held"]
    assert {name: report["rows"][name] for name in ("trained", "held_out", "served")} == {
        "trained": 5000,
        "held_out": 2000,
        "served": 1000,
    }
    assert (report["acknowledged"], report["lost"], report["doubled"]) == (1000, 0, 0)
    assert report["retried"] > 0
    assert [restart["killed"] for restart in report["restarts"]] == ["the serving process", "the whole server"]
    assert report["restart_seconds"] == max(restart["seconds"] for restart in report["restarts"])


def test_the_model_is_verified_onnx_and_passed_its_gate(ran: Ran) -> None:
    model, gate = ran.report["model"], ran.report["gate"]
    assert model["runtime"] == "onnx"
    area = model["auc_held_out"]
    assert 0.5 < area["low"] < area["estimate"] < area["high"]
    assert gate["verdict"] == "pass"
    assert gate["margin"] < gate["interval"][0] < gate["estimate"] < gate["interval"][1]
    assert gate["n"] == area["n"] == 2000


def test_what_must_be_refused_was(ran: Ran) -> None:
    refusals = ran.report["refusals"]
    assert "17, 18, 19" in refusals["damaged_copy"]
    assert "row 41" in refusals["damaged_copy"]
    assert "gate:quality was not run" in refusals["early_promotion"]
    assert "can never approve" in refusals["author_approval"]


def test_the_home_holds_what_the_demo_told(ran: Ran) -> None:
    with tg.open(ran.home) as ws:
        log = ws.predictions.scan("late-arrival").collect()
        assert log.height == log["id"].n_unique() == 1000 + ran.report["unacknowledged"]
        assert log.height - log["label"].null_count() == ran.report["labels"]
        assert ws.models.resolve("late-arrival@champion").digest == ran.report["model"]["digest"]
        assert [each.by for each in ws.approvals.standing("late-arrival/1")] == [ran.report["approver"]]
        windows = ws.monitors.windows("late-arrival").items
        assert sum(window.labels for window in windows) == ran.report["labels"]
        assert ws.audit.verify().intact


def test_quality_has_intervals(ran: Ran) -> None:
    windows = ran.report["quality"]
    assert len(windows) >= 2
    area = windows[0]["auc"]
    assert area["low"] < area["estimate"] < area["high"]


def test_why_leads_to_data_run_gate_and_approver(ran: Ran) -> None:
    why = ran.report["why"]
    assert why["model"]["digest"] == ran.report["model"]["digest"]
    assert {each["dataset"] for each in why["datasets"]} == {"flights/1", "weather/1", "late-arrival-inputs/1"}
    assert [each["by"] for each in why["approvals"]] == ["reviewer"]
    assert why["run"]["params"]["max_iter"] == 40
    asked = tidegate("why", why["prediction"]["id"], "--json", "--home", ran.home)
    assert asked.code == 0, asked.err
    assert json.loads(asked.out) == why


def test_kept_the_server_shows_its_status_page(ran: Ran) -> None:
    assert "late-arrival/1" in ran.page


def test_a_home_that_exists_is_left_alone(ran: Ran) -> None:
    again = tidegate("demo", "--home", ran.home)
    assert again.code == 1
    assert "a new folder" in again.err


def test_ctrl_c_stops_the_server_that_the_demo_started(tmp_path: Path) -> None:
    home = tmp_path / "home"
    with subprocess.Popen(
        [sys.executable, "-c", RUN, "demo", "--home", str(home)],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
    ) as demo:
        assert demo.stdout is not None
        said = ""
        for line in demo.stdout:
            said += line
            if "answers" in line:
                break
        supervisors = children(demo.pid)
        servers = {**supervisors, **{name: pid for one in supervisors.values() for name, pid in children(one).items()}}
        assert len(servers) == 3, said
        demo.send_signal(signal.SIGINT)
        said += demo.stdout.read()
    assert demo.returncode == 130, said
    assert "\x1b" not in said
    until(lambda: not any(is_alive(pid) for pid in servers.values()), "the server ended")
