"""The limit that `predict.py` measures against: one ONNX model on bare ASGI, with nothing around it.

No routing, no validation, no log, no ids: it trusts the body and reads the columns x0, x1, … of each row.
"""

import socket
import sys
from typing import Any

import msgspec
import numpy as np
import onnxruntime
import uvicorn

HEADERS = [(b"content-type", b"application/json")]


def application(file: str) -> Any:
    """The ASGI callable for the model in a file."""
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    session = onnxruntime.InferenceSession(file, options, providers=["CPUExecutionProvider"])
    given = session.get_inputs()[0]
    outputs = [output.name for output in session.get_outputs()]
    columns = [f"x{index}" for index in range(given.shape[1])]
    decode, encode = msgspec.json.decode, msgspec.json.encode

    async def answer(scope: Any, receive: Any, send: Any) -> None:
        body = b""
        while True:
            message = await receive()
            body += message["body"]
            if not message["more_body"]:
                break
        rows = decode(body)["rows"]
        matrix = np.array([[row[column] for column in columns] for row in rows], np.float32)
        labels, shares = session.run(outputs, {given.name: matrix})
        answers = [
            {"value": label, "probabilities": {"late": share[0], "on time": share[1]}}
            for label, share in zip(labels.tolist(), shares.tolist(), strict=True)
        ]
        reply = encode({"predictions": answers})
        length = (b"content-length", b"%d" % len(reply))
        await send({"type": "http.response.start", "status": 200, "headers": [*HEADERS, length]})
        await send({"type": "http.response.body", "body": reply})

    return answer


def main() -> None:
    bound = socket.socket()
    bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    bound.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    bound.bind(("127.0.0.1", int(sys.argv[1])))
    config = uvicorn.Config(
        application(sys.argv[2]),
        log_config=None,
        access_log=False,
        server_header=False,
        date_header=False,
        lifespan="off",
        loop="uvloop",
        http="httptools",
    )
    uvicorn.Server(config).run(sockets=[bound])


if __name__ == "__main__":
    main()
