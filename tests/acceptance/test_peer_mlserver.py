"""The tritonclient driver against MLServer: our endpoints are asked nothing that a server of others cannot answer."""

import socket
import time
import urllib.request
from collections.abc import Callable, Iterator

import pytest

from tests.peers.peer import Peer

pytestmark = pytest.mark.peers


def free_port() -> int:
    """A port that nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@pytest.fixture(scope="module")
def mlserver(peer: Callable[[str], Peer], tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The address of a running MLServer with the model `sum`."""
    folder = tmp_path_factory.mktemp("mlserver")
    address = f"127.0.0.1:{free_port()}"
    log = folder / "log"
    with peer("mlserver").serve(
        "serve.py", address.partition(":")[2], str(free_port()), str(folder / "home"), log=log
    ) as process:
        deadline = time.monotonic() + 60
        while not _ready(f"http://{address}/v2/models/sum/ready"):
            assert process.poll() is None, log.read_text(encoding="utf-8")
            assert time.monotonic() < deadline, log.read_text(encoding="utf-8")
            time.sleep(0.2)
        yield address


def _ready(url: str) -> bool:
    try:
        with urllib.request.urlopen(url, timeout=2) as answer:
            return bool(answer.status == 200)
    except OSError:
        return False


def test_tritonclient_reads_the_answers_of_mlserver(peer: Callable[[str], Peer], mlserver: str) -> None:
    rows = [[1.0, 2.0, 3.0], [4.0, 5.0, 6.0]]
    calls = [
        {"call": "server_live"},
        {"call": "server_ready"},
        {"call": "model_ready", "model": "sum"},
        {"call": "model_metadata", "model": "sum"},
        {"call": "infer", "model": "sum", "id": "r-1", "inputs": [{"name": "x", "datatype": "FP64", "data": rows}]},
        {"call": "infer", "model": "nobody", "inputs": [{"name": "x", "datatype": "FP64", "data": rows}]},
    ]
    live, ready, model_ready, metadata, infer, unknown = peer("tritonclient").run(
        "driver.py", address=mlserver, calls=calls
    )
    assert [one["result"] for one in (live, ready, model_ready)] == [True, True, True]
    assert metadata["result"]["name"] == "sum"
    assert infer["result"]["response"]["id"] == "r-1"
    (values,) = infer["result"]["outputs"].values()
    assert [round(value, 6) for value in _flat(values)] == [6.0, 15.0]
    assert "error" in unknown


def _flat(values: list[object]) -> list[float]:
    return [float(str(one[0] if isinstance(one, list) else one)) for one in values]
