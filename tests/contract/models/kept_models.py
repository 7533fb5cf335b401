"""Fitted models whose files were made once: to verify them as ONNX and skops takes longer than most tests."""

from functools import cache
from typing import NamedTuple

import msgspec
import numpy as np
from numpy.typing import NDArray

from tests.contract.models.fitted_models import fitted
from tidegate.data.records import Origin
from tidegate.kernel.objects import ObjectPlane
from tidegate.kernel.schema import Column
from tidegate.models.logging import manifest_of
from tidegate.models.records import Inputs, Manifest, ModelVersion
from tidegate.models.service import Models
from tidegate.models.signature import Policy
from tidegate.storage.objects.fingerprint import digest_of


class Trained(NamedTuple):
    """Rows that a model was trained on."""

    X: NDArray[np.float32]
    columns: tuple[Column, ...]
    digest: str = "0" * 64
    lineage: tuple[Origin, ...] = ()


class KeptModel(NamedTuple):
    """What `models.log` makes of a fitted model before it registers the version."""

    manifest: Manifest
    contents: tuple[bytes, ...]

    def log(self, name: str, models: Models, objects: ObjectPlane) -> ModelVersion:
        """The version that `models.log` would have made."""
        for content in self.contents:
            objects.put(content)
        return models.register(name, msgspec.structs.replace(self.manifest, name=name))


def keep(model: object, inputs: Inputs, policies: tuple[Policy, Policy] = ("null", "null")) -> KeptModel:
    """Make the files of a fitted model; the policies are those for unknown categories and missing features."""
    contents: list[bytes] = []

    def put(content: bytes) -> str:
        contents.append(content)
        return digest_of(content)

    manifest = manifest_of("kept", model, inputs=inputs, run_id=None, policies=policies, put=put)
    return KeptModel(manifest, tuple(contents))


@cache
def kept(recipe: str, *policies: Policy) -> KeptModel:
    """A model of `fitted_models`; where policies are given, those for unknown categories and missing features."""
    made = fitted(recipe)
    unknown, missing = policies or ("null", "null")
    return keep(made.model, Trained(made.matrix, made.signature.columns), (unknown, missing))
