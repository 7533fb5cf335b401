"""Calls an Open Inference server over HTTP with the real tritonclient, as its users do, with JSON tensors."""

import json
import sys
from typing import Any

import numpy as np
import tritonclient.http as triton
from tritonclient.utils import InferenceServerException

DTYPES = {
    "FP32": np.float32,
    "FP64": np.float64,
    "INT32": np.int32,
    "INT64": np.int64,
    "BOOL": np.bool_,
    "BYTES": np.object_,
}


def main() -> None:
    """Answer each of the calls that standard input asks for, in order.

    Input: `{"address": "127.0.0.1:8000", "token": "…" (optional), "calls": [{"call": "infer", …}, …]}`.
    """
    given = json.load(sys.stdin)
    client = triton.InferenceServerClient(url=given["address"], connection_timeout=20, network_timeout=20)
    headers = {"Authorization": f"Bearer {given['token']}"} if given.get("token") else None
    print(json.dumps([answer(client, headers, call) for call in given["calls"]]))


def answer(client: Any, headers: dict[str, str] | None, call: dict[str, Any]) -> dict[str, Any]:
    """The result of one call, or what the client raised."""
    try:
        return {"result": CALLS[call["call"]](client, headers, call)}
    except InferenceServerException as error:
        return {"error": error.message(), "status": error.status()}


def infer(client: Any, headers: dict[str, str] | None, call: dict[str, Any]) -> dict[str, Any]:
    """Send the inputs (`name`, `datatype`, `data` as nested lists) as JSON tensors, and take the outputs back."""
    inputs = []
    for tensor in call["inputs"]:
        data: Any = np.array(tensor["data"], dtype=DTYPES[tensor["datatype"]])
        item = triton.InferInput(tensor["name"], list(data.shape), tensor["datatype"])
        item.set_data_from_numpy(data, binary_data=False)
        inputs.append(item)
    outputs = [triton.InferRequestedOutput(name, binary_data=False) for name in call.get("outputs", [])]
    result = client.infer(
        call["model"],
        inputs,
        model_version=call.get("version", ""),
        outputs=outputs or None,
        request_id=call.get("id", ""),
        headers=headers,
    )
    response = result.get_response()
    arrays = {output["name"]: result.as_numpy(output["name"]) for output in response["outputs"]}
    return {"response": response, "outputs": {name: _plain(array) for name, array in arrays.items()}}


def _plain(array: Any) -> Any:
    return [item.decode() if isinstance(item, bytes) else item for item in array.tolist()]


CALLS: dict[str, Any] = {
    "server_live": lambda client, headers, _: client.is_server_live(headers=headers),
    "server_ready": lambda client, headers, _: client.is_server_ready(headers=headers),
    "server_metadata": lambda client, headers, _: client.get_server_metadata(headers=headers),
    "model_ready": lambda client, headers, call: client.is_model_ready(
        call["model"], call.get("version", ""), headers=headers
    ),
    "model_metadata": lambda client, headers, call: client.get_model_metadata(
        call["model"], call.get("version", ""), headers=headers
    ),
    "infer": infer,
}

if __name__ == "__main__":
    main()
