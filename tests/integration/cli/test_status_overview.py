"""What `tidegate status` tells of incidents, canaries, episodes and retrainings: in text, and as JSON."""

import json
from pathlib import Path

import pytest

from tests.contract.incidents.told import BROKEN, tell
from tests.integration.cli.conftest import Run
from tests.integration.http.served_home import log_version
from tests.told_status import BUSY, NOW, canary, decision, endpoint, episode, incident, outcome
from tidegate.cli.overview import print_status
from tidegate.endpoints.records import Strategy
from tidegate.kernel.settings import Settings
from tidegate.loop.records import Status
from tidegate.workspace import open_local


def said(status: Status, capsys: pytest.CaptureFixture[str]) -> list[str]:
    capsys.readouterr()
    print_status(status, "/srv/home")
    return capsys.readouterr().out.splitlines()


def test_an_endpoint_with_everything_in_short_lines(capsys: pytest.CaptureFixture[str]) -> None:
    apart = incident("nightly: the pipeline failed at fit", "mend the step", endpoint=None, severity="warning")
    lines = said(Status(now=NOW, simulated_clock=True, endpoints=(BUSY,), incidents=(apart,)), capsys)
    first = f"incident {apart.id}  {apart.title}  (warning, since 2013-05-30 00:00, not acknowledged)"
    assert lines[2:4] == [first, "  to do: mend the step"]
    at = next(place for place, line in enumerate(lines) if line.startswith("▲ delay"))
    assert lines[at].startswith("▲ delay  AUC 0.82 ")
    told = [line.strip() for line in lines[at + 1 :]]
    assert told[0].endswith("delay: wind_speed_mph is broken  (critical, since 2013-05-30 00:00, not acknowledged)")
    assert told[1] == "to do: mend the source; 'tidegate monitors diagnosis delay' shows the evidence"
    assert "acknowledged by ada" in told[2]
    assert told[-6:] == [
        "and 1 more incidents: 'tidegate incidents list' shows them",
        "canary delay/4 answers 25 %, 1,204 rows, 860 labels: at 25 % it waits for 1,120 more rows",
        "last rollout: delay/2 rolled back on 12 May 2013, after 12,345 rows and 3 days: "
        "harm is shown: answers fail more often",
        "in the shadow: delay/1, delay/3",
        "changed: wind_speed_mph since 29 May 2013 (incident), column_0 since 29 May 2013, "
        "column_1 since 29 May 2013, column_2 since 29 May 2013, column_3 since 29 May 2013, "
        "column_4 since 29 May 2013 and 5 more",
        "retraining: held back on 31 May 2013: wind_speed_mph is broken: mend its source first, "
        "a model must not learn it",
    ]


def test_nothing_steers_the_terminal(capsys: pytest.CaptureFixture[str]) -> None:
    hostile = "\x1b[2J\r\n\u202eowned\x07"
    one = endpoint(
        "delay",
        "attention",
        incidents=(incident(hostile, hostile, state="acknowledged", acknowledged_by=hostile),),
        canary=canary(waits_for=hostile),
        last_rollout=outcome("cancelled", hostile),
        episodes=(episode(hostile),),
        retraining=decision(hostile, fired=True),
    )
    text = "\n".join(said(Status(now=NOW, simulated_clock=False, endpoints=(one,)), capsys))
    assert text.count("owned") == 7
    assert not set(hostile.replace("\n", "")) & set(text) - set("[2Jowned")


def test_a_home_with_an_incident_and_a_canary(run: Run, tmp_path: Path) -> None:
    home = tmp_path / "home"
    with open_local(Settings(home=str(home))) as workspace:
        workspace.endpoints.deploy("late", log_version(workspace, "late"))
        second = log_version(workspace, "later")
        workspace.endpoints.deploy("late", second, strategy=Strategy(kind="canary", steps=(5, 100)))
        tell(workspace, "monitors.episode_opened", "late", **BROKEN)
        workspace.loop.tick()
    text = run("status", "--home", home).out
    assert "late: wind_speed_mph is broken" in text
    assert f"canary {second} answers 5 %, 0 rows, 0 labels: at 5 %" in text
    told = json.loads(run("status", "--home", home, "--json").out)["endpoints"][0]
    assert told["health"] == "attention"
    assert [(each["title"], each["state"]) for each in told["incidents"]] == [
        ("late: wind_speed_mph is broken", "open")
    ]
    assert (told["canary"]["version"], told["canary"]["share"], told["canary"]["steps"]) == (
        second,
        5,
        [5, 100],
    )
    assert (told["last_rollout"], told["episodes"], told["shadows"], told["retraining"]) == (None, [], [], None)
