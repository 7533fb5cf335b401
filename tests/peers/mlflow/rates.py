"""How many calls a second the real MLflow client gets out of a server, one thread, one after the other."""

import json
import os
import sys
import time
from collections.abc import Callable

os.environ["MLFLOW_DISABLE_TELEMETRY"] = "true"
os.environ["MLFLOW_HTTP_REQUEST_MAX_RETRIES"] = "0"

import mlflow
from mlflow.entities import Metric

POINTS = 1000


def rate(call: Callable[[int], object], seconds: float) -> float:
    """Calls a second, after some that do not count."""
    for number in range(5):
        call(number)
    count, begun = 0, time.perf_counter()
    while time.perf_counter() < begun + seconds:
        call(5 + count)
        count += 1
    return count / (time.perf_counter() - begun)


def main() -> None:
    """Input: `{"address": URL, "seconds": of each call}`. Output: calls a second, of `log_batch` points a second."""
    given = json.load(sys.stdin)
    client = mlflow.MlflowClient(given["address"])
    run_id = client.create_run("0").info.run_id

    def batch(number: int) -> None:
        points = [Metric(f"m{one % 10}", 0.5, 1_700_000_000_000, number * 100 + one // 10) for one in range(POINTS)]
        client.log_batch(run_id, metrics=points)

    seconds = float(given["seconds"])
    rates = {
        "log_metric": rate(lambda number: client.log_metric(run_id, "loss", 0.5, step=number), seconds),
        "log_param": rate(lambda number: client.log_param(run_id, f"p{number}", "x"), seconds),
        "create_run": rate(lambda _: client.create_run("0"), seconds),
        "get_run": rate(lambda _: client.get_run(run_id), seconds),
        "log_batch, points": POINTS * rate(batch, seconds),
    }
    print(json.dumps(rates))


if __name__ == "__main__":
    main()
