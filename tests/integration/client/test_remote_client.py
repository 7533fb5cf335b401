"""The remote client against real servers: errors as their class, lost replies, roles and tokens, absent servers."""

import contextlib
import socket
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.contract.endpoints.serving_home import ROW
from tests.integration.client.wire_tap import LossyProxy, answering
from tests.integration.http.served_home import ENDPOINT, ServedHome, log_version
from tests.integration.tidegate_process import TidegateProcess, until
from tidegate.http.thread import serving
from tidegate.kernel.context import Call, current
from tidegate.kernel.errors import (
    AlreadyExists,
    Conflict,
    Forbidden,
    Internal,
    Invalid,
    NotFound,
    Refused,
    TidegateError,
    Unauthenticated,
    Unavailable,
)
from tidegate.kernel.settings import Settings
from tidegate.workspace import Workspace, open_local, open_workspace

Connect = Callable[..., Workspace]


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServedHome]:
    """A home with one endpoint, its server, and `late/1` in stage production."""
    settings = Settings(home=str(tmp_path_factory.mktemp("remote") / "home"))
    with open_local(settings) as workspace, serving(workspace) as url:
        workspace.endpoints.deploy(ENDPOINT, log_version(workspace, "late"))
        yield ServedHome(workspace, url)


@pytest.fixture
def connect() -> Iterator[Connect]:
    """Opens servers, as whomever the token names; closed with the test."""
    with contextlib.ExitStack() as opened:
        yield lambda url, token="": opened.enter_context(open_workspace(url, token=token))


@pytest.fixture
def proxy(served: ServedHome) -> Iterator[LossyProxy]:
    """A proxy before the server."""
    made = LossyProxy(served.port)
    yield made
    made.close()


@contextlib.contextmanager
def calling(key: str) -> Iterator[None]:
    """Calls inside carry this idempotency key."""
    token = current.set(Call(actor="local", idempotency_key=key))
    try:
        yield
    finally:
        current.reset(token)


WRONG: dict[str, tuple[type[TidegateError], Callable[[Workspace], object]]] = {
    "invalid": (Invalid, lambda ws: ws.people.add("no/name", role="viewer")),
    "invalid, by the signature": (Invalid, lambda ws: ws.people.add("name", role="king")),  # type: ignore[arg-type]
    "refused": (Refused, lambda ws: ws.approvals.approve("late/1", reason="my own")),
    "forbidden": (Forbidden, lambda ws: ws.people.revoke("local", role="admin")),
    "not found": (NotFound, lambda ws: ws.models.get("late", 99)),
    "not found, hostile": (NotFound, lambda ws: ws.models.versions("..")),
    "already exists": (AlreadyExists, lambda ws: [ws.people.add("twice", role="viewer") for _ in range(2)]),
    "conflict": (Conflict, lambda ws: ws.models.set_alias("late", "champion", number=1, expected=7)),
}


@pytest.mark.parametrize("what", WRONG)
def test_an_error_arrives_as_the_one_that_was_raised(served: ServedHome, connect: Connect, what: str) -> None:
    kind, act = WRONG[what]
    caught = []
    for workspace in (served.inside, connect(served.url)):
        with pytest.raises(TidegateError) as error:
            act(workspace)
        caught.append(error.value)
    local, remote = caught
    if what not in ("forbidden", "not found, hostile"):
        assert type(local) is type(remote) is kind
        assert (local.message, local.details) == (remote.message, remote.details)
    assert isinstance(remote, TidegateError)
    assert type(remote) is type(local)


def _answer(status: str, body: bytes, kind: str = "application/json", more: str = "") -> bytes:
    head = (
        f"HTTP/1.1 {status}\r\ncontent-type: {kind}\r\ncontent-length: {len(body)}\r\nconnection: close\r\n{more}\r\n"
    )
    return head.encode() + body


@pytest.mark.parametrize(
    ("reply", "kind", "told"),
    [
        (_answer("418 X", b'{"code":"teapot","message":"short and stout","details":{"a":1}}'), Internal, "stout"),
        (_answer("400 X", b'{"code":"os.system","message":"no class of ours"}'), Internal, "no class"),
        (_answer("400 X", b'{"code":"invalid","message":"m","details":{"self":1,"message":2}}'), Invalid, "m"),
        (_answer("400 X", b'{"code":5}'), Unavailable, "not as a Tidegate server"),
        (_answer("404 X", b"<html>", "text/html"), Unavailable, "answered 404, and not as a Tidegate server"),
        (_answer("500 X", b"", "text/html"), Internal, "answered 500"),
        (_answer("502 X", b"<html>", "text/html"), Unavailable, "answered 502"),
        (_answer("503 X", b"\xff\xfe"), Unavailable, "answered 503"),
        (_answer("302 X", b"", more="location: http://127.0.0.1:1/\r\n"), Unavailable, "answered 302"),
        (_answer("200 X", b"<html>", "text/html"), Unavailable, "is the address right"),
        (_answer("200 X", b'{"other": "thing"}'), Internal, "same version"),
        (_answer("200 X", b'{"items": ['), Internal, "same version"),
        (_answer("200 X", b"[" * 100_000), Internal, "same version"),
        (b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: 99\r\n\r\n{}", Unavailable, "answer"),
        (b"SSH-2.0-OpenSSH_9.2\r\n", Unavailable, "does not answer"),
        (b"", Unavailable, "does not answer"),
    ],
    ids=lambda each: str(each)[:32],
)
def test_what_does_not_answer_as_we_do(connect: Connect, reply: bytes, kind: type[TidegateError], told: str) -> None:
    with answering(reply) as url:
        with pytest.raises(TidegateError, match=told) as error:
            connect(url).models.list()
    assert type(error.value) is kind


def test_an_absent_server_is_named(connect: Connect) -> None:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{probe.getsockname()[1]}"
    with pytest.raises(Unavailable, match=f"the server at {url} does not answer .*is it running"):
        connect(url).models.list()


@pytest.mark.parametrize("url", ["http://", "http://[::1", "http://a b/", "ftp://127.0.0.1/", "http://127.0.0.1:99999"])
def test_what_is_no_address_is_refused(connect: Connect, url: str) -> None:
    with pytest.raises((Invalid, Unavailable)) as error:
        connect(url).models.list()
    assert error.value.message


def test_a_port_beyond_the_last_is_refused_though_the_system_would_take_another(
    connect: Connect, served: ServedHome
) -> None:
    port = int(served.url.rpartition(":")[2])
    with pytest.raises(Invalid, match="is not the address of a server"):
        connect(f"http://127.0.0.1:{port + 65536}")


@pytest.mark.parametrize("token", ["two words", "line\nbreak", "tg_\x00", "ключ", " "])
def test_what_is_no_token_is_refused(connect: Connect, served: ServedHome, token: str) -> None:
    with pytest.raises(Invalid, match="token"):
        connect(served.url, token)


@pytest.mark.parametrize("lost", [0, 1, 2, 3])
def test_a_change_whose_reply_is_lost_is_done_once(
    served: ServedHome, connect: Connect, proxy: LossyProxy, lost: int
) -> None:
    """The server commits, the reply never arrives, the client asks again under the same idempotency key."""
    remote = connect(proxy.url)
    experiment = f"lost {lost}"
    proxy.lose = lost
    run = remote.runs.create(experiment)
    assert proxy.lost == lost
    assert [each.id for each in served.inside.runs.list(experiment=experiment).items] == [run.id]
    written = [row for row in served.inside.audit.list(operation="runs.create").items if row.operation == "runs.create"]
    assert len(written) == len({row.request_id for row in written})


def test_when_every_reply_is_lost_the_key_still_finds_the_answer(
    served: ServedHome, connect: Connect, proxy: LossyProxy
) -> None:
    remote = connect(proxy.url)
    with calling("lost-for-long"):
        proxy.lose = 4
        with pytest.raises(Unavailable, match="does not answer"):
            remote.runs.create("lost for long")
        (known,) = served.inside.runs.list(experiment="lost for long").items
        assert remote.runs.create("lost for long") == known
        with pytest.raises(Conflict, match="idempotency key"):
            remote.runs.create("something else")
    assert len(served.inside.runs.list(experiment="lost for long").items) == 1


def test_a_read_is_asked_again(connect: Connect, proxy: LossyProxy) -> None:
    proxy.lose = 3
    assert connect(proxy.url).models.get("late", 1).reference == "late/1"


def test_a_prediction_is_never_asked_for_twice_behind_ones_back(
    served: ServedHome, connect: Connect, proxy: LossyProxy
) -> None:
    """It has no transaction that would know its key again: it is logged each time."""
    remote = connect(proxy.url)

    def logged() -> int:
        return sum(each.predictions for each in served.inside.predictions.count())

    remote.endpoints.predict(ENDPOINT, [ROW])
    before = logged()
    proxy.lose = 1
    with pytest.raises(Unavailable, match="not known"):
        remote.endpoints.predict(ENDPOINT, [ROW])
    assert logged() == before + 1


def test_an_object_arrives_although_connections_break(served: ServedHome, connect: Connect, proxy: LossyProxy) -> None:
    data = bytes(range(256)) * 40_000
    remote = connect(proxy.url)
    proxy.lose = 2
    info = remote.objects.put(data)
    proxy.lose = 3
    assert remote.objects.get(info.digest) == data
    assert proxy.lost == 5


def test_a_server_killed_between_commit_and_reply(server: TidegateProcess, connect: Connect) -> None:
    """`kill -9` in the moment in which the reply comes out: the key finds the answer at the next server."""
    server.start()
    proxy = LossyProxy(server.port)
    remote = connect(proxy.url)
    assert remote.loop.status().endpoints

    def killed() -> None:
        server.kill("http.server")

    with calling("killed"):
        proxy.lose, proxy.on_loss = 1, killed
        with contextlib.suppress(Unavailable):
            remote.runs.create("survivor")
        assert proxy.lost == 1
        until(lambda: _up(server), "another serving process was ready")
        run = remote.runs.create("survivor")
    assert [each.id for each in remote.runs.list(experiment="survivor").items] == [run.id]
    proxy.close()


def _up(server: TidegateProcess) -> bool:
    try:
        return server.ask("GET", "/ready")[0] == 200
    except OSError:
        return False


def test_roles_hold_over_http(served: ServedHome, connect: Connect) -> None:
    people = served.inside.people
    viewer = connect(served.url, people.add("watcher", role="viewer").token)
    contributor = connect(served.url, people.add("builder", role="contributor").token)
    maintainer = connect(served.url, people.add("keeper", role="maintainer").token)
    assert viewer.models.get("late", 1).reference == "late/1"
    run = contributor.runs.create("roles")
    assert run.actor == "builder"
    before = served.kept()
    refused: list[tuple[Workspace, Callable[[Workspace], Any], str]] = [
        (viewer, lambda ws: ws.runs.create("roles"), "contributor"),
        (viewer, lambda ws: ws.endpoints.predict(ENDPOINT, [ROW]), "contributor"),
        (viewer, lambda ws: ws.loop.tick(), "maintainer"),
        (contributor, lambda ws: ws.endpoints.deploy(ENDPOINT, "late/1"), "maintainer"),
        (maintainer, lambda ws: ws.people.add("friend", role="admin"), "admin"),
        (maintainer, lambda ws: ws.approvals.approve("late/1", reason="good"), "approver"),
        (maintainer, lambda ws: ws.audit.list(), "auditor"),
    ]
    for workspace, act, role in refused:
        with pytest.raises(Forbidden, match=f"needs the role {role}") as error:
            act(workspace)
        assert type(error.value) is Forbidden
    changed = {name for name, digest in served.kept().items() if before.get(name) != digest}
    assert changed <= {"table audit", "table audit_head"}


def test_a_token_ends_with_its_revocation(served: ServedHome, connect: Connect) -> None:
    added = served.inside.people.add("leaver", role="viewer")
    remote = connect(served.url, added.token)
    assert remote.models.get("late", 1).number == 1
    served.inside.people.revoke_token("leaver", added.info.id)

    def refused() -> bool:
        try:
            remote.models.get("late", 1)
        except Unauthenticated:
            return True
        return False

    until(refused, "the revocation was in force", 10)
    with pytest.raises(Unauthenticated):
        connect(served.url, "tg_" + "x" * 43).models.get("late", 1)


def test_a_server_with_auth_token_refuses_whoever_has_none(tmp_path: Path, connect: Connect) -> None:
    settings = Settings(home=str(tmp_path / "home"), auth="token")
    with open_local(settings) as workspace, serving(workspace) as url:
        closed = ServedHome(workspace, url)
        token = workspace.people.new_token("local").token
        for path in ("/health", "/version", "/ready", "/api/v1/version", "/openapi.json", "/v2/health/live"):
            assert closed.ask("GET", path).status == 200, path
        for path in ("/", "/metrics", "/api/v1/models", "/api/v1/objects/" + "0" * 64, "/api/v1/status"):
            reply = closed.ask("GET", path)
            challenge = 'Basic realm="Tidegate", charset="UTF-8"' if path in ("/", "/metrics") else "Bearer"
            assert (reply.status, reply.headers["www-authenticate"]) == (401, challenge), path
            assert reply.json["code"] == "unauthenticated"
            for wrong in ("Basic bG9jYWw6", "Bearer", "Bearer ", "Bearer tg_no", f"Bearer {token}x", f"Token {token}"):
                assert closed.ask("GET", path, headers={"authorization": wrong}).status == 401, (path, wrong)
            right = closed.ask("GET", path, headers={"authorization": f"Bearer {token}"})
            assert right.status == (404 if "objects" in path else 200), path
        assert closed.post("/api/v1/endpoints/x/predict", {"rows": [ROW]}).status == 401
        assert closed.post("/v2/models/x/infer", {"inputs": []}).status == 401
        with pytest.raises(Unauthenticated, match="needs a token"):
            connect(url).models.list()
        assert connect(url, token).models.list().items == []


FOREIGN = [
    {"host": "evil.example"},
    {"host": "evil.example:8000"},
    {"host": "127.0.0.1.evil.example"},
    {"host": "localhost.evil.example"},
    {"host": "localhost@evil.example"},
    {"host": ""},
    {"origin": "https://evil.example"},
    {"origin": "null"},
    {"origin": "http://localhost.evil.example"},
    {"sec-fetch-site": "cross-site"},
    {"sec-fetch-site": "same-site"},
]


@pytest.mark.parametrize("headers", FOREIGN, ids=str)
def test_foreign_pages_and_hosts_may_not_use_loopback(served: ServedHome, headers: dict[str, str]) -> None:
    """A page that the person looks at, also by a name that was made to point here, acts in nobody's name."""
    before = served.kept()
    body = b'{"name": "intruder", "role": "admin"}'
    for method, path, sent in [
        ("GET", "/", None),
        ("GET", "/metrics", None),
        ("GET", "/api/v1/models", None),
        ("POST", "/api/v1/people", body),
        ("PUT", "/api/v1/objects/" + "0" * 64, b"x"),
        ("POST", f"/api/v1/endpoints/{ENDPOINT}/predict", b'{"rows": []}'),
        ("POST", f"/v2/models/{ENDPOINT}/infer", b'{"inputs": []}'),
    ]:
        kind = {"content-type": "application/json"} if sent is not None else {}
        reply = served.ask(method, path, sent, kind | headers)
        assert reply.status == 403, (method, path, reply)
        assert "access-control-allow-origin" not in reply.headers
    assert served.kept() == before


def test_a_client_whose_resting_connection_was_closed_finds_its_server_again(
    proxy: LossyProxy, connect: Connect
) -> None:
    remote = connect(proxy.url)
    assert remote.models.get("late", 1).number == 1
    assert proxy.hang_up() == 1
    assert remote.runs.create("after a pause").status == "running"
