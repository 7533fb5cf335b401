"""How many calls a second the real MLflow client gets out of a server, one after the other, or from several threads."""

import contextlib
import json
import os
import sys
import tempfile
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

os.environ["MLFLOW_DISABLE_TELEMETRY"] = "true"
os.environ["MLFLOW_HTTP_REQUEST_MAX_RETRIES"] = "0"

import mlflow
from mlflow.entities import Metric
from mlflow.exceptions import MlflowException

POINTS = 1000
CLIENTS = 8
VERSIONS, WARM = 33, 3


def rate(call: Callable[[int], object], seconds: float, clients: int = 1) -> float:
    """Calls a second, after some that do not count; each client makes calls of numbers of its own."""
    for number in range(3):
        call(number)
    end = time.perf_counter() + seconds

    def calls(client: int) -> int:
        count = 0
        while time.perf_counter() < end:
            call(3 + client * 1_000_000 + count)
            count += 1
        return count

    begun = time.perf_counter()
    with ThreadPoolExecutor(clients) as threads:
        return sum(threads.map(calls, range(clients))) / (time.perf_counter() - begun)


def version_rates(client: mlflow.MlflowClient) -> dict[str, float]:
    """Versions a second, each of a run of its own that left a file: of the same files again there is no new version."""
    name = f"rates-{time.time_ns()}"
    try:
        client.create_registered_model(name)
        runs = [client.create_run("0").info for _ in range(VERSIONS)]
        for run in runs:
            client.log_text(run.run_id, run.run_id, "model/weights")
        sources = [(f"{run.artifact_uri or ''}/model", run.run_id) for run in runs]
        for source, run_id in sources[:WARM]:
            client.create_model_version(name, source, run_id, await_creation_for=0)
        begun = time.perf_counter()
        for source, run_id in sources[WARM:]:
            client.create_model_version(name, source, run_id, await_creation_for=0)
        elapsed = time.perf_counter() - begun
    except MlflowException as error:
        print(f"model versions: {error}", file=sys.stderr)
        return {}
    return {"model version": (VERSIONS - WARM) / elapsed}


def main() -> None:
    """Input: `{"address": URL, "seconds": of each call}`. Output: calls a second, of `log_batch` points a second."""
    given = json.load(sys.stdin)
    # A server that names no place for artifacts has the client keep them here.
    with tempfile.TemporaryDirectory() as folder, contextlib.chdir(folder):
        print(json.dumps(rates_of(mlflow.MlflowClient(given["address"]), float(given["seconds"]))))


def rates_of(client: mlflow.MlflowClient, seconds: float) -> dict[str, float]:
    """Of every call."""
    run_id = client.create_run("0").info.run_id

    def batch(number: int) -> None:  # numbers of clients lie a million apart: their points do not meet
        points = [Metric(f"m{one % 10}", 0.5, 1_700_000_000_000, number * 100 + one // 10) for one in range(POINTS)]
        client.log_batch(run_id, metrics=points)

    def log_metric(number: int) -> None:
        client.log_metric(run_id, "loss", 0.5, step=number)

    rates = {
        "log_metric": rate(log_metric, seconds),
        f"log_metric, {CLIENTS} clients": rate(log_metric, seconds, CLIENTS),
        "log_param": rate(lambda number: client.log_param(run_id, f"p{number}", "x"), seconds),
        "create_run": rate(lambda _: client.create_run("0"), seconds),
        "get_run": rate(lambda _: client.get_run(run_id), seconds),
        "log_batch, points": POINTS * rate(batch, seconds),
        f"log_batch, {CLIENTS} clients, points": POINTS * rate(batch, seconds, CLIENTS),
    }
    return rates | version_rates(client)


if __name__ == "__main__":
    main()
