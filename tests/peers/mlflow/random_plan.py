"""A seeded random sequence of tracking calls, decided before any of them is made, so that two servers get the same.

Experiments and runs are named by slots (``e3``, ``r7``): whoever plays the plan knows their ids. Some calls are wrong.
"""

import math
import random
from collections.abc import Callable
from typing import Any

from random_requests import BEGIN, own_run, request, term, wrong_filter  # type: ignore[import-not-found]

Call = dict[str, Any]

KEYS = ["loss", "auc", "val/loss", "a b", "x.y-z_1"]
BAD_KEYS = ["", "a|b", "../up", "a//b", "/root", "trailing/", ".", "x" * 251, "über", "tab\there", "a:b", "."]
TEXTS = ["1", "2.5", "adam", "Adam", "", "ü 100%", "under_score", "x" * 500, "quote's"]
NUMBERS = [0.0, -0.0, 1.0, 0.5, -3.25, 1e300, 5e-324, 2.0**53]
VIEWS = ["ACTIVE_ONLY", "DELETED_ONLY", "ALL"]
PATHS = ["a.txt", "plots/b.bin", "plots/deep/c", "model/MLmodel", "grüße/d e.txt"]
NOBODY = "0" * 32
FEW = 4
"""Experiments and runs that most calls are about, so that there is something to find."""

RUN_ORDERS: list[list[str]] = [
    [],
    ["metrics.loss DESC"],
    ["metrics.auc ASC", "params.loss DESC"],
    ["params.auc"],
    ["tags.`a b` DESC"],
    ["attributes.run_name"],
    ["start_time ASC"],
    ["attribute.end_time DESC"],
    ["status", "metrics.`val/loss`"],
    ["metrics.loss SIDEWAYS"],
    ["nothing"],
    ["datasets.name"],
]
SELDOM: list[Call] = [
    {"call": "create_run", "slot": "last", "experiment": "own", "name": "last", "tags": {}, "start": BEGIN},
    {"call": "upload", "run": "last", "path": "a.txt", "size": 0},
    {"call": "upload", "run": "last", "path": "plots/b.bin", "size": 9_000_000},
    {"call": "list_artifacts", "run": "last", "path": ""},
    {"call": "download", "run": "last", "path": "plots"},
    {"call": "history", "run": NOBODY, "key": "loss", "most": 5},
    {
        "call": "search_runs",
        "experiments": ["own"],
        "filter": "metrics.loss = 1 AND",
        "order": [],
        "view": "ALL",
        "most": 9,
    },
    {"call": "create_experiment", "slot": "last home", "name": "last", "tags": {"loss": "1"}},
    {"call": "delete_tag_experiment", "experiment": "last home", "key": "loss"},
    {"call": "rename_experiment", "experiment": "last home", "name": "very last"},
    {"call": "delete_experiment", "experiment": "last home"},
    {"call": "restore_experiment", "experiment": "last home"},
]
"""Calls that chance makes too seldom."""


class Planner:
    """Draws calls; knows which slots there will be, and in which of them runs were deleted."""

    def __init__(self, seed: int) -> None:
        self._random = random.Random(seed)
        self._experiments = ["e0"]
        self._names = ["Default"]
        self._runs: list[str] = []
        self._gone: set[str] = set()
        self._closed: set[str] = set()
        self._homes: dict[str, str] = {}
        self._tick = 0
        self._makers: list[tuple[Callable[[], Call], int]] = [
            (self._create_experiment, 4),
            (self._experiment, 3),
            (self._change_experiment, 4),
            (self._search_experiments, 6),
            (self._create_run, 8),
            (self._get_run, 8),
            (self._update_run, 6),
            (self._delete_run, 4),
            (self._param, 6),
            (self._metric, 10),
            (self._batch, 8),
            (self._tag, 7),
            (self._inputs, 3),
            (self._history, 8),
            (self._histories, 6),
            (self._search_runs, 16),
            (self._artifact, 10),
            (self._own_run, 6),
            (self._raw, 14),
        ]

    def plan(self, count: int) -> list[Call]:
        """So many calls, after a few that make something to call for."""
        begun = [self._create_experiment(), *(self._create_run() for _ in range(4))]
        makers, weights = zip(*self._makers, strict=True)
        return begun + [maker() for maker in self._random.choices(makers, weights, k=count)] + SELDOM

    def _moment(self) -> int:
        self._tick += 1
        return int(BEGIN + self._tick * 1000)

    def _one(self, of: list[Any]) -> Any:
        return self._random.choice(of)

    def _perhaps(self, chance: float) -> bool:
        return self._random.random() < chance

    def _a_run(self) -> str:
        few = self._runs[: FEW if self._perhaps(0.6) else None]
        return str(NOBODY if self._perhaps(0.03) else self._one(few))

    def _an_experiment(self) -> str:
        few = self._experiments[: FEW if self._perhaps(0.6) else None]
        return str("98765" if self._perhaps(0.03) else self._one(few))

    def _key(self) -> str:
        return str(self._one(BAD_KEYS if self._perhaps(0.06) else KEYS))

    def _number(self) -> float:
        return float(math.nan if self._perhaps(0.05) else self._one(NUMBERS))

    def _texts(self, most: int, keys: list[str] | None = None) -> dict[str, str]:
        count = self._random.randint(0, most)
        return {self._one(keys) if keys else self._key(): self._one(TEXTS) for _ in range(count)}

    def _create_experiment(self) -> Call:
        taken = bool(self._names) and self._perhaps(0.15)
        name = self._one(["", *self._names]) if taken else f"/Users/x/experiment {len(self._experiments)}"
        call = {"call": "create_experiment", "name": name, "tags": self._texts(2)}
        if taken:
            return call
        slot = f"e{len(self._experiments)}"
        self._experiments.append(slot)
        self._names.append(name)
        return call | {"slot": slot}

    def _experiment(self) -> Call:
        if self._perhaps(0.4):
            return {"call": "get_experiment_by_name", "name": self._one([*self._names, "nobody's", "98765"])}
        return {"call": "get_experiment", "experiment": self._an_experiment()}

    def _change_experiment(self) -> Call:
        what = self._one(["rename", "set_tag", "delete_tag", "delete", "restore", "restore"])
        slot = self._an_experiment()
        call = {"call": f"{what}_experiment", "experiment": slot}
        if what == "rename":
            fresh = f"renamed {self._moment()}"
            name = self._one([fresh, fresh, "", *self._names[1:]])
            return call | {"name": name}
        if what in ("set_tag", "delete_tag"):
            return call | {"key": self._key(), "value": self._one([*TEXTS, "y" * 6001])}
        if what == "delete" and (slot == "e0" or any(self._homes.get(run) == slot for run in self._gone)):
            return {"call": "get_experiment", "experiment": slot}  # MLflow would bring back the runs that were gone
        if what in ("delete", "restore"):
            (self._closed.add if what == "delete" else self._closed.discard)(slot)
        return call

    def _search_experiments(self) -> Call:
        name = self._one(self._names)
        filters = [
            "",
            f"name = '{name}'",
            f"name != '{name}'",
            "name LIKE '%experiment%'",
            "attribute.name ILIKE '/USERS/%'",
            "attributes.name LIKE 'Def_ult'",
            "tags.loss = '1'",
            "tag.auc != 'adam'",
            "tags.`a b` LIKE '%a%' AND name LIKE '/Users/%'",
            "tags.\"x.y-z_1\" ILIKE 'ADAM'",
            "tags.loss IS NULL",
            "tags.loss IS NOT NULL",
            "creation_time > 0",
            "last_update_time < 5",
            "creation_time >= 1000 and tags.loss = '1'",
            "name = 3",
            "metrics.loss > 1",
            "owner = 'me'",
            "creation_time = 'soon'",
            "name LIKE",
            "tags.loss > '1'",
            "name IN ('Default')",
            "name = 'a' OR name = 'b'",
        ]
        orders = [
            [],
            ["name"],
            ["name DESC"],
            ["attribute.name ASC"],
            ["creation_time DESC"],
            ["last_update_time"],
            ["tags.loss"],
            ["name UP"],
            ["nothing"],
        ]
        most = self._one([1000, 1000, 2, 1, 50_000, 0, 50_001])
        return {
            "call": "search_experiments",
            "filter": self._one(filters),
            "order": self._one(orders),
            "view": self._one(VIEWS),
            "most": most,
        }

    def _create_run(self) -> Call:
        slot = f"r{len(self._runs)}"
        home = self._one(self._experiments)
        self._runs.append(slot)
        self._homes[slot] = home
        name = f"run {len(self._runs)}"  # MLflow gives others a name by chance
        tags = self._texts(2, KEYS) | ({"mlflow.runName": name} if self._perhaps(0.1) else {})
        return {
            "call": "create_run",
            "slot": slot,
            "experiment": home,
            "name": None if "mlflow.runName" in tags else name,
            "tags": tags,
            "start": self._moment(),
        }

    def _get_run(self) -> Call:
        return {"call": "get_run", "run": self._a_run()}

    def _update_run(self) -> Call:
        run = self._a_run()
        if self._perhaps(0.5):
            status = self._one(["FINISHED", "FAILED", "KILLED"])
            return {"call": "set_terminated", "run": run, "status": status, "end": self._moment()}
        return {"call": "update_run", "run": run, "status": None, "name": self._one([None, "again", ""])}

    def _delete_run(self) -> Call:
        run = self._a_run()
        if self._homes.get(run) in self._closed:
            return {"call": "get_run", "run": run}  # MLflow brings a run back whose experiment stays deleted
        if self._perhaps(0.35):
            self._gone.add(run)
            return {"call": "delete_run", "run": run}
        return {"call": "restore_run", "run": run}

    def _param(self) -> Call:
        value = self._one([*TEXTS, "z" * 6000, "z" * 6001])
        return {"call": "log_param", "run": self._a_run(), "key": self._key(), "value": value}

    def _points(self, most: int) -> list[list[Any]]:
        return [
            [self._key(), self._number(), self._one([self._moment(), BEGIN, 0]), self._random.randint(-2, 5)]
            for _ in range(self._random.randint(1, most))
        ]

    def _metric(self) -> Call:
        (point,) = self._points(1)
        if self._perhaps(0.05):
            point[2] = -1
        return {"call": "log_metric", "run": self._a_run(), "point": point}

    def _batch(self) -> Call:
        params = [[key, value] for key, value in self._texts(3).items()]
        if self._perhaps(0.1):
            params += params[:1]
        tags = [[self._key(), self._one([*TEXTS, "t" * 8000, "t" * 8001])] for _ in range(self._random.randint(0, 3))]
        points = self._points(12) if self._perhaps(0.8) else []
        return {"call": "log_batch", "run": self._a_run(), "points": points, "params": params, "tags": tags}

    def _tag(self) -> Call:
        run = self._a_run()
        if self._perhaps(0.1):
            return {"call": "set_tag", "run": run, "key": "mlflow.runName", "value": self._one(["1", "adam", "", "ü"])}
        key = self._one([self._key(), self._key(), "mlflow.note.content"])
        if self._perhaps(0.4):
            return {"call": "delete_tag", "run": run, "key": key}
        return {"call": "set_tag", "run": run, "key": key, "value": self._one([*TEXTS, "t" * 8000, "t" * 8001])}

    def _inputs(self) -> Call:
        # One dataset is told in one way: of the second telling MLflow keeps nothing.
        dataset = self._one(
            [
                ["flights", "abc", "local", "{}", None, None],
                ["flights", "d" * 36, "s3", "s3://bucket", "{}", "p" * 70_000],
                ["weather", "abc", "", "", "{}", "{}"],
                ["weather", "d" * 37, "local", "{}", None, None],
            ]
        )
        tags = {"mlflow.data.context": self._one(["training", "eval"])} if self._perhaps(0.7) else {}
        return {"call": "log_inputs", "run": self._a_run(), "dataset": dataset, "tags": tags}

    def _history(self) -> Call:
        call = {"call": "history", "run": self._one([self._a_run()] * 6 + [NOBODY]), "key": self._one([*KEYS, "never"])}
        return call | {"most": self._one([25_000, 1, 2, 5])}

    def _histories(self) -> Call:
        runs = [self._a_run() for _ in range(self._random.randint(1, 3))]
        call = {"runs": list(dict.fromkeys(runs)), "key": self._one([*KEYS, "never"])}
        if self._perhaps(0.4):
            if self._perhaps(0.4):  # MLflow goes by the ids of runs, which chance has made
                return call | {"call": "bulk", "runs": runs[:1], "most": self._one([1, 3, 10])}
            return call | {"call": "bulk", "most": self._one([None, 25_000, 1_000_000])}
        start, end = self._one([(None, None), (None, None), (0, 3), (-5, 5), (3, 0), (1, None)])
        return call | {
            "call": "interval",
            "most": self._one([None, 1, 2, 3, 320, 2500, 0, 2501]),
            "start": start,
            "end": end,
        }

    def _search_runs(self) -> Call:
        count = self._random.randint(0, 3)
        text = wrong_filter(self._one) if self._perhaps(0.1) else " AND ".join(term(self._one) for _ in range(count))
        slots = list(dict.fromkeys(self._one(self._experiments) for _ in range(self._random.randint(1, 4))))
        most = self._one([1000, 1000, 1, 2, 3, 50_000, 50_001, 0])
        order = self._one(RUN_ORDERS)
        return {
            "call": "search_runs",
            "experiments": slots if self._perhaps(0.9) else [*slots, "98765"],
            "filter": text,
            "order": order,
            "view": self._one(VIEWS),
            "most": most,
        }

    def _artifact(self) -> Call:
        run, path = self._a_run(), self._one(PATHS)
        what = self._one(["upload", "upload", "list", "list", "download", "bad_path"])
        if what == "upload" and (run in self._gone or self._homes.get(run) in self._closed):
            return {"call": "get_run", "run": run}  # MLflow's proxy does not know that a run is deleted
        if what == "upload":
            return {"call": "upload", "run": run, "path": path, "size": self._one([0, 0, 1, 300_000])}
        if what == "download":
            return {"call": "download", "run": run, "path": self._one([path, path.partition("/")[0]])}
        if what == "bad_path":
            return {
                "call": "list_artifacts",
                "run": run,
                "path": self._one(["../x", "/etc", "a/../../b", "..\\x", "."]),
            }
        return {
            "call": "list_artifacts",
            "run": run,
            "path": self._one(["", "plots", "plots/deep", "a.txt", "none", "model/"]),
        }

    def _own_run(self) -> Call:
        return dict(own_run(self._one))

    def _raw(self) -> Call:
        method, path, body = request(self._one)
        return {
            "call": "raw",
            "method": method,
            "path": path,
            "body": body,
            "run": self._a_run(),
            "experiment": self._an_experiment(),
            "prefix": self._one(["/api/2.0/mlflow/", "/ajax-api/2.0/mlflow/"]),
        }
