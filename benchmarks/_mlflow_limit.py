"""The limit that `mlflow_tracking.py` measures against: a server that reads nothing and answers every call at once."""

import json
import socket
import sys
from typing import Any

import uvicorn

RUN = {
    "run": {
        "info": {"run_id": "0" * 32, "run_uuid": "0" * 32, "experiment_id": "0", "status": "RUNNING", "start_time": 1},
        "data": {"metrics": [], "params": [], "tags": []},
    }
}
REPLY = json.dumps(RUN).encode()
HEADERS = [(b"content-type", b"application/json"), (b"content-length", b"%d" % len(REPLY))]


async def answer(scope: Any, receive: Any, send: Any) -> None:
    """The same to everybody."""
    while (await receive()).get("more_body"):
        pass
    await send({"type": "http.response.start", "status": 200, "headers": HEADERS})
    await send({"type": "http.response.body", "body": REPLY})


def main() -> None:
    """Serve on the port in the first argument."""
    bound = socket.socket()
    bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    bound.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    bound.bind(("127.0.0.1", int(sys.argv[1])))
    config = uvicorn.Config(answer, log_config=None, access_log=False, lifespan="off")
    uvicorn.Server(config).run(sockets=[bound])


if __name__ == "__main__":
    main()
