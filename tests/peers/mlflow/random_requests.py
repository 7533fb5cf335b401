"""Filters and requests for the random plan, right ones and wrong ones; each takes whatever draws one of a list."""

from collections.abc import Callable
from typing import Any

Draw = Callable[[list[Any]], Any]
Call = dict[str, Any]
Request = tuple[str, str, dict[str, Any]]

BEGIN = 1_700_000_000_000
RAW_NUMBERS: list[object] = [1, "2", "NaN", "Infinity", "high", None, True, [1], 2**63, 1e400]


def term(one: Draw) -> str:
    key = one(["loss", "auc", "val/loss", "`a b`", '"x.y-z_1"'])
    key = key if key[0] in '`"' or "/" not in key else f"`{key}`"
    number = one(["0.5", "1", "-3.25", "0", "1e3"])
    text = one(["1", "adam", "ADAM", "run 3", "2.5"])
    sign = one([">", ">=", "=", "!=", "<", "<="])
    equal = one(["=", "!="])
    pattern = one(["%a%", "A%", "_un%", "%_%", "100\\%"])
    like = one(["LIKE", "ILIKE"])
    return str(
        one(
            [
                f"metrics.{key} {sign} {number}",
                f"metric.{key} {sign} {number}",
                f"params.{key} {equal} '{text}'",
                f"param.{key} {like} '{pattern}'",
                f"tags.{key} {equal} '{text}'",
                f"tag.{key} {like} '{pattern}'",
                f"params.{key} IS NULL",
                f"tags.{key} IS NOT NULL",
                f"attributes.status {equal} '{one(['RUNNING', 'FINISHED', 'running'])}'",
                f"attribute.run_name {like} '{pattern}'",
                f"run_name {equal} '{text}'",
                "attributes.`Run name` = 'run 3'",
                f"start_time {sign} {BEGIN + 20_000}",
                f"end_time {sign} {BEGIN + 60_000}",
                "attributes.run_name IN ('run 1', 'run 2', 'again')",
                "attributes.run_name NOT IN ('run 1', 'run 2')",
                "datasets.name = 'flights'",
                f"dataset.digest {like} 'a%'",
                "datasets.name IN ('weather', 'flights')",
                "tags.`mlflow.runName` = 'run 3'",
            ]
        )
    )


def wrong_filter(one: Draw) -> str:
    return str(
        one(
            [
                "metrics.loss > 'high'",
                "metrics.loss >",
                "params.loss > '1'",
                "params.loss = 1",
                "tags.loss = adam",
                "attributes.nothing = '1'",
                "start_time = 'soon'",
                "loss > 1 2",
                "metrics.loss LIKE '1'",
                "nothing.loss = '1'",
                "metrics.loss = 1 AND",
                "status > 'RUNNING'",
                "datasets.nothing = 'x'",
                "attributes.run_name IN ()",
                "'a' = 'a'",
                ";",
            ]
        )
    )


def own_run(one: Draw) -> Call:
    """What is told of a run that only this call knows: a place for what is answered differently."""
    body = one(
        [
            ["runs/update", {"run_id": "@", "status": "FINISHED"}],
            ["runs/update", {"run_id": "@", "status": 4, "end_time": BEGIN}],
            ["runs/update", {"run_id": "@", "status": "SCHEDULED", "end_time": BEGIN}],
            ["runs/update", {"run_id": "@", "end_time": BEGIN}],
            ["runs/update", {"run_id": "@", "run_name": "x" * 300}],
            ["runs/set-tag", {"run_id": "@", "key": "mlflow.runName", "value": "x" * 300}],
            ["runs/delete-tag", {"run_id": "@", "key": "mlflow.runName"}],
            ["runs/log-metric", {"run_id": "@", "key": "m", "value": "Infinity", "timestamp": 1}],
            ["runs/log-metric", {"run_id": "@", "key": "m", "value": "NaN", "timestamp": "1", "step": "2"}],
            ["runs/log-parameter", {"run_id": "@", "key": "p"}],
            ["runs/log-batch", {"run_id": "@", "tags": [{"key": "mlflow.runName", "value": "batch"}]}],
            ["runs/log-inputs", {"run_id": "@", "datasets": [{"dataset": {"name": "", "digest": "1"}}]}],
            ["runs/log-inputs", {"run_id": "@", "datasets": [{"tags": []}]}],
            ["runs/log-inputs", {"run_id": "@", "datasets": []}],
        ]
    )
    return {"call": "own_run", "path": body[0], "body": body[1]}


def request(one: Draw) -> Request:
    """A request that no client would send: ``@`` is the id of a run, ``#`` of an experiment.

    ``~`` and ``!`` are those of a run and of an experiment that no other call asks for.
    """
    method, path, body = one(_logged(one) if one([True, False]) else _others(one))
    return method, path, body


def _logged(one: Draw) -> list[Request]:
    metric = {"run_id": "~", "key": "loss", "value": 1, "timestamp": 1}
    number = one(RAW_NUMBERS)
    field = one(["value", "timestamp", "step"])
    return [
        ("POST", "runs/log-metric", metric | {field: number}),
        ("POST", "runs/log-metric", {key: value for key, value in metric.items() if key != field}),
        ("POST", "runs/log-metric", metric | {"key": number}),
        ("POST", "runs/log-parameter", {"run_id": "~", "key": "p", "value": number}),
        ("POST", "runs/log-parameter", {"run_id": "~"}),
        ("POST", "runs/log-batch", {"run_id": "~", "metrics": number}),
        ("POST", "runs/log-batch", {"run_id": "~", "metrics": [{"key": "a", "value": number, "timestamp": 1}]}),
        ("POST", "runs/log-batch", {"run_id": "@", "metrics": [{"key": "a", "value": 1}]}),
        ("POST", "runs/log-batch", {"run_id": "@", "params": [{"value": "1"}]}),
        ("POST", "runs/log-batch", {"run_id": "@", "params": [{"key": str(one)} for one in range(101)]}),
        ("POST", "runs/log-batch", {"run_id": "@", "tags": [{"key": str(one)} for one in range(101)]}),
        ("POST", "runs/log-batch", {"run_id": "@", "metrics": [metric | {"step": one} for one in range(1001)]}),
        ("POST", "runs/log-batch", {"run_id": "", "metrics": []}),
        ("POST", "runs/set-tag", {"run_id": "~", "key": number, "value": "1"}),
        ("POST", "runs/set-tag", {"key": "a", "value": "1"}),
        ("POST", "runs/delete-tag", {"run_id": "@"}),
        ("POST", "runs/create", {"experiment_id": "!", "start_time": number}),
        ("POST", "runs/create", {"experiment_id": "!", "tags": number}),
        (
            "POST",
            "runs/create",
            {"experiment_id": "#", "run_name": "a", "tags": [{"key": "mlflow.runName", "value": "b"}]},
        ),
        ("POST", "runs/update", {"run_id": "~", "status": number}),
        ("POST", "runs/update", {"run_id": "~", "end_time": number}),
        ("POST", "runs/update", {}),
    ]


def _others(one: Draw) -> list[Request]:
    number = one(RAW_NUMBERS)
    return [
        ("POST", "runs/delete", {}),
        ("POST", "runs/search", {"experiment_ids": "#"}),
        ("POST", "runs/search", {"experiment_ids": ["#"], "max_results": number}),
        ("POST", "runs/search", {"experiment_ids": ["#"], "run_view_type": number}),
        ("POST", "runs/search", {"experiment_ids": ["#"], "order_by": "metrics.loss"}),
        ("POST", "runs/search", {"experiment_ids": ["#"], "filter": number}),
        ("POST", "experiments/create", {"name": number}),
        ("POST", "experiments/create", {}),
        ("POST", "experiments/create", {"name": "located", "artifact_location": "http:///#/../../etc/"}),
        ("POST", "experiments/update", {"experiment_id": "#"}),
        ("POST", "experiments/delete", {}),
        ("POST", "experiments/set-experiment-tag", {"experiment_id": "#", "value": "1"}),
        ("POST", "experiments/search", {"max_results": number}),
        ("POST", "experiments/search", {"view_type": number}),
        ("GET", "experiments/get", {}),
        ("GET", "experiments/get-by-name", {}),
        ("GET", "runs/get", {}),
        ("GET", "runs/get", {"run_uuid": "@"}),
        ("GET", "metrics/get-history", {"run_id": "@"}),
        ("GET", "metrics/get-history", {"run_id": "@", "metric_key": "loss", "max_results": number}),
        ("GET", "artifacts/list", {}),
        ("GET", "artifacts/list", {"run_id": "@", "path": "../../etc"}),
        ("GET", "nothing/here", {}),
        ("POST", "experiments/search", {"view_type": "ALL"}),
        ("POST", "runs/create", {"experiment_id": "98765"}),
        ("POST", "runs/get", {"run_id": "@"}),
    ]
