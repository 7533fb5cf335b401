"""What crosses rooms, on every kind of home: the slice from data to `why`, the status, the tick."""

import contextlib
from datetime import timedelta
from pathlib import Path

import pytest

import tidegate as tg
from tests.contract.storage.s3_process import new_bucket, s3_options, s3_server
from tests.slices import AT, ENDPOINT, deployed, logged, seeded_frame
from tidegate.endpoints.records import OutcomeIn
from tidegate.kernel.clock import EARLIEST, LATEST, SystemClock
from tidegate.kernel.errors import Conflict, Invalid, NotFound, Refused
from tidegate.kernel.ids import IdFactory
from tidegate.loop.why import tell
from tidegate.monitors.rules import LONGEST
from tidegate.storage.journal import verify
from tidegate.testing.workspaces import Home
from tidegate.workspace import LocalWorkspace


def test_a_prediction_is_walked_back_to_its_data(home: Home) -> None:
    made = deployed(home)
    space = home.workspace
    records = made.held_out.records()[:20]
    answered = space.endpoints.predict(ENDPOINT, records, at=[AT] * 20).predictions
    outcomes = [
        OutcomeIn(prediction_id=each.id, value=bool(label), observed_at=AT + timedelta(hours=3))
        for each, label in zip(answered, made.held_out.y, strict=False)
    ]
    assert space.endpoints.labels(ENDPOINT, outcomes).accepted == 20
    space.loop.tick()

    why = space.loop.why(answered[3].id)
    assert why.prediction.inputs == records[3]
    assert why.prediction.value == answered[3].value
    assert why.prediction.labels == (bool(made.held_out.y[3]),)
    assert why.prediction.at == AT
    assert why.deployment.endpoint == ENDPOINT
    assert why.model.digest == made.version.digest
    assert why.run is not None
    assert why.run.id == made.run_id
    assert why.run.params == {"C": 1.0}
    dataset = space.data.get("flights", 1)
    assert {(step.dataset, step.digest) for step in why.datasets} == {("flights/1", dataset.digest)}
    assert {"training", "input"} <= {step.role for step in why.datasets}
    assert [(gate.kind, gate.verdict) for gate in why.gates] == [("gate:quality", "pass")]
    assert [(approval.by, approval.summary) for approval in why.approvals] == [("reviewer", "looked at the gate")]

    told = tell(why)
    for word in (answered[3].id, "late-arrival/1", made.run_id, "flights/1", "reviewer", "gate:quality: pass"):
        assert word in told

    status = space.loop.status().endpoints[0]
    assert (status.endpoint, status.model, status.predictions, status.labels) == (ENDPOINT, "late-arrival/1", 20, 20)
    assert status.quality is not None
    assert status.quality.metric == "AUC"
    assert status.latency_p50_ms is not None


def test_the_slice_on_a_bucket(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with s3_server() as endpoint:
        for name, value in s3_options(endpoint).items():
            monkeypatch.setenv(f"AWS_{name.upper()}", value)
        with contextlib.closing(Home(tmp_path / "home", "local", objects=new_bucket(endpoint))) as home:
            made = deployed(home)
            asked = made.held_out.records()[:3]
            answered = home.workspace.endpoints.predict(ENDPOINT, asked).predictions
        with tg.open(tmp_path / "home", objects=home.settings.objects) as space:
            assert isinstance(space, LocalWorkspace)
            space.loop.tick()
            assert verify(space.storage.journal_index, space.storage.objects).links > 0, "the journal was sealed"
            why = space.loop.why(answered[1].id)
            assert (why.prediction.inputs, why.model.digest) == (asked[1], made.version.digest)
            assert space.data.frame("flights/1").height == len(seeded_frame())
    assert not (tmp_path / "home" / "objects").exists()


def test_the_ends_of_time_are_ticked_like_any_other(tmp_path: Path) -> None:
    """One row of a time from which no window can be reckoned would stop the controllers for good."""
    with contextlib.closing(Home(tmp_path / "home", "local", simulated_clock=True)) as home:
        row = deployed(home).held_out.records()[0]
        space = home.workspace
        space.loop.tick(until=AT)
        space.monitors.set_window(ENDPOINT, seconds=LONGEST)
        with pytest.raises(Invalid, match=r"at\[0\].*no business time"):
            space.endpoints.predict(ENDPOINT, [row], at=[EARLIEST - timedelta(microseconds=1)])
        space.endpoints.predict(ENDPOINT, [row], at=[EARLIEST])
        space.loop.tick()
        with pytest.raises(Invalid, match="no business time"):
            space.loop.tick(until=LATEST + timedelta(microseconds=1))
        space.loop.tick(until=LATEST)
        space.endpoints.predict(ENDPOINT, [row])
        space.loop.tick()
        windows = space.monitors.windows(ENDPOINT).items
        assert [window.predictions for window in windows] == [1, 1]
        assert space.loop.status().endpoints[0].predictions == 2


def test_the_rules_hold_on_the_way(home: Home) -> None:
    made = logged(home)
    space = home.workspace
    with pytest.raises(Refused, match="approval"):
        space.models.promote("late-arrival", 1, to="production")
    with pytest.raises(Refused, match="author"):
        space.approvals.approve(made.version, reason="mine is good")
    with pytest.raises(Refused, match="production"):
        space.endpoints.deploy(ENDPOINT, made.version)
    assert space.loop.status().endpoints == ()


def test_what_was_never_predicted_has_no_why(home: Home) -> None:
    with pytest.raises(NotFound):
        home.workspace.loop.why(IdFactory(SystemClock(), 9).new())
    with pytest.raises(Invalid, match="32 hex digits"):
        home.workspace.loop.why("nonsense")


def test_only_a_simulated_home_can_be_told_the_time(home: Home) -> None:
    with pytest.raises(Invalid, match="simulated"):
        home.workspace.loop.tick(until=AT)
    assert home.workspace.loop.tick().steps >= 0


def test_whoever_makes_a_home_decides_whether_its_time_is_simulated(tmp_path: Path) -> None:
    with tg.open(tmp_path / "home", simulated_clock=True) as space:
        assert space.loop.tick(until=AT).now == AT
    with tg.open(tmp_path / "home") as space:
        assert space.loop.status().now == AT
    with pytest.raises(Conflict, match="simulated clock"):
        tg.open(tmp_path / "home", simulated_clock=False)
    with pytest.raises(Invalid, match="the clock belongs to the home"):
        tg.open("http://127.0.0.1:9", simulated_clock=True)
