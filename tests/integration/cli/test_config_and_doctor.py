"""`tidegate config` says where each value came from; `tidegate doctor` finds what is wrong with a home."""

import json
import sqlite3
from pathlib import Path
from typing import Any

import pytest

from tests.integration.cli.conftest import Run

ROW = '{"distance": 1200, "wind": 20, "weekend": true}'


def settings_of(run: Run, *words: str | Path) -> dict[str, dict[str, Any]]:
    said = run("config", "--json", *words)
    assert said.code == 0, said.err
    found: dict[str, dict[str, Any]] = json.loads(said.out)
    return found


def test_each_value_has_its_origin(run: Run, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "tidegate.toml").write_text("port = 9001\nsegment_seconds = 30\n")
    monkeypatch.setenv("TIDEGATE_SEGMENT_SECONDS", "15")
    monkeypatch.setenv("TIDEGATE_TOKEN", "tg_secret")
    monkeypatch.setenv("TIDEGATE_CATALOG", "postgresql://user:password@host/database")
    found = settings_of(run, "--home", tmp_path / "home")
    assert found["home"] == {"value": str(tmp_path / "home"), "origin": "argument"}
    assert found["workers"] == {"value": 1, "origin": "default"}
    assert found["segment_seconds"] == {"value": 15, "origin": "environment TIDEGATE_SEGMENT_SECONDS"}
    assert found["port"]["value"] == 9001
    assert "tidegate.toml" in found["port"]["origin"]
    text = run("config", "--home", tmp_path / "home").out
    assert "environment TIDEGATE_SEGMENT_SECONDS" in text
    for told in (text, json.dumps(found)):
        assert "tg_secret" not in told
        assert "password" not in told


def test_a_setting_that_does_not_exist_is_named(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TIDEGATE_PROT", "8000")
    said = run("config")
    assert (said.code, said.err.count("\n")) == (1, 1)
    assert "did you mean 'port'" in said.err


def findings_of(run: Run, home: Path, code: int) -> dict[str, dict[str, str]]:
    said = run("doctor", "--home", home, "--json")
    assert said.code == code, said.out
    return {each["check"]: each for each in json.loads(said.out)}


def test_a_sound_home_has_no_fault(run: Run, home: Path) -> None:
    found = findings_of(run, home, 0)
    assert {"python", "home", "disk", "catalog", "audit chain", "journal chain"} <= set(found)
    assert found["audit chain"]["state"] == "ok"
    text = run("doctor", "--home", home)
    assert text.code == 0
    assert "audit chain" in text.out


def test_a_changed_audit_row_is_a_fault(run: Run, home: Path) -> None:
    with sqlite3.connect(home / "catalog.db") as catalog:
        catalog.execute("UPDATE audit SET actor = 'somebody' WHERE position = 3")
    found = findings_of(run, home, 1)
    assert found["audit chain"]["state"] == "fault"
    assert "row 3" in found["audit chain"]["what"]
    assert found["catalog"]["state"] == "ok"
    assert run("doctor", "--home", home).code == 1


def test_a_home_that_is_not_there_is_a_note_and_is_not_made(run: Run, tmp_path: Path) -> None:
    found = findings_of(run, tmp_path / "nowhere", 0)
    assert found["home"]["state"] == "note"
    assert not (tmp_path / "nowhere").exists()
    (tmp_path / "file").touch()
    assert "is no folder" in findings_of(run, tmp_path / "file", 1)["home"]["what"]


def objects_of(home: Path) -> list[Path]:
    return sorted((home / "objects").glob("[0-9a-f][0-9a-f]/*"))


@pytest.mark.parametrize("emptied", [False, True], ids=["gone", "emptied"])
def test_a_lost_catalog_is_a_fault_and_no_new_one_takes_its_place(run: Run, home: Path, emptied: bool) -> None:
    for path in home.glob("catalog.db*"):
        path.unlink()
    if emptied:
        (home / "catalog.db").touch()
    for command in ("status", "serve"):
        said = run(command, "--home", home)
        assert (said.code, said.err.count("\n")) == (1, 1)
        assert "restore" in said.err
    assert findings_of(run, home, 1)["home"]["state"] == "fault"
    assert [path.name for path in home.glob("catalog.db*") if path.stat().st_size] == []


def test_objects_that_are_gone_or_damaged_are_a_fault(run: Run, home: Path) -> None:
    assert run("predict", "late-arrival", "--row", ROW, "--home", home).code == 0
    assert run("tick", "--home", home).code == 0
    found = findings_of(run, home, 0)
    assert found["live versions"]["what"].startswith("1, ")
    for path in objects_of(home):
        path.chmod(0o600)
        path.write_bytes(b"something else")
    found = findings_of(run, home, 1)
    assert found["live versions"]["state"] == "fault"
    assert "is damaged" in found["live versions"]["what"]
    for path in objects_of(home):
        path.unlink()
    assert "there is no object" in findings_of(run, home, 1)["live versions"]["what"]


def test_a_catalog_that_is_no_database_is_a_fault(run: Run, home: Path) -> None:
    for name in ("catalog.db-wal", "catalog.db-shm"):
        (home / name).unlink(missing_ok=True)
    (home / "catalog.db").write_bytes(b"this is no database at all" * 400)
    assert findings_of(run, home, 1)["home"]["state"] == "fault"
    said = run("models", "list", "--home", home)
    assert (said.code, said.err.count("\n")) == (1, 1)


def test_a_server_that_does_not_answer_is_a_fault(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TIDEGATE_URL", "http://127.0.0.1:9")
    said = run("doctor")
    assert said.code == 1
    assert "is not ready" in said.out
