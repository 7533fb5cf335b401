"""Where a server listens, and whether it is there yet. Light: the command line imports it."""

import http.client
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


def url_of(settings: Settings) -> str:
    """The address as a person would type it."""
    host = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(settings.host, settings.host)  # noqa: S104 - any address
    return f"http://[{host}]:{settings.port}" if ":" in host else f"http://{host}:{settings.port}"


def wait_ready(url: str, seconds: float) -> bool:
    """Whether the server answered `/ready` with 200 within this time."""
    give_up = time.monotonic() + seconds
    parts = urlsplit(url)
    while time.monotonic() < give_up:
        connection = http.client.HTTPConnection(parts.hostname or "", parts.port, timeout=2)
        try:
            connection.request("GET", "/ready")
            if connection.getresponse().status == 200:
                return True
        except OSError:
            pass
        finally:
            connection.close()
        time.sleep(0.05)
    return False
