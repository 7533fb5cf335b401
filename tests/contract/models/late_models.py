"""Models of late arrivals for tests: versions made by hand in a millisecond, and real ones, fitted and logged."""

from typing import Any

import msgspec
import numpy as np
import polars as pl
from sklearn.linear_model import LogisticRegression

from tests.contract.models.kept_models import KeptModel, keep
from tidegate.data.rows import Rows
from tidegate.kernel.clock import SystemClock
from tidegate.kernel.ids import IdFactory
from tidegate.kernel.schema import Column
from tidegate.models.records import Manifest, ModelVersion
from tidegate.models.signature import Signature
from tidegate.workspace import Workspace

FEATURES = ["wind", "carrier"]

_ids = IdFactory(SystemClock())


def manifest(workspace: Workspace, name: str, content: bytes = b"a model", **changes: Any) -> Manifest:
    """A manifest whose one object is kept."""
    signature = Signature(columns=(Column("wind", "number", False),), task="regression")
    digest = str(workspace.objects.put(content).digest)
    fields: dict[str, Any] = {"format": "onnx", "runtime": "onnx", "files": {"model.onnx": digest}} | changes
    return Manifest(name=name, signature=signature, **fields)


def registered(workspace: Workspace, name: str, content: bytes = b"a model") -> ModelVersion:
    """A version that nobody could load: enough for stages, approvals and aliases."""
    return workspace.models.register(name, manifest(workspace, name, content))


def run_id() -> str:
    """The id of a run that could be."""
    return _ids.new()


def flights(rows: int, seed: int) -> pl.DataFrame:
    """Flights that are late more often in wind and with one carrier."""
    rng = np.random.default_rng(seed)
    wind, carrier = rng.gamma(3, 4, rows), rng.choice(["AA", "UA"], rows)
    late = wind / 8 + 0.9 * (carrier == "UA") + rng.normal(size=rows) > 2
    return pl.DataFrame({"minute": np.arange(rows), "wind": wind, "carrier": carrier, "late": late})


def late_rows(workspace: Workspace, rows: int = 1600, seed: int = 1) -> tuple[Rows, Rows]:
    """Rows to train on and rows held out, half and half."""
    workspace.data.commit("flights", flights(rows, seed))
    return workspace.data.rows("flights", features=FEATURES, label="late", order_by="minute").split(at=rows // 2)


def logged(workspace: Workspace, train: Rows, name: str = "late-arrival", strength: float = 1.0) -> ModelVersion:
    """A fitted model, logged; fitted and verified once for the same rows."""
    if (train.digest, strength) not in _kept:
        _kept[train.digest, strength] = keep(LogisticRegression(C=strength).fit(train.X, train.y), train)
    kept = _kept[train.digest, strength]
    mine = msgspec.structs.replace(kept.manifest, origins=tuple(train.lineage))
    return KeptModel(mine, kept.contents).log(name, workspace.models, workspace.objects)


_kept: dict[tuple[str, float], KeptModel] = {}
