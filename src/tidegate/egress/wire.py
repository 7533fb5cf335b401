"""A connection to exactly one address, all of whose waiting together is bounded by one deadline."""

import io
import socket
import ssl
from collections.abc import Callable
from typing import Any

from tidegate.egress.target import Target

Remaining = Callable[[], float]
"""Seconds left; raises `TimeoutError` when there are none."""


class Wire:
    """As much of a socket as `http.client` uses. A server that sends a byte now and then gains no time by it."""

    def __init__(self, connected: socket.socket, remaining: Remaining) -> None:
        self._socket = connected
        self._remaining = remaining

    def makefile(self, mode: str) -> io.BufferedReader:
        """What the server says."""
        return io.BufferedReader(_Incoming(self._socket, self._remaining))

    def sendall(self, data: Any) -> None:
        """Tell the server everything."""
        view = memoryview(data).cast("B")
        while view:
            self._socket.settimeout(self._remaining())
            view = view[self._socket.send(view) :]

    def close(self) -> None:
        """Nothing: `http.client` closes early, and whoever connected closes in the end."""


def connect(target: Target, address: str, tls: ssl.SSLContext, remaining: Remaining) -> socket.socket:
    """A socket to this address and no other; for https the server must prove to be the target's host."""
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    plain = socket.socket(family, socket.SOCK_STREAM)
    try:
        plain.settimeout(remaining())
        plain.connect((address, target.port))
        plain.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        if target.scheme == "http":
            return plain
        plain.settimeout(remaining())
        return tls.wrap_socket(plain, server_hostname=target.host)
    except BaseException:
        plain.close()
        raise


class _Incoming(io.RawIOBase):
    def __init__(self, connected: socket.socket, remaining: Remaining) -> None:
        self._socket = connected
        self._remaining = remaining

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        self._socket.settimeout(self._remaining())
        return self._socket.recv_into(buffer)
