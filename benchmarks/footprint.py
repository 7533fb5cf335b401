"""Memory of a served home's processes with one small ONNX model, seconds until ready, and what imports cost.

Run it as `python benchmarks/footprint.py [--rounds N] [--json]`. Memory is read from `/proc/PID/smaps_rollup` after a
few predictions: RSS counts shared pages in every process, PSS shares them out. CPU seconds are user and system time
of a whole process, beside those of `python -c pass`.
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from time import perf_counter, sleep

ROOT = Path(__file__).parent.parent
sys.path.insert(0, str(ROOT))

IMPORTS = {
    "python -c pass": [sys.executable, "-c", "pass"],
    "import click": [sys.executable, "-c", "import click"],
    "import tidegate": [sys.executable, "-c", "import tidegate"],
    "tidegate --help": [sys.executable, "-c", "from tidegate.cli.main import main; main()", "--help"],
}
AIMS = {
    "serving process, MB (RSS)": 110.0,
    "all processes, MB (PSS)": 300.0,
    "seconds to ready": 2.0,
    "import tidegate, CPU s": 0.15,
    "tidegate --help, CPU s": 0.15,
}
IDLE_SECONDS = 3.0


def cpu_seconds(command: list[str], rounds: int) -> float:
    """User and system time of a whole process, the least of the rounds: other processes can only add to it."""
    spent = []
    for _ in range(rounds):
        process = subprocess.Popen(command, stdout=subprocess.DEVNULL, cwd=ROOT)
        _, code, usage = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(code)
        assert process.returncode == 0, command
        spent.append(usage.ru_utime + usage.ru_stime)
    return min(spent)


def megabytes(pid: int) -> tuple[float, float]:
    """RSS and PSS."""
    lines = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()[1:]
    found = {line.split(":")[0]: int(line.split()[1]) / 1024 for line in lines}
    return found["Rss"], found["Pss"]


def served(home: Path, rounds: int) -> dict[str, float]:
    """Seconds to ready, and the memory of each process when idle."""
    from tests.integration.tidegate_process import TidegateProcess, children
    from tidegate.http.address import reserve, wait_ready

    seconds: list[float] = []
    memory: dict[str, float] = {}
    for turn in range(rounds):
        server = TidegateProcess(home)
        with reserve("127.0.0.1", 0) as chosen:
            server.port = chosen.getsockname()[1]
        begun = perf_counter()
        server.launch()
        try:
            assert wait_ready(server.url, 120.0)
            seconds.append(perf_counter() - begun)
            server.wait()
            if turn == rounds - 1:
                ask(server.port)
                sleep(IDLE_SECONDS)
                memory = memory_of({"supervisor": server.pid, **children(server.pid)})
        finally:
            server.end()
    return {"seconds to ready": statistics.median(seconds), **memory}


def memory_of(processes: dict[str, int]) -> dict[str, float]:
    """RSS and PSS of each process, and of all."""
    found: dict[str, float] = {}
    total = 0.0
    for name, pid in processes.items():
        rss, pss = megabytes(pid)
        found[f"{name}, MB (RSS)"] = rss
        found[f"{name}, MB (PSS)"] = pss
        total += pss
    found["serving process, MB (RSS)"] = found.pop("http.server, MB (RSS)")
    return found | {"all processes, MB (PSS)": total}


def ask(port: int) -> None:
    """A few predictions."""
    from http.client import HTTPConnection

    body = json.dumps({"rows": [{"distance": 1200.0, "wind": 20.0, "weekend": True}]}).encode()
    connection = HTTPConnection("127.0.0.1", port, timeout=30)
    for _ in range(200):
        connection.request("POST", "/api/v1/endpoints/late-arrival/predict", body, {"content-type": "application/json"})
        assert connection.getresponse().read()
    connection.close()


def prepare(home: Path) -> None:
    """A home with one small model deployed, made in a process of its own."""
    code = (
        "import sys; from pathlib import Path; from tests.slices import deployed; "
        "from tidegate.testing.workspaces import Home; home = Home(Path(sys.argv[1]), 'local'); "
        "deployed(home); home.close()"
    )
    subprocess.run([sys.executable, "-c", code, str(home)], check=True, cwd=ROOT)


def table(figures: dict[str, float]) -> Iterator[str]:
    """One line a figure, with its aim and the ratio to it."""
    for name, value in figures.items():
        aim = AIMS.get(name)
        beside = (
            "" if aim is None else f"   aim <= {aim:g}: {value / aim:.2f} of it{'' if value <= aim else '  MISSED'}"
        )
        yield f"{name:40} {value:9.3f}{beside}"


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    figures = {f"{name}, CPU s": cpu_seconds(command, options.rounds * 2) for name, command in IMPORTS.items()}
    with tempfile.TemporaryDirectory(prefix="tidegate-bench-") as folder:
        prepare(Path(folder) / "home")
        figures |= served(Path(folder) / "home", options.rounds)
    print(
        json.dumps({name: round(value, 3) for name, value in figures.items()})
        if options.json
        else "\n".join(table(figures))
    )


if __name__ == "__main__":
    main()
