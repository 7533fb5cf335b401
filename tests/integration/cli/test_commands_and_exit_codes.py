"""What commands answer, as text and as JSON, and with which exit code they end."""

import json
from pathlib import Path
from typing import Any

import pytest

from tests.integration.cli.conftest import Run
from tests.slices import ENDPOINT

ROW = '{"distance": 1200, "wind": 20, "weekend": true}'
UNKNOWN = "01a1fc135fa87000800000010d7c74e4"
"""A well-formed id of a prediction that was never made."""

READS = [
    ("status",),
    ("config",),
    ("doctor",),
    ("data", "list"),
    ("data", "get", "flights", "1"),
    ("runs", "list"),
    ("models", "get", "late-arrival", "1"),
    ("models", "versions", "late-arrival"),
    ("models", "attestations", "late-arrival", "1"),
    ("gates", "list"),
    ("endpoints", "list"),
    ("endpoints", "get", ENDPOINT),
    ("monitors", "latest", ENDPOINT),
    ("people", "list"),
    ("approvals", "standing", "late-arrival/1"),
    ("audit", "list"),
    ("predictions", "count"),
]


@pytest.fixture
def read_home(deployed_home: Path) -> Path:
    """The home that all tests share, for commands that only read."""
    return deployed_home


@pytest.mark.parametrize("words", READS, ids=" ".join)
def test_an_answer_reads_as_text_and_as_json(run: Run, home: Path, words: tuple[str, ...]) -> None:
    text = run(*words, "--home", home)
    assert (text.code, text.err) == (0, "")
    assert text.out.strip()
    assert "{" not in text.out, "a person reads no JSON"
    assert "Struct" not in text.out
    as_json = run(*words, "--home", home, "--json")
    assert (as_json.code, as_json.err) == (0, "")
    json.loads(as_json.out)
    assert as_json.out.count("\n") == 1


@pytest.mark.parametrize(
    ("words", "code", "kind"),
    [
        (("models", "get", "nobody", "1"), 5, "not_found"),
        (("why", UNKNOWN), 5, "not_found"),
        (("predict", "nowhere", "--row", ROW), 5, "not_found"),
        (("why", "nonsense"), 1, "invalid"),
        (("predict", ENDPOINT, "--row", '{"distance": "far", "wind": 1, "weekend": true}'), 1, "invalid"),
        (("predict", ENDPOINT, "--file", "/nowhere/rows.json"), 5, "not_found"),
        (("data", "commit", "other", "/nowhere/rows.csv"), 5, "not_found"),
        (("data", "export", "flights", "rows.xlsx"), 1, "invalid"),
        (("people", "add", "reviewer", "--role", "viewer"), 1, "already_exists"),
        (("approvals", "approve", "late-arrival/1", "--reason", "my own"), 3, "refused"),
        (("nothing",), 2, "invalid"),
        (("models", "nothing"), 2, "invalid"),
        (("models", "get", "late-arrival"), 2, "invalid"),
        (("models", "get", "late-arrival", "one"), 2, "invalid"),
        (("models", "promote", "late-arrival", "1", "--to", "moon"), 2, "invalid"),
        (("status", "--nothing"), 2, "invalid"),
        (("predict", ENDPOINT), 2, "invalid"),
        (("tick", "--until", "yesterday"), 2, "invalid"),
        (("tick", "--until", "2013-01-01T00:00:00Z"), 1, "invalid"),
        (("endpoints", "deploy", "new", "late-arrival/1", "--strategy", "{"), 2, "invalid"),
        (("retrain", ENDPOINT), 2, "invalid"),
        (("retrain", ENDPOINT, "--reason", "new data"), 5, "not_found"),
        (("retrain", "../x", "--reason", "new data"), 1, "invalid"),
    ],
    ids=lambda value: " ".join(value)[:60] if isinstance(value, tuple) else None,
)
def test_an_error_is_one_line_and_has_its_exit_code(
    run: Run, home: Path, words: tuple[str, ...], code: int, kind: str
) -> None:
    said = run(*words, "--home", home)
    assert (said.code, said.out) == (code, "")
    assert said.err.startswith("error: ")
    assert said.err.count("\n") == 1, said.err
    assert "Traceback" not in said.err
    as_json = run(*words, "--home", home, "--json")
    assert (as_json.code, as_json.out) == (code, "")
    told = json.loads(as_json.err)
    assert set(told) == {"code", "message", "details"}
    assert told["code"] == kind
    assert told["message"] in said.err


def test_who_may_not_is_told_which_role_it_takes(run: Run, home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert run("people", "add", "guest", "--role", "viewer", "--home", home).code == 0
    monkeypatch.setenv("TIDEGATE_ACTOR", "guest")
    refused = run("people", "add", "friend", "--role", "viewer", "--home", home)
    assert refused.code == 4
    assert "it needs the role" in refused.err
    assert run("models", "list", "--home", home).code == 0


def test_a_mistyped_name_is_answered_with_the_near_one(run: Run) -> None:
    assert "Did you mean 'predict'?" in run("predct").err
    assert "Did you mean 'promote'?" in run("models", "promot").err


def test_what_is_logged_is_a_line_and_keeps_its_traceback(
    run: Run, home: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    for path in (home / "objects").glob("[0-9a-f][0-9a-f]/*"):
        path.unlink()
    said = run("predict", ENDPOINT, "--row", ROW, "--home", home)
    warning, error = said.err.splitlines()
    assert said.code == 1
    assert warning.startswith(f"warning: endpoint {ENDPOINT}: ")
    assert "there is no object" in error
    [kept] = tmp_path.glob("tidegate-fault-*.txt")
    assert str(kept) in warning
    assert "Traceback" in kept.read_text()


def test_a_fault_of_ours_is_one_line_and_keeps_its_traceback(
    run: Run, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    monkeypatch.setattr("tidegate.cli.top.resolve", lambda _given: 1 / 0)
    said = run("config")
    assert (said.code, said.err.count("\n")) == (1, 1)
    assert "a fault of ours (ZeroDivisionError" in said.err
    assert "Traceback" in next(tmp_path.glob("tidegate-fault-*.txt")).read_text()


def test_rows_come_from_options_files_and_standard_input(run: Run, home: Path, tmp_path: Path) -> None:
    def ids(*words: str | Path, text: str = "") -> list[str]:
        said = run("predict", ENDPOINT, *words, "--home", home, "--json", text=text)
        assert said.code == 0, said.err
        return [each["id"] for each in json.loads(said.out)["predictions"]]

    (tmp_path / "rows.json").write_text(f"[{ROW}, {ROW}]")
    assert len(ids("--row", ROW, "--row", ROW)) == 2
    assert len(ids("--file", tmp_path / "rows.json", "--row", ROW)) == 3
    asked = ids("--file", "-", text=f"[{ROW}]")
    shown = run("predict", ENDPOINT, "--row", ROW, "--home", home)
    assert "PROBABILITIES" in shown.out
    _check_why(run, home, asked[0])
    broken = run("predict", ENDPOINT, "--file", "-", "--home", home, text="[{")
    assert (broken.code, broken.err.count("\n")) == (1, 1)


def _check_why(run: Run, home: Path, prediction_id: str) -> None:
    told = run("why", prediction_id, "--home", home)
    assert told.code == 0
    for word in (prediction_id, "late-arrival/1", "flights/1", "reviewer", "gate:quality: pass"):
        assert word in told.out
    walked: dict[str, Any] = json.loads(run("why", prediction_id, "--home", home, "--json").out)
    assert walked["model"]["model"] == "late-arrival/1"
    assert walked["prediction"]["inputs"]["distance"] == 1200


def test_the_status_says_what_is_live_and_what_nobody_knows_yet(run: Run, home: Path) -> None:
    before = run("status", "--home", home).out
    assert "not known yet: no prediction has been counted" in before
    run("predict", ENDPOINT, "--row", ROW, "--home", home)
    assert run("tick", "--home", home).code == 0
    after = run("status", "--home", home).out
    assert "not known yet: too few labels have arrived" in after
    assert "late-arrival/1" in after
    assert " ms" in after


@pytest.mark.parametrize("command", [("why", "0" * 32), ("predict", "e", "--row", "{}"), ("data", "list")])
def test_a_command_that_reads_makes_no_home(run: Run, tmp_path: Path, command: tuple[str, ...]) -> None:
    said = run(*command, "--home", tmp_path / "mistyped")
    assert said.code == 5
    assert f"there is no home at {tmp_path / 'mistyped'}" in said.err
    assert list(tmp_path.iterdir()) == []


def test_the_status_of_an_empty_home_says_how_to_begin(run: Run, tmp_path: Path) -> None:
    said = run("status", "--home", tmp_path / "empty")
    assert said.code == 0
    assert "tidegate endpoints deploy" in said.out


def test_an_endpoint_is_deployed_and_approved_by_reference(run: Run, home: Path) -> None:
    deployed = run("endpoints", "deploy", "second", "late-arrival/1", "--home", home, "--json")
    assert deployed.code == 0, deployed.err
    assert json.loads(deployed.out)["endpoint"] == "second"


def test_a_model_is_trained_anew_because_somebody_says_so(run: Run, home: Path) -> None:
    steps = '["tests.contract.loop.training_steps:train"]'
    assert run("pipelines", "register", "nightly", "--steps", steps, "--home", home).code == 0
    policy = run("retraining", "set-policy", ENDPOINT, "--policy", '{"pipeline": "nightly"}', "--home", home)
    assert policy.code == 0, policy.err
    asked = run("retrain", ENDPOINT, "--reason", "the airport has moved", "--home", home)
    assert (asked.code, asked.err) == (0, "")
    assert "local asked for it: the airport has moved" in asked.out
    again = run("retrain", ENDPOINT, "--reason", "and again", "--home", home)
    assert again.code == 3
    assert "is under way" in again.err
    assert run("tick", "--home", home).code == 0
    told = json.loads(run("retraining", "decisions", ENDPOINT, "--home", home, "--json").out)
    (made,) = told["items"]
    ended = json.loads(run("pipelines", "get-run", made["run"], "--home", home, "--json").out)
    assert (ended["state"], ended["params"]["reason"]) == ("done", made["summary"])


def test_files_go_in_and_out(run: Run, home: Path, tmp_path: Path) -> None:
    out = tmp_path / "flights.csv"
    assert "900 rows written" in run("data", "export", "flights/1", out, "--home", home).out
    told = json.loads(run("data", "commit", "flights", out, "--note", "again", "--home", home, "--json").out)
    assert told["rows"] == 900
    header, first, *rest = out.read_text().splitlines()
    out.write_text("\n".join([header, "far" + first[first.index(",") :], *rest]))
    refused = run("data", "commit", "flights", out, "--home", home)
    assert refused.code == 1
    assert refused.err.startswith("error: ")
    assert "distance" in refused.err
    said = run("data", "export", "flights/1", tmp_path / "nowhere" / "x.csv", "--home", home)
    assert said.code == 1
    assert "cannot be written: No such file" in said.err


def test_a_long_list_says_how_to_go_on(run: Run, home: Path) -> None:
    said = run("audit", "list", "--limit", "2", "--home", home)
    cursor = said.err.removeprefix("there is more: --cursor ").strip()
    assert cursor
    assert run("audit", "list", "--limit", "2", "--cursor", cursor, "--home", home).out != said.out
