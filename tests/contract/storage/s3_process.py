"""An S3 server (moto over real HTTP) in a process of its own, for tests."""

import subprocess
import sys
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, cast

import obstore
from obstore.store import from_url

from tidegate.kernel.ids import random_id

_SERVER = """
import logging, sys
from moto.server import ThreadedMotoServer
logging.getLogger("werkzeug").setLevel(logging.ERROR)
server = ThreadedMotoServer("127.0.0.1", 0, verbose=False)
server.start()
print(server.get_host_and_port()[1], flush=True)
sys.stdin.read()
"""


@contextmanager
def s3_server() -> Iterator[str]:
    """The endpoint of a running server, as `http://127.0.0.1:PORT`."""
    process = subprocess.Popen(
        [sys.executable, "-W", "ignore", "-c", _SERVER], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    with process:
        try:
            assert process.stdout is not None
            yield f"http://127.0.0.1:{int(process.stdout.readline())}"
        finally:
            process.kill()


def new_bucket(endpoint: str) -> str:
    """Make an empty bucket; its address."""
    name = f"objects-{random_id()[:12]}"
    request = urllib.request.Request(f"{endpoint}/{name}", method="PUT")
    with urllib.request.urlopen(request, timeout=10) as answer:
        assert answer.status == 200
    return f"s3://{name}/some/home"


def s3_options(endpoint: str) -> dict[str, Any]:
    """What `open_objects` needs to reach the server."""
    return {"endpoint": endpoint, "access_key_id": "test", "secret_access_key": "test", "region": "us-east-1"}


def put_behind_its_back(endpoint: str, url: str, key: str, data: bytes) -> None:
    """Put bytes under any key of a bucket, as another tool would."""
    store = from_url(url, client_options={"allow_http": True}, config=cast(Any, s3_options(endpoint)))
    obstore.put(store, key, data)
