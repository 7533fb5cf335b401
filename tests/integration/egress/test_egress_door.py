"""The door against real servers on this machine: honest, moved, lying, slow, endless, and cut off."""

import socket
import ssl
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from datetime import timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from time import perf_counter

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import NameOID

from tidegate.egress import Door
from tidegate.kernel.clock import SystemClock
from tidegate.kernel.errors import Invalid, Refused, Unavailable

LOOPBACK = ("127.0.0.0/8",)


class Answers(BaseHTTPRequestHandler):
    """Repeats what it was sent, or answers as the path says."""

    protocol_version = "HTTP/1.1"

    def _answer(self) -> None:
        received = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        if self.path.startswith("/moved"):
            self.send_response(302)
            self.send_header("Location", "http://169.254.169.254/latest/meta-data")
            self.send_header("Content-Length", "0")
            self.end_headers()
            return
        body = f"{self.command} {self.path} {self.headers['Host']} {self.headers.get('X-Mark')}\n".encode() + received
        self.send_response(200)
        self.send_header("X-Twice", "a")
        self.send_header("X-Twice", "b")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    do_GET = do_POST = do_HEAD = do_PUT = _answer

    def log_message(self, format: str, *args: object) -> None:
        """Silence."""


@contextmanager
def _serving(tls: ssl.SSLContext | None = None) -> Iterator[int]:
    server = ThreadingHTTPServer(("127.0.0.1", 0), Answers)
    if tls is not None:
        server.socket = tls.wrap_socket(server.socket, server_side=True)
    thread = threading.Thread(target=server.serve_forever, args=(0.02,))
    thread.start()
    try:
        yield server.server_address[1]
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


@pytest.fixture
def port() -> Iterator[int]:
    with _serving() as port:
        yield port


@contextmanager
def _speaking(speak: Callable[[socket.socket], None]) -> Iterator[int]:
    """A server that reads a request and then says what `speak` says, for good or ill."""
    listener = socket.create_server(("127.0.0.1", 0))

    def serve() -> None:
        try:
            connection, _ = listener.accept()
            with connection:
                connection.recv(65536)
                speak(connection)
        except OSError:
            return

    listener.settimeout(10)  # on a busy machine a client may give up before it has connected
    thread = threading.Thread(target=serve)
    thread.start()
    try:
        yield listener.getsockname()[1]
    finally:
        thread.join()
        listener.close()


def _loopback(host: str, port: int) -> Sequence[str]:
    return ["127.0.0.1"]


def test_a_request_arrives_and_its_answer_comes_back(port: int) -> None:
    door = Door(LOOPBACK)
    answer = door.request("POST", f"http://127.0.0.1:{port}/a?b=c#d", headers={"X-Mark": "m"}, body=b"payload")
    assert answer.status == 200
    assert answer.body == f"POST /a?b=c 127.0.0.1:{port} m\npayload".encode()
    assert answer.headers["x-twice"] == "a, b"
    assert door.request("HEAD", f"http://127.0.0.1:{port}/").body == b""


def test_law_1_the_host_header_keeps_the_name_and_the_name_is_looked_up_once(port: int) -> None:
    looked_up: list[str] = []

    def rebinding(host: str, port: int) -> Sequence[str]:
        looked_up.append(host)
        return ["127.0.0.1"] if len(looked_up) == 1 else ["169.254.169.254"]

    door = Door(LOOPBACK, resolver=rebinding)
    answer = door.request("GET", f"http://hooks.example:{port}/")
    assert f"hooks.example:{port}" in answer.body.decode()
    assert looked_up == ["hooks.example"]
    with pytest.raises(Refused, match=r"169\.254\.169\.254 is a link-local address"):
        door.request("GET", f"http://hooks.example:{port}/")


def test_law_2_a_name_that_leads_inside_is_refused_before_any_connection() -> None:
    listener = socket.create_server(("127.0.0.1", 0))
    listener.setblocking(False)
    port = listener.getsockname()[1]
    door = Door()
    for host in ("127.0.0.1", "localhost", "[::1]", "[::ffff:127.0.0.1]", "2130706433", "0x7f.1", "127.1", "0"):
        with pytest.raises(Refused, match="allow_private"):
            door.request("GET", f"http://{host}:{port}/")
    with pytest.raises(BlockingIOError):
        listener.accept()
    listener.close()


def test_law_2_only_the_permitted_of_several_addresses_is_used(port: int) -> None:
    door = Door(LOOPBACK, resolver=lambda host, port: ["169.254.169.254", "10.0.0.1", "127.0.0.1"])
    assert door.request("GET", f"http://mixed.example:{port}/").status == 200


def test_law_3_redirects_and_proxies_are_not_followed(port: int, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("http_proxy", "HTTP_PROXY", "all_proxy"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")
    answer = Door(LOOPBACK).request("GET", f"http://127.0.0.1:{port}/moved")
    assert answer.status == 302
    assert answer.headers["location"] == "http://169.254.169.254/latest/meta-data"


def _drip(head: bytes, drop: bytes) -> Callable[[socket.socket], None]:
    def speak(connection: socket.socket) -> None:
        connection.sendall(head)
        for _ in range(200):
            connection.sendall(drop)
            threading.Event().wait(0.05)

    return speak


@pytest.mark.parametrize(
    ("head", "drop"),
    [
        (b"", b"H"),
        (b"HTTP/1.1 200 OK\r\n", b"X-A: b\r\n"),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n", b"x"),
        (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", b"1\r\nx\r\n"),
        (b"", b"HTTP/1.1 100 Continue\r\n\r\n"),
    ],
    ids=["status", "headers", "body", "chunks", "continue"],
)
def test_law_4_a_server_that_drips_gains_no_time(head: bytes, drop: bytes) -> None:
    with _speaking(_drip(head, drop)) as port:
        began = perf_counter()
        with pytest.raises(Unavailable):
            Door(LOOPBACK, timeout=0.4).request("GET", f"http://127.0.0.1:{port}/")
        assert perf_counter() - began < 2


def _silent(connection: socket.socket) -> None:
    threading.Event().wait(1)


def test_law_4_a_slow_name_server_and_a_silent_server_are_not_waited_for() -> None:
    release = threading.Event()

    def slow(host: str, port: int) -> Sequence[str]:
        release.wait(20)
        return ["127.0.0.1"]

    began = perf_counter()
    with pytest.raises(Unavailable, match=r"within 0\.2 s"):
        Door(LOOPBACK, timeout=0.2, resolver=slow).request("GET", "http://slow.example/")
    with _speaking(_silent) as port, pytest.raises(Unavailable):
        Door(LOOPBACK, timeout=0.2).request("GET", f"http://127.0.0.1:{port}/")
    assert perf_counter() - began < 3
    release.set()


@pytest.mark.parametrize(
    ("said", "message"),
    [
        (b"HTTP/1.1 200 OK\r\nContent-Length: 5000\r\n\r\n" + b"x" * 5000, "more than 1000 bytes"),
        (b"HTTP/1.1 200 OK\r\n\r\n" + b"x" * 5000, "more than 1000 bytes"),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 50\r\n\r\nshort", "broke off, 45 bytes"),
        (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nab", "failed"),
        (b"SSH-2.0-hello\r\n", "failed"),
        (b"", "failed"),
        (b"HTTP/1.1 200 OK\r\n" + b"X-Many: x\r\n" * 500 + b"\r\n", "failed"),
        (b"HTTP/1.1 200 OK\r\nX-Long: " + b"x" * 100_000 + b"\r\n\r\n", "failed"),
    ],
    ids=["too long", "endless", "cut", "cut chunk", "not http", "silence", "many headers", "long header"],
)
def test_law_4_broken_answers_are_explained(said: bytes, message: str) -> None:
    with _speaking(lambda connection: connection.sendall(said)) as port:
        with pytest.raises(Unavailable, match=message):
            Door(LOOPBACK, max_bytes=1000, timeout=5).request("GET", f"http://127.0.0.1:{port}/")


def test_law_4_nobody_there_and_no_such_name_are_explained() -> None:
    with socket.create_server(("127.0.0.1", 0)) as closed:
        port = closed.getsockname()[1]
    with pytest.raises(Unavailable, match=f"http://127.0.0.1:{port} failed: .*refused"):
        Door(LOOPBACK).request("GET", f"http://127.0.0.1:{port}/?token=swordfish")

    def nowhere(host: str, port: int) -> Sequence[str]:
        raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")

    with pytest.raises(Unavailable, match="not known"):
        Door(resolver=nowhere).request("GET", "http://no.such.example/")
    with pytest.raises(Unavailable, match="no address"):
        Door(resolver=lambda host, port: []).request("GET", "http://no.such.example/", body=None)


def _self_signed(host: str) -> bytes:
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, host)])
    now = SystemClock().wall()
    certificate = (
        x509.CertificateBuilder(issuer_name=name, subject_name=name, public_key=key.public_key(), serial_number=1)
        .not_valid_before(now - timedelta(hours=1))
        .not_valid_after(now + timedelta(hours=1))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName(host)]), critical=False)
        .sign(key, hashes.SHA256())
    )
    private = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    return private + certificate.public_bytes(Encoding.PEM)


def test_law_5_the_certificate_must_be_valid_for_the_name(tmp_path: Path) -> None:
    pem = tmp_path / "server.pem"
    pem.write_bytes(_self_signed("hooks.example"))
    server = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    server.load_cert_chain(pem)
    trusting = ssl.create_default_context(cafile=str(pem))
    with _serving(server) as port:
        door = Door(LOOPBACK, resolver=_loopback, tls=trusting)
        assert f"hooks.example:{port}" in door.request("GET", f"https://hooks.example:{port}/").body.decode()
        with pytest.raises(Unavailable, match="no safe connection"):
            door.request("GET", f"https://other.example:{port}/")
        with pytest.raises(Unavailable, match="no safe connection"):
            Door(LOOPBACK, resolver=_loopback).request("GET", f"https://hooks.example:{port}/")


@pytest.mark.parametrize(
    ("method", "headers"),
    [
        ("GET", {"Host": "other.example"}),
        ("GET", {"content-length": "3"}),
        ("GET", {"X-A": "b\r\nX-Evil: c"}),
        ("GET", {"X-A": "b\r\n folded"}),
        ("GET", {"X A": "b"}),
        ("GET", {"Content-Length ": "3"}),
        ("GET", {"": "b"}),
        ("GET", {"X-A": "\0"}),
        ("GET", {"X-A": "☃"}),
        ("CONNECT", {}),
        ("get", {}),
        ("GET / HTTP/1.1\r\n", {}),
    ],
)
def test_methods_and_headers_that_would_forge_a_request_are_invalid(
    port: int, method: str, headers: dict[str, str]
) -> None:
    with pytest.raises(Invalid):
        Door(LOOPBACK).request(method, f"http://127.0.0.1:{port}/", headers=headers)
