"""Calls a second of the real `mlflow` client against a served home, beside what the client itself can do.

``python benchmarks/mlflow_tracking.py [--seconds 3] [--rounds 3] [--json]``
The limit is the same client against a server that answers every call at once without reading it. Rounds alternate, and
the median counts. The client is the pinned one of `tests/peers/mlflow` (`make test` makes its environment).
"""

import argparse
import json
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from urllib.error import URLError
from urllib.request import urlopen

ROOT = Path(__file__).parent.parent
sys.path.insert(0, str(ROOT))

AIMS = {"log_metric": 0.6, "log_batch, points": 0.6}


def limit_server(port: int) -> "subprocess.Popen[bytes]":
    """The server of the limit, once it answers."""
    process = subprocess.Popen([sys.executable, str(Path(__file__).with_name("_mlflow_limit.py")), str(port)])
    give_up = time.monotonic() + 30
    while time.monotonic() < give_up:
        try:
            urlopen(f"http://127.0.0.1:{port}/", timeout=5).close()
        except (URLError, ConnectionError):
            time.sleep(0.05)
        else:
            return process
    process.kill()
    raise SystemExit("the server of the limit did not answer")


def measure(seconds: float, rounds: int) -> dict[str, float]:
    """All figures."""
    from tests.integration.tidegate_process import TidegateProcess
    from tests.peers.peer import FOLDER, Peer
    from tidegate.http.address import reserve

    peer = Peer(FOLDER / "mlflow")
    with reserve("127.0.0.1", 0) as chosen:
        port = chosen.getsockname()[1]
    limits: list[dict[str, float]] = []
    ours: list[dict[str, float]] = []
    with tempfile.TemporaryDirectory(prefix="tidegate-bench-") as folder:
        server = TidegateProcess(Path(folder) / "home")
        server.start()
        limit = limit_server(port)
        try:
            for _ in range(rounds):
                limits.append(peer.run("rates.py", address=f"http://127.0.0.1:{port}", seconds=seconds, timeout=120))
                ours.append(peer.run("rates.py", address=server.url, seconds=seconds, timeout=120))
        finally:
            limit.terminate()
            limit.wait()
            server.end()
    figures: dict[str, float] = {}
    for name in limits[0]:
        most, own = (statistics.median(one[name] for one in each) for each in (limits, ours))
        figures |= {f"limit/s, {name}": most, f"tidegate/s, {name}": own, f"ratio, {name}": own / most}
    return figures


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=3.0, help="of each call and round")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    figures = measure(options.seconds, options.rounds)
    if options.json:
        print(json.dumps(figures))
        return
    for name, value in figures.items():
        aim = AIMS.get(name.removeprefix("ratio, ")) if name.startswith("ratio") else None
        print(f"{name:36} {value:12,.2f}" + (f"   (aim >= {aim})" if aim is not None else ""))


if __name__ == "__main__":
    main()
