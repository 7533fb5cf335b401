"""How a server begins, is refused, and ends: exit codes, what it says, and who is still answered."""

import http.client
import json
import os
import signal
import socket
from pathlib import Path

from tests.integration.tidegate_process import PATIENCE, TidegateProcess, children, is_alive, tidegate, until
from tests.slices import ENDPOINT
from tidegate.workspace import open_workspace

ROW = {"distance": 1200.0, "wind": 20.0, "weekend": True}


def test_sigterm_answers_what_has_begun_and_leaves_nothing_behind(server: TidegateProcess, home: Path) -> None:
    server.start()
    under = children(server.pid)
    body = json.dumps({"rows": [ROW]}).encode()
    head = (
        f"POST /api/v1/endpoints/{ENDPOINT}/predict HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/json\r\n"
    )
    with socket.create_connection(("127.0.0.1", server.port), timeout=PATIENCE) as connection:
        connection.sendall(f"{head}content-length: {len(body)}\r\n\r\n".encode() + body[:5])
        status, _ = server.ask("GET", "/api/v1/version")  # by now the half request has begun, too
        assert status == 200
        os.kill(server.pid, signal.SIGTERM)
        until(lambda: not _listens(server.port), "no new connection was taken")
        connection.sendall(body[5:])
        reply = http.client.HTTPResponse(connection)
        reply.begin()
        answer = json.loads(reply.read())
    assert reply.status == 200, answer
    assert server.terminate() == 0
    assert not (home / "server.json").exists()
    assert not any(map(is_alive, under.values()))
    with open_workspace(home) as workspace:
        assert workspace.predictions.get(answer["predictions"][0]["id"]).inputs == ROW


def test_ctrl_c_ends_it_as_well(server: TidegateProcess) -> None:
    server.start("--workers", "2")
    assert server.process is not None
    os.kill(server.pid, signal.SIGINT)
    assert server.process.wait(PATIENCE) == 0
    assert "Traceback" not in server.log


def test_a_home_has_one_server(server: TidegateProcess, home: Path) -> None:
    server.start()
    second = tidegate("serve", "--home", home, "--port", "0")
    assert second.code == 1
    assert f"is served already, at {server.url} by process {server.pid}" in second.err
    assert "Traceback" not in second.err
    assert server.address() is not None
    assert server.ask("GET", "/ready")[0] == 200


def test_a_port_in_use_is_named(server: TidegateProcess, home: Path, tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as foreign:
        port = foreign.getsockname()[1]
        refused = tidegate("serve", "--home", home, "--port", str(port))
    assert refused.code == 1
    assert f"127.0.0.1:{port} is in use" in refused.err
    assert refused.err.count("\n") == 1
    server.start()
    other = tidegate("serve", "--home", tmp_path / "other", "--port", str(server.port))
    assert (other.code, "is in use" in other.err) == (1, True), "two homes never share a port"


def test_others_may_not_reach_a_home_that_asks_nobody_who_they_are(home: Path) -> None:
    refused = tidegate("serve", "--home", home, "--host", "192.0.2.1", "--port", "0")
    assert refused.code == 3
    assert "--auth token" in refused.err
    assert not (home / "server.json").exists()


def test_a_server_with_tokens_knows_nobody_without_one(server: TidegateProcess, home: Path) -> None:
    with open_workspace(home) as workspace:
        token = workspace.people.add("operator", role="contributor").token
    server.start("--auth", "token")
    assert server.ask("GET", "/api/v1/endpoints")[0] == 401
    settings = {"TIDEGATE_URL": server.url}
    assert tidegate("endpoints", "list", settings=settings).code == 4
    listed = tidegate("endpoints", "list", settings=settings | {"TIDEGATE_TOKEN": token})
    assert (listed.code, ENDPOINT in listed.out) == (0, True), listed.err


def test_a_simulated_clock_is_decided_when_the_home_is_made(
    server: TidegateProcess, home: Path, tmp_path: Path
) -> None:
    refused = tidegate("serve", "--home", home, "--port", "0", "--simulated-clock")
    assert refused.code == 1
    assert "--simulated-clock" in refused.err
    server.home = tmp_path / "simulated"
    server.start("--simulated-clock")
    status, answer = server.ask("GET", "/api/v1/status")
    assert (status, answer["simulated_clock"], answer["now"][:4]) == (200, True, "1970")


def test_a_home_that_cannot_be_made_is_refused_in_one_line(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    refused = tidegate("serve", "--home", tmp_path / "file" / "home", "--port", "0")
    assert refused.code == 1
    assert refused.err.startswith("error: home")
    assert refused.err.count("\n") == 1


def _listens(port: int) -> bool:
    try:
        socket.create_connection(("127.0.0.1", port), timeout=PATIENCE).close()
    except OSError:
        return False
    return True
