"""Plays a random plan with the real MLflow client against a server, and prints each normalised answer."""

import json
import math
import os
import random
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

os.environ["MLFLOW_DISABLE_TELEMETRY"] = "true"
os.environ["MLFLOW_HTTP_REQUEST_MAX_RETRIES"] = "0"
os.environ["MLFLOW_TRUNCATE_LONG_VALUES"] = "false"

import mlflow
import requests
from mlflow.entities import Dataset, DatasetInput, Experiment, InputTag, Metric, Param, Run, RunTag, ViewType
from mlflow.exceptions import MlflowException
from random_plan import Call, Planner  # type: ignore[import-not-found]


class Player:
    """Makes the calls; ids become the slots' names again, moments that a server sets are left out."""

    def __init__(self, address: str) -> None:
        self._address = address
        mlflow.set_tracking_uri(address)
        self._client = mlflow.MlflowClient()
        self._ids: dict[str, str] = {"e0": "0"}
        self._ids["own"] = self._client.create_experiment("runs that one call knows")
        self._odd_run = self._client.create_run(self._ids["own"], start_time=1, run_name="odd").info.run_id

    def answer(self, call: Call) -> Any:
        """What came of a call."""
        try:
            return getattr(self, call["call"])(call)
        except MlflowException as error:
            return {"error": str(error.error_code)}
        except requests.HTTPError as error:  # of the artifact proxy
            return {"error": _told(error.response)}

    def _id(self, slot: str) -> str:
        return self._ids.get(slot, "98765" if slot.startswith("e") else slot if slot.isdigit() else "0" * 32)

    def _slot(self, identity: str) -> str:
        return next((slot for slot, known in self._ids.items() if known == identity), "another")

    def create_experiment(self, call: Call) -> Any:
        """Make one, and wait a moment: MLflow orders them by milliseconds."""
        made = self._client.create_experiment(call["name"], tags=call["tags"])
        self._ids[call.get("slot", f"surprise {call['name']}")] = made
        time.sleep(0.003)
        return "made"

    def get_experiment(self, call: Call) -> Any:
        return self._experiment(self._client.get_experiment(self._id(call["experiment"])))

    def get_experiment_by_name(self, call: Call) -> Any:
        found = self._client.get_experiment_by_name(call["name"])
        return found and self._experiment(found)

    def rename_experiment(self, call: Call) -> Any:
        return self._client.rename_experiment(self._id(call["experiment"]), call["name"])

    def set_tag_experiment(self, call: Call) -> Any:
        return self._client.set_experiment_tag(self._id(call["experiment"]), call["key"], call["value"])

    def delete_tag_experiment(self, call: Call) -> Any:
        return self._client.delete_experiment_tag(self._id(call["experiment"]), call["key"])

    def delete_experiment(self, call: Call) -> Any:
        time.sleep(0.003)
        return self._client.delete_experiment(self._id(call["experiment"]))

    def restore_experiment(self, call: Call) -> Any:
        time.sleep(0.003)
        return self._client.restore_experiment(self._id(call["experiment"]))

    def search_experiments(self, call: Call) -> Any:
        """Every page."""
        found, token = [], None
        while True:
            page = self._client.search_experiments(
                getattr(ViewType, call["view"]),
                max_results=call["most"],
                filter_string=call["filter"],
                order_by=call["order"],
                page_token=token,
            )
            found.append([self._slot(one.experiment_id) for one in page])
            token = page.token
            if not token:
                return found

    def create_run(self, call: Call) -> Any:
        given = {"start_time": call["start"], "tags": call["tags"], "run_name": call["name"]}
        run = self._client.create_run(self._id(call["experiment"]), **given)
        self._ids[call["slot"]] = run.info.run_id
        return self._run(run)

    def get_run(self, call: Call) -> Any:
        return self._run(self._client.get_run(self._id(call["run"])))

    def set_terminated(self, call: Call) -> Any:
        return self._client.set_terminated(self._id(call["run"]), call["status"], call["end"])

    def update_run(self, call: Call) -> Any:
        return self._client.update_run(self._id(call["run"]), call["status"], call["name"])

    def delete_run(self, call: Call) -> Any:
        return self._client.delete_run(self._id(call["run"]))

    def restore_run(self, call: Call) -> Any:
        return self._client.restore_run(self._id(call["run"]))

    def log_param(self, call: Call) -> Any:
        return self._client.log_param(self._id(call["run"]), call["key"], call["value"])

    def log_metric(self, call: Call) -> Any:
        key, value, timestamp, step = call["point"]
        return self._client.log_metric(self._id(call["run"]), key, value, timestamp, step)

    def log_batch(self, call: Call) -> Any:
        return self._client.log_batch(
            self._id(call["run"]),
            metrics=[Metric(*point) for point in call["points"]],
            params=[Param(*param) for param in call["params"]],
            tags=[RunTag(*tag) for tag in call["tags"]],
        )

    def set_tag(self, call: Call) -> Any:
        return self._client.set_tag(self._id(call["run"]), call["key"], call["value"])

    def delete_tag(self, call: Call) -> Any:
        return self._client.delete_tag(self._id(call["run"]), call["key"])

    def log_inputs(self, call: Call) -> Any:
        dataset = Dataset(*call["dataset"])
        tags = [InputTag(key, value) for key, value in call["tags"].items()]
        return self._client.log_inputs(self._id(call["run"]), [DatasetInput(dataset, tags)])

    def history(self, call: Call) -> Any:
        """Every page of it."""
        found, token = [], ""
        while True:
            asked = {"run_id": self._id(call["run"]), "metric_key": call["key"], "max_results": call["most"]}
            page = self._get("/api/2.0/mlflow/metrics/get-history", asked | ({"page_token": token} if token else {}))
            if "error" in page:
                return page
            found.append([_point(one) for one in page.get("metrics", [])])
            token = page.get("next_page_token", "")
            if not token:
                return found

    def bulk(self, call: Call) -> Any:
        asked = {"run_id": [self._id(run) for run in call["runs"]], "metric_key": call["key"]}
        if call["most"] is not None:
            asked["max_results"] = call["most"]
        return self._points("/ajax-api/2.0/mlflow/metrics/get-history-bulk", asked, by_run=True)

    def interval(self, call: Call) -> Any:
        given = {"max_results": call["most"], "start_step": call["start"], "end_step": call["end"]}
        asked = {"run_ids": [self._id(run) for run in call["runs"]], "metric_key": call["key"]}
        asked |= {name: value for name, value in given.items() if value is not None}
        return self._points("/ajax-api/2.0/mlflow/metrics/get-history-bulk-interval", asked)

    def search_runs(self, call: Call) -> Any:
        """Every page."""
        found: list[list[str]] = []
        token = None
        while True:
            page = self._client.search_runs(
                [self._id(one) for one in call["experiments"]],
                call["filter"],
                getattr(ViewType, call["view"]),
                call["most"],
                call["order"],
                token,
            )
            found.append([self._slot(run.info.run_id) for run in page])
            token = page.token
            if not token:
                return found

    def upload(self, call: Call) -> Any:
        folder, _, name = call["path"].rpartition("/")
        with tempfile.TemporaryDirectory() as here:
            file = Path(here) / name
            file.write_bytes(random.Random(call["path"]).randbytes(call["size"]))
            return self._client.log_artifact(self._id(call["run"]), str(file), folder or None)

    def download(self, call: Call) -> Any:
        with tempfile.TemporaryDirectory() as here:
            try:
                path = self._client.download_artifacts(self._id(call["run"]), call["path"], here)
            except OSError as error:
                if isinstance(error, requests.HTTPError):
                    raise
                return {"failed": type(error).__name__}
            return (
                Path(path).stat().st_size if Path(path).is_file() else sorted(one.name for one in Path(path).iterdir())
            )

    def list_artifacts(self, call: Call) -> Any:
        found = self._client.list_artifacts(self._id(call["run"]), call["path"])
        return [[one.path, one.is_dir, one.file_size] for one in found]

    def raw(self, call: Call) -> Any:
        """Status and error code; what a good answer holds is told by other calls."""
        ids = {"@": self._id(call["run"]), "#": self._id(call["experiment"]), "!": self._ids["own"], "~": self._odd_run}
        text = json.dumps(call["body"])
        for sign, identity in ids.items():
            text = text.replace(f'"{sign}"', f'"{identity}"')
        url = self._address + call["prefix"] + call["path"]
        if call["method"] == "GET":
            asked = {name: value for name, value in json.loads(text).items() if value is not None}
            return _told(requests.get(url, asked, timeout=30))
        return _told(self._post(url, text))

    def own_run(self, call: Call) -> Any:
        """What a call makes of a run that no other call asks for."""
        run = self._client.create_run(self._ids["own"], start_time=1, run_name="own")
        text = json.dumps(call["body"]).replace('"@"', f'"{run.info.run_id}"')
        answer = _told(self._post(f"{self._address}/api/2.0/mlflow/{call['path']}", text))
        found = self._run(self._client.get_run(run.info.run_id))
        found["run"][0] = "@"
        if found["time"][1] not in (None, call["body"].get("end_time")):
            found["time"][1] = "set"
        return [answer, found]

    @staticmethod
    def _post(url: str, text: str) -> requests.Response:
        return requests.post(url, text, headers={"Content-Type": "application/json"}, timeout=30)

    def _get(self, path: str, asked: dict[str, Any]) -> dict[str, Any]:
        response = requests.get(self._address + path, asked, timeout=30)
        found: dict[str, Any] = response.json()
        return found if response.status_code == 200 else {"error": found["error_code"], "status": response.status_code}

    def _points(self, path: str, asked: dict[str, Any], *, by_run: bool = False) -> Any:
        page = self._get(path, asked)
        if "error" in page:
            return page
        points = [[self._slot(one["run_id"]), *_point(one)] for one in page.get("metrics", [])]
        return sorted(points, key=lambda point: point[0]) if by_run else points  # ids differ, and so does their order

    def _experiment(self, found: Experiment) -> Any:
        tags = dict(sorted(found.tags.items()))
        location = found.artifact_location.replace(found.experiment_id, "#")
        return [self._slot(found.experiment_id), found.name, found.lifecycle_stage, tags, location]

    def _run(self, run: Run) -> Any:
        info, data = run.info, run.data
        inputs = [_dataset(one) for one in (run.inputs.dataset_inputs if run.inputs else [])]
        return {
            "run": [
                self._slot(info.run_id),
                self._slot(info.experiment_id),
                info.run_name,
                info.status,
                info.lifecycle_stage,
            ],
            "time": [info.start_time, info.end_time],
            "place": info.artifact_uri.replace(info.run_id, "@").replace(f"/{info.experiment_id}/", "/#/"),
            "metrics": sorted([one.key, _spelt(one.value), one.timestamp, one.step] for one in data._metric_objs),
            "params": dict(sorted(data.params.items())),
            "tags": dict(sorted(data.tags.items())),
            "inputs": sorted(inputs, key=str),
        }


def _dataset(one: DatasetInput) -> list[Any]:
    told = one.dataset
    tags = sorted((tag.key, tag.value) for tag in one.tags)
    return [told.name, told.digest, told.source_type, told.source, told.schema, len(told.profile or ""), tags]


def _told(response: requests.Response | None) -> Any:
    if response is None:
        return "nothing"
    if response.status_code == 200:
        return "answered"
    try:
        return [response.status_code, response.json()["error_code"]]
    except ValueError:
        return [response.status_code, "no JSON"]


def _spelt(value: float | str) -> str:
    number = float(value)
    return "nan" if math.isnan(number) else repr(number)


def _point(one: dict[str, Any]) -> list[Any]:
    return [one["key"], _spelt(one["value"]), int(one["timestamp"]), int(one.get("step", 0))]


def main() -> None:
    """Input: ``{"address": URL, "seed": 1, "count": 100}``. Output: calls, each with its answer."""
    given = json.load(sys.stdin)
    player = Player(given["address"])
    print(json.dumps([[call, player.answer(call)] for call in Planner(given["seed"]).plan(given["count"])]))


if __name__ == "__main__":
    main()
