"""The limit that `mlflow_tracking.py` measures against: a server that answers every call at once, and looks up nothing.

What it answers to reads stands in a file: rows of a part of the path, a part of the body, and the reply.
"""

import json
import socket
import sys
from pathlib import Path
from typing import Any

import uvicorn

RUN = {
    "run": {
        "info": {"run_id": "0" * 32, "run_uuid": "0" * 32, "experiment_id": "0", "status": "RUNNING", "start_time": 1},
        "data": {"metrics": [], "params": [], "tags": []},
    }
}
REPLY = json.dumps(RUN).encode()


class Replies:
    """Answers from memory, the same to everybody."""

    def __init__(self, known: list[tuple[str, str, str]]) -> None:
        self._known = [(path, body.encode(), reply.encode()) for path, body, reply in known]

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        """One request."""
        asked, more = b"", True
        while more:
            message = await receive()
            asked, more = asked + message.get("body", b""), message.get("more_body", False)
        found = (reply for path, body, reply in self._known if path in scope["path"] and body in asked)
        reply = next(found, REPLY)
        headers = [(b"content-type", b"application/json"), (b"content-length", b"%d" % len(reply))]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        await send({"type": "http.response.body", "body": reply})


def main() -> None:
    """Serve on the port in the first argument; a second one names the file of replies."""
    known = json.loads(Path(sys.argv[2]).read_text(encoding="utf-8")) if sys.argv[2:] else []
    bound = socket.socket()
    bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    bound.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    bound.bind(("127.0.0.1", int(sys.argv[1])))
    config = uvicorn.Config(Replies(known), log_config=None, access_log=False, lifespan="off")
    uvicorn.Server(config).run(sockets=[bound])


if __name__ == "__main__":
    main()
