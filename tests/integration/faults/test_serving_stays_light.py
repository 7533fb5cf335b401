"""A serving process that answers with an ONNX model has none of the libraries that training and analysis need."""

import http.client
from pathlib import Path

from tests.integration.tidegate_process import PATIENCE, TidegateProcess
from tests.slices import ENDPOINT

TOO_HEAVY = ("polars", "scipy/stats", "sklearn", "skl2onnx", "skops", "pandas", "pyarrow")
ROW = {"distance": 1200.0, "wind": 20.0, "weekend": True}


def libraries(pid: int) -> set[str]:
    """The shared libraries that a process has mapped."""
    return {line.split(maxsplit=5)[5] for line in Path(f"/proc/{pid}/maps").read_text().splitlines() if ".so" in line}


def heavy(mapped: set[str]) -> list[str]:
    """The libraries among them that a serving process must not load."""
    return sorted(
        path for path in mapped if any(f"-packages/{lead}{name}" in path for name in TOO_HEAVY for lead in ("", "_"))
    )


def test_a_serving_process_loads_what_serving_needs(server: TidegateProcess) -> None:
    server.start()
    status, answer = server.ask("POST", f"/api/v1/endpoints/{ENDPOINT}/predict", {"rows": [ROW]})
    assert status == 200, answer
    id_ = answer["predictions"][0]["id"]
    label = {"prediction_id": id_, "value": True, "observed_at": "2013-07-02T00:00:00Z"}
    assert server.ask("POST", f"/api/v1/endpoints/{ENDPOINT}/labels", {"labels": [label]})[0] == 200
    assert server.ask("GET", f"/v2/models/{ENDPOINT}")[0] == 200
    for path in ("/api/v1/status", "/api/v1/endpoints", f"/api/v1/predictions/{id_}", f"/api/v1/why/{id_}"):
        assert server.ask("GET", path)[0] == 200, path
    assert _page(server, "/") == 200
    assert _page(server, "/metrics") == 200
    mapped = libraries(server.child("http.server"))
    assert any("onnxruntime" in path for path in mapped), "the model is in memory"
    assert not heavy(mapped)


def test_the_rule_sees_a_heavy_library() -> None:
    import polars  # noqa: F401
    import sklearn.linear_model  # noqa: F401

    found = heavy(libraries(_own_pid()))
    assert any("polars" in path for path in found)
    assert any("sklearn" in path for path in found)


def _page(server: TidegateProcess, path: str) -> int:
    connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=PATIENCE)
    try:
        connection.request("GET", path)
        reply = connection.getresponse()
        reply.read()
        return reply.status
    finally:
        connection.close()


def _own_pid() -> int:
    return int(Path("/proc/self").resolve().name)
