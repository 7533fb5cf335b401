"""Directories that the real mlflow client logged run in its environment, in a child, once somebody trusts them."""

import json
import math
import os
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from tests.peers.peer import Peer
from tidegate.endpoints.records import Strategy
from tidegate.http.thread import serving
from tidegate.kernel.errors import Invalid, Refused, Unavailable
from tidegate.kernel.schema import Column
from tidegate.kernel.settings import Settings
from tidegate.models.pyfunc.predictor import TRUST_SECONDS, PyfuncPredictor
from tidegate.models.records import ModelVersion, StagePolicy
from tidegate.models.signature import Signature
from tidegate.workspace import LocalWorkspace, open_local

pytestmark = pytest.mark.slow

NAME = "_Late.Arrival (prod), lr=0.1"
WIND = Column("wind", "number", False)
ONE = Signature(columns=(WIND,), task="regression")
DELAY = Signature(
    columns=(WIND, Column("passengers", "number", False), Column("carrier", "category", False, ("AA", "UA"))),
    task="regression",
)
LATE = Signature(columns=(WIND, Column("passengers", "number", False)), task="classification", classes=(0, 1))
ROWS = [
    {"wind": wind, "passengers": passengers, "carrier": carrier}
    for wind, passengers, carrier in ((1.0, 1, "AA"), (2.5, 2, "UA"), (40.0, 3, "AA"), (0.1, 4, "UA"))
]


class Logged(NamedTuple):
    """A home in which the client logged its directories, what it answered itself, and where the evil one writes."""

    workspace: LocalWorkspace
    url: str
    answers: dict[str, list[float]]
    marker: Path
    python: str

    def trusted(self, name: str, signature: Signature, example: tuple[dict[str, Any], ...] = ()) -> ModelVersion:
        """A version of what was logged under a name that has a signature, and is trusted."""
        version = self.workspace.drafts.adopt(name, version=f"{name}/1", signature=signature, example=example)
        self.workspace.models.trust(name, version.number, reason="read line by line")
        return version


@pytest.fixture(scope="module")
def logged(peer: Callable[[str], Peer], tmp_path_factory: pytest.TempPathFactory) -> Iterator[Logged]:
    """The client logs all its directories to a server, once."""
    folder = tmp_path_factory.mktemp("pyfunc")
    client = peer("mlflow")
    python = str(client.python)
    settings = Settings(home=str(folder / "home"), pyfunc_python=python, pyfunc_seconds=20)
    with open_local(settings) as workspace, serving(workspace) as url:
        marker = folder / "marker"
        answers = client.run("pyfuncs.py", address=url, marker=str(marker), name=NAME, timeout=110)
        yield Logged(workspace, url, answers, marker, python)


class Watched:
    """What this process did meanwhile that a model could have made it do, by the interpreter's own audit."""

    def __init__(self) -> None:
        self._on = False
        self.seen: list[str] = []
        sys.addaudithook(self._note)

    def __enter__(self) -> "Watched":
        self._on = True
        return self

    def __exit__(self, *_error: object) -> None:
        self._on = False

    def _note(self, event: str, arguments: tuple[Any, ...]) -> None:
        if not self._on:
            return
        if event in ("pickle.find_class", "subprocess.Popen", "os.exec", "os.posix_spawn", "marshal.loads"):
            self.seen.append(event)
        elif event == "import" and str(arguments[0]).partition(".")[0] in ("mlflow", "cloudpickle", "pickle", "joblib"):
            self.seen.append(f"import {arguments[0]}")
        elif event == "open" and str(arguments[0]).endswith((".pkl", "MLmodel")) and "x" not in str(arguments[1]):
            self.seen.append(f"open {arguments[0]}")


def test_without_trust_nothing_of_a_directory_is_opened_or_run(logged: Logged) -> None:
    space = logged.workspace
    logged.marker.unlink(missing_ok=True)
    before = set(sys.modules)  # scikit-learn's own joblib has cloudpickle in it
    with Watched() as watched:
        with pytest.raises(Refused, match="without a signature of ours"):
            space.models.load("evil/1")
        version = space.drafts.adopt("untrusted", version="evil/1", signature=ONE)
        with pytest.raises(Refused, match="nobody lets untrusted/1 run"):
            space.models.load(version)
        space.models.set_policy("untrusted", "production", policy=StagePolicy())
        space.models.promote("untrusted", version.number, to="production")
        with pytest.raises(Refused, match="nobody lets untrusted/1 run"):
            space.endpoints.deploy("untrusted", version)
    assert watched.seen == []
    assert not logged.marker.exists()
    assert "mlflow" not in sys.modules
    assert not [name for name in sys.modules.keys() - before if name.partition(".")[0] == "cloudpickle"]


def test_with_trust_the_child_alone_runs_it(logged: Logged, monkeypatch: pytest.MonkeyPatch) -> None:
    space = logged.workspace
    logged.marker.unlink(missing_ok=True)
    monkeypatch.setenv("TIDEGATE_TOKEN", "a secret")
    version = logged.trusted("evil", ONE)
    assert not logged.marker.exists(), "to trust is not to run"
    with Watched() as watched:
        model = space.models.load(version)
        assert model.predict([{"wind": 1.0}]).values == [0.0]
    assert watched.seen == ["subprocess.Popen"]
    done = json.loads(logged.marker.read_text(encoding="utf-8"))
    assert done["pid"] not in (os.getpid(), os.getppid())
    assert Path(done["executable"]).parent == Path(logged.python).parent
    assert "a secret" not in str(done["environment"])
    assert not [name for name in done["environment"] if name.startswith(("TIDEGATE", "PYTHON", "AWS", "SSH"))]
    assert not Path(done["cwd"]).is_relative_to(space.settings.home)
    other = space.drafts.adopt("other evil", version="evil/1", signature=ONE)
    with pytest.raises(Refused, match="nobody lets"):
        space.models.load(other)


def test_a_function_of_python_answers_as_it_did_where_it_was_logged(logged: Logged) -> None:
    version = logged.trusted("delay", DELAY, tuple(ROWS))
    model = logged.workspace.models.load(version)
    assert model.predict(ROWS).values == pytest.approx(logged.answers["delay"], rel=1e-12)
    with pytest.raises(Invalid, match="not safely convert float64 to int64"):
        model.predict([{**ROWS[0], "passengers": 1.5}])
    assert model.predict(ROWS[:1]).values == pytest.approx(logged.answers["delay"][:1])


def test_what_a_directory_says_of_itself_is_enough_to_trust_and_deploy_it(logged: Logged) -> None:
    space = logged.workspace
    space.models.trust("gusts", 1, reason="read line by line")
    version = space.models.get("gusts", 1)
    assert version.example[0] == {"wind": 1.0, "gust": None, "landing": True}
    space.models.set_policy("gusts", "production", policy=StagePolicy())
    space.endpoints.deploy("gusts", space.models.promote("gusts", 1, to="production"))
    rows: list[dict[str, Any]] = [{"wind": 2.0, "gust": 4.0, "landing": True}, *version.example]
    assert [one.value for one in space.endpoints.predict("gusts", rows).predictions] == [6.0, 1001.0, 2.5]
    with pytest.raises(Invalid, match=r"rows\[0\].wind: .*it is missing"):
        space.endpoints.predict("gusts", [{"gust": 4.0, "landing": True}])
    with pytest.raises(Invalid, match="answers int64, and not which classes there are: give classes"):
        space.models.trust(NAME, 1, reason="read line by line")
    told = space.drafts.adopt("told", version=f"{NAME}/1", classes=(0, 1))
    space.models.trust("told", told.number, reason="read line by line")
    asked = [{"x0": row["wind"], "x1": row["passengers"]} for row in ROWS]
    assert space.models.load(told).predict(asked).values == logged.answers["late"]


def test_a_pickled_estimator_answers_its_classes(logged: Logged) -> None:
    model = logged.workspace.models.load(logged.trusted(NAME, LATE))
    rows = [{"wind": row["wind"], "passengers": row["passengers"]} for row in ROWS]
    answered = model.predict(rows).values
    assert answered == logged.answers["late"]
    assert {type(value) for value in answered} == {int}


def test_what_a_model_does_to_itself_is_an_error_and_no_more(logged: Logged) -> None:
    model = logged.workspace.models.load(logged.trusted("wild", ONE))

    def ask(wish: float) -> float:
        value = model.predict([{"wind": wish}]).values[0]
        assert isinstance(value, float)
        return value

    assert ask(0.5) == 0.5
    process = ask(9)
    assert process != os.getpid()
    for wish, told in ((5, "MemoryError"), (6, "it does not like this wind"), (7, "goodbye"), (4, "at most")):
        with pytest.raises((Invalid, Unavailable), match=told):
            ask(wish)
    assert ask(8) == 0, "it sees no secret"
    with pytest.raises(Unavailable, match="exit code 7"):
        ask(1)
    assert ask(0.5) == 0.5
    assert ask(9) != process, "it was started again"
    with pytest.raises(Unavailable, match="what is no answer"):
        ask(3)
    assert math.isfinite(ask(0.5))


def test_it_serves_behind_an_endpoint_until_the_trust_is_taken_back(logged: Logged) -> None:
    space = logged.workspace
    version = logged.trusted("delay", DELAY, (ROWS[0],))
    space.models.set_policy("delay", "production", policy=StagePolicy())
    space.models.promote("delay", version.number, to="production")
    with pytest.raises(Refused, match="may hold up the answers that a shadow stands beside"):
        space.endpoints.deploy("delay", version, strategy=Strategy(kind="shadow"))
    space.endpoints.deploy("delay", version)
    answered = space.endpoints.predict("delay", ROWS).predictions
    assert [one.value for one in answered] == pytest.approx(logged.answers["delay"])
    variant = space.engine.routing.find("delay").stable
    assert variant.slow
    predictor = getattr(variant._predict, "__self__", None)
    assert isinstance(predictor, PyfuncPredictor)
    process = predictor._child.process_id
    assert process is not None
    os.kill(process, 9)
    with pytest.raises(Unavailable, match="the next question starts it again"):
        space.endpoints.predict("delay", ROWS)
    assert [one.value for one in space.endpoints.predict("delay", ROWS).predictions] == pytest.approx(
        logged.answers["delay"]
    )
    space.models.distrust("delay", version.number, reason="it reads what it should not")
    time.sleep(TRUST_SECONDS)
    with pytest.raises(Unavailable, match="nobody lets"):
        space.endpoints.predict("delay", ROWS)
    assert predictor._child.process_id is None


def test_what_is_missing_is_said(logged: Logged) -> None:
    version = logged.trusted("delay", LATE)
    with pytest.raises(Unavailable, match="cannot be started"):
        logged.workspace.models.load(version, python="/nowhere/python")
    with pytest.raises(Unavailable, match="No module named 'mlflow'"):
        logged.workspace.models.load(version, python=sys.executable)
