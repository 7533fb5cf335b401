"""The serving process under a real supervisor: its event loop, its refusals, and what its metrics count."""

import http.client
from pathlib import Path

from prometheus_client.parser import text_string_to_metric_families

from tests.integration.tidegate_process import TidegateProcess
from tests.slices import ENDPOINT

ROW = {"distance": 1400.0, "wind": 12.5, "weekend": False}


def test_it_runs_on_uvloop_and_answers_in_one_form(server: TidegateProcess) -> None:
    server.start()
    mapped = Path(f"/proc/{server.child('http.server')}/maps").read_text()
    assert "uvloop" in mapped
    assert "httptools" in mapped
    connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=20)
    connection.putrequest("BREW", "/")
    connection.endheaders()
    reply = connection.getresponse()
    assert (reply.status, reply.headers["content-type"]) == (400, "application/json")
    assert b'"code":"invalid"' in reply.read()
    connection.close()


def test_metrics_of_several_processes_are_added_up(server: TidegateProcess) -> None:
    """Each connection may meet another process; whichever is asked, counts what all of them did."""
    server.start("--workers", "2")
    for _ in range(20):
        assert server.ask("POST", f"/api/v1/endpoints/{ENDPOINT}/predict", {"rows": [ROW]})[0] == 200
    connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=20)
    connection.request("GET", "/metrics")
    text = connection.getresponse().read().decode()
    connection.close()
    samples = [sample for family in text_string_to_metric_families(text) for sample in family.samples]
    counted = [
        sample.value
        for sample in samples
        if sample.name == "tidegate_endpoint_requests_total" and sample.labels["code"] == "ok"
    ]
    assert sum(counted) == 20
