"""The protocol's JSON objects. Fields that it does not know are ignored, as its other servers do."""

from typing import Any

import msgspec

Parameters = dict[str, str | int | float | bool]


class TensorIn(msgspec.Struct, frozen=True):
    """An input tensor; ``data`` nested or flat, in row-major order."""

    name: str
    shape: list[int]
    datatype: str
    data: list[Any] | None = None
    parameters: Parameters = {}


class OutputAsked(msgspec.Struct, frozen=True):
    """An output that the client wants."""

    name: str
    parameters: Parameters = {}


class InferRequest(msgspec.Struct, frozen=True):
    """What is posted to ``infer``."""

    inputs: list[TensorIn]
    id: str | None = None
    outputs: list[OutputAsked] | None = None
    parameters: Parameters = {}


def keys_of(asked: InferRequest) -> int:
    """How many keys such a request is written with, at least."""
    outputs = asked.outputs or ()
    more = [one.parameters for one in (asked, *asked.inputs, *outputs)]
    own = 1 + (asked.id is not None) + (asked.outputs is not None) + len(outputs)
    return own + sum(3 + (one.data is not None) for one in asked.inputs) + sum(1 + len(one) for one in more if one)


class TensorOut(msgspec.Struct, frozen=True):
    """An output tensor, its data flat in row-major order."""

    name: str
    datatype: str
    shape: list[int]
    data: list[Any]


class InferResponse(msgspec.Struct, frozen=True, omit_defaults=True):
    """The answer to ``infer``."""

    model_name: str
    model_version: str
    outputs: list[TensorOut]
    id: str | None = None


class TensorKind(msgspec.Struct, frozen=True, omit_defaults=True):
    """A tensor as the metadata describe it; -1 stands for the number of rows."""

    name: str
    datatype: str
    shape: list[int]
    parameters: Parameters = {}


class ModelMetadata(msgspec.Struct, frozen=True):
    """What is known of a model."""

    name: str
    versions: list[str]
    platform: str
    inputs: list[TensorKind]
    outputs: list[TensorKind]


class ServerMetadata(msgspec.Struct, frozen=True):
    """What is known of the server."""

    name: str
    version: str
    extensions: list[str]


class Live(msgspec.Struct, frozen=True):
    """Whether the server runs."""

    live: bool


class Ready(msgspec.Struct, frozen=True):
    """Whether the server can answer for every endpoint."""

    ready: bool


class ModelReady(msgspec.Struct, frozen=True):
    """Whether a model can answer."""

    name: str
    ready: bool


class ErrorBody(msgspec.Struct, frozen=True):
    """The protocol's only form of an error."""

    error: str
