"""Where a server listens, and whether it is there yet. Light: the command line imports it."""

import errno
import socket
import time
from urllib.parse import urlsplit

from tidegate.kernel.errors import Unavailable
from tidegate.kernel.settings import Settings

LOOPBACK = ("127.0.0.1", "::1", "localhost")


def listen(host: str, port: int) -> socket.socket:
    """A socket bound to the address, not yet listening; further processes may bind the same one."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    bound = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
    bound.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    try:
        bound.bind((host, port))
    except OSError as error:
        bound.close()
        raise Unavailable(f"{host}:{port} cannot be bound ({error.strerror}); choose another --port") from error
    return bound


def reserve(host: str, port: int, patience: float = 0.0) -> socket.socket:
    """`listen` for the first process of a server, which holds the port while others come and go.

    A port that any other program listens on is refused, one of our own kind too; ``patience`` says for how many
    seconds it may still be so. Raises `Unavailable`.
    """
    give_up = time.monotonic() + patience
    while port and not _is_free(host, port):
        if time.monotonic() > give_up:
            raise Unavailable(f"{host}:{port} is in use by another program; choose another --port, or stop that one")
        time.sleep(0.1)
    return listen(host, port)


def _is_free(host: str, port: int) -> bool:
    with socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)  # without SO_REUSEPORT a listener is in the way
        try:
            probe.bind((host, port))
        except OSError as error:
            return error.errno != errno.EADDRINUSE
    return True


def url_of(settings: Settings) -> str:
    """The address as a person would type it."""
    host = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(settings.host, settings.host)  # noqa: S104 - any address
    return f"http://[{host}]:{settings.port}" if ":" in host else f"http://{host}:{settings.port}"


def wait_ready(url: str, seconds: float) -> bool:
    """Whether the server answered `/ready` with 200 within this time."""
    give_up = time.monotonic() + seconds
    parts = urlsplit(url)
    while time.monotonic() < give_up:
        if _answers(parts.hostname or "", parts.port or 80):
            return True
        time.sleep(0.05)
    return False


def _answers(host: str, port: int) -> bool:
    """One probe of our own server, without an HTTP library: this runs before anything heavy is loaded."""
    try:
        with socket.create_connection((host, port), timeout=2) as connection:
            connection.sendall(b"GET /ready HTTP/1.0\r\nHost: localhost\r\n\r\n")
            return b" 200 " in connection.makefile("rb").readline(64)
    except OSError:
        return False
