"""What the machine did while a run went on: under MLflow's names, beside the run, and never in its way."""

import logging
import os
import stat
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tidegate.kernel.errors import Invalid, Unavailable
from tidegate.runs.offline.journal import journals_of, read_journal
from tidegate.runs.records import Metric
from tidegate.runs.system import SystemSampler, read_gpus
from tidegate.workspace import Workspace

ALWAYS = {
    "system/cpu_utilization_percentage",
    "system/system_memory_usage_megabytes",
    "system/system_memory_usage_percentage",
    "system/disk_usage_percentage",
    "system/disk_usage_megabytes",
    "system/disk_available_megabytes",
    "system/network_receive_megabytes",
    "system/network_transmit_megabytes",
}
TWO_CARDS = "0, 20480, 81920, 37, 210.50, 350.00\n1, 0, 81920, 0, [N/A], [N/A]\n"


def wait_for(told: list[tuple[Metric, ...]], count: int) -> None:
    """Wait until so many samples were handed over."""
    for _ in range(2000):
        if len(told) >= count:
            return
        time.sleep(0.01)
    raise AssertionError(f"{len(told)} samples, not {count}")


def tool(folder: Path, script: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Put a program that is called nvidia-smi on the path."""
    path = folder / "nvidia-smi"
    path.write_text(f"#!/bin/sh\n{script}\n")
    path.chmod(path.stat().st_mode | stat.S_IXUSR)
    monkeypatch.setenv("PATH", f"{folder}{os.pathsep}{os.environ['PATH']}")


def test_a_run_is_told_of_the_machine(workspace: Workspace) -> None:
    with workspace.runs.start("busy", system_metrics=0.1) as run:
        for _ in range(1000):
            if len(workspace.runs.history(run.id, name="system/cpu_utilization_percentage").items) >= 2:
                break
            time.sleep(0.01)
    metrics = workspace.runs.get(run.id).metrics
    assert metrics.keys() >= ALWAYS
    assert 0 <= metrics["system/cpu_utilization_percentage"] <= 100
    assert 0 < metrics["system/system_memory_usage_percentage"] < 100
    assert metrics["system/disk_available_megabytes"] > 0
    steps = [one.step for one in workspace.runs.history(run.id, name="system/disk_usage_percentage").items]
    assert steps == list(range(len(steps)))
    told = len(workspace.runs.history(run.id, limit=1000).items)
    time.sleep(0.25)
    assert len(workspace.runs.history(run.id, limit=1000).items) == told


def test_an_offline_run_is_told_too(workspace: Workspace, tmp_path: Path) -> None:
    with workspace.runs.start("busy", system_metrics=0.1, offline=tmp_path) as run:
        for _ in range(2000):
            if len(list(read_journal(*journals_of(tmp_path))[1])) >= 2:
                break
            time.sleep(0.01)
    workspace.runs.upload(tmp_path)
    assert workspace.runs.get(run.id).metrics.keys() >= ALWAYS


def test_a_pause_that_is_none_is_refused_before_the_run_begins(workspace: Workspace) -> None:
    for wrong in (0.0, -1.0, 0.01, float("nan"), float("inf")):
        with pytest.raises(Invalid, match="seconds between two samples"):
            workspace.runs.start("busy", system_metrics=wrong)
    assert workspace.runs.list().items == []


def test_what_fails_is_logged_once_and_tried_again(caplog: pytest.LogCaptureFixture) -> None:
    told: list[tuple[Metric, ...]] = []

    def tell(metrics: tuple[Metric, ...]) -> None:
        told.append(metrics)
        if len(told) < 4:
            raise Unavailable("the server does not answer")

    sampler = SystemSampler(0.1)
    with caplog.at_level(logging.WARNING, "tidegate.runs"):
        sampler.begin(tell)
        wait_for(told, 5)
        sampler.stop()
    assert [record.message.count("does not answer") for record in caplog.records] == [1]
    assert [sample[0].step for sample in told[:5]] == [0, 1, 2, 3, 4]


def test_cards_are_read_as_nvidia_smi_tells_of_them() -> None:
    assert dict(read_gpus(TWO_CARDS)) == {
        "gpu_0_memory_usage_megabytes": pytest.approx(21474.83648),
        "gpu_0_memory_usage_percentage": 25.0,
        "gpu_0_utilization_percentage": 37.0,
        "gpu_0_power_usage_watts": 210.5,
        "gpu_0_power_usage_percentage": pytest.approx(60.142857),
        "gpu_1_memory_usage_megabytes": 0.0,
        "gpu_1_memory_usage_percentage": 0.0,
        "gpu_1_utilization_percentage": 0.0,
    }
    for nothing in ("", "No devices were found\n", "a, b, c, d, e, f\n", "0, 1\n", "0, [N/A], 0, [N/A], [N/A], 0\n"):
        assert list(read_gpus(nothing)) == []


@pytest.mark.parametrize(
    ("script", "cards"),
    [(f"printf '{TWO_CARDS}'", True), ("exit 9", False), ("kill -9 $$", False), ("printf '\\377\\376'", False)],
)
def test_a_card_that_does_not_answer_harms_no_sample(
    script: str, cards: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    tool(tmp_path, script.replace("\n", "\\n"), monkeypatch)
    told: list[tuple[Metric, ...]] = []
    sampler = SystemSampler(0.1)
    sampler.begin(told.append)
    wait_for(told, 2)
    sampler.stop()
    for sample in told[:2]:
        names = {metric.name for metric in sample}
        assert names >= ALWAYS
        assert any(name.startswith("system/gpu_0_") for name in names) == cards


def test_a_process_ends_though_it_never_ended_its_run(tmp_path: Path) -> None:
    script = "import sys, tidegate as tg\ntg.open(sys.argv[1]).runs.start('left', system_metrics=0.1)\n"
    done = subprocess.run([sys.executable, "-c", script, str(tmp_path)], capture_output=True, text=True, timeout=60)
    assert (done.returncode, done.stderr) == (0, "")
