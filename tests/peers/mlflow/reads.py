"""How long the real MLflow client waits for searches, histories, charts and artifacts of a server that is full."""

import json
import os
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

os.environ["MLFLOW_DISABLE_TELEMETRY"] = "true"
os.environ["MLFLOW_HTTP_REQUEST_MAX_RETRIES"] = "0"

import mlflow
import requests

FILTER = "metrics.m0 > 0.5 and params.p1 = '2'"
INTERVAL = "/ajax-api/2.0/mlflow/metrics/get-history-bulk-interval"


def median(call: Callable[[], object], rounds: int) -> float:
    """Seconds."""
    times = []
    for _ in range(rounds):
        begun = time.perf_counter()
        call()
        times.append(time.perf_counter() - begun)
    return statistics.median(times)


def main() -> None:
    """Input: address, experiment, a run with the metric `long`, bytes of an artifact. Output: milliseconds; MB/s."""
    given = json.load(sys.stdin)
    mlflow.set_tracking_uri(given["address"])
    client = mlflow.MlflowClient()
    home, run_id, size = given["experiment"], given["run"], int(given["bytes"])
    chart = {"run_ids": run_id, "metric_key": "long", "max_results": 320}

    def drawn() -> None:
        answer = requests.get(given["address"] + INTERVAL, chart, timeout=60)
        if len(answer.json()["metrics"]) != 320:
            raise SystemExit(f"a chart of {answer.text[:200]}")

    def searched(text: str, order: list[str], most: int) -> None:
        if len(client.search_runs([home], text, order_by=order, max_results=most)) != most:
            raise SystemExit(f"too few runs for {text!r}")

    searched(FILTER, ["metrics.m1 DESC"], 100)
    found = {
        "search, filter and order, 100 of them": 1000 * median(lambda: searched(FILTER, ["metrics.m1 DESC"], 100), 5),
        "page of 1,000 runs": 1000 * median(lambda: searched("", [], 1000), 2),
        "history of 100k points": 1000 * median(lambda: client.get_metric_history(run_id, "long"), 1),
        "chart of 320 points of them": 1000 * median(drawn, 5),
    }
    if not size:
        print(json.dumps(found))
        return
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "weights"
        file.write_bytes(os.urandom(size))
        own = client.create_run("0").info.run_id
        found["artifact up, MB/s"] = size / 1e6 / median(lambda: client.log_artifact(own, str(file)), 1)
        down = Path(folder) / "down"
        down.mkdir()
        fetch = median(lambda: client.download_artifacts(own, "weights", str(down)), 1)
        found["artifact down, MB/s"] = size / 1e6 / fetch
    print(json.dumps(found))


if __name__ == "__main__":
    main()
