"""What stands between a client and a server when things go wrong: a proxy that loses replies, a server that is none."""

import contextlib
import socket
import threading
from collections.abc import Callable, Iterator


class LossyProxy:
    """A real TCP proxy. While ``lose`` is above 0, the server's next reply is swallowed and the connection cut."""

    def __init__(self, port: int) -> None:
        self._upstream = port
        self._bound = socket.create_server(("127.0.0.1", 0))
        self._lock = threading.Lock()
        self._open: list[socket.socket] = []
        self.lose = 0
        self.lost = 0
        """Replies that were swallowed."""
        self.on_loss: Callable[[], None] = lambda: None
        self.url = f"http://127.0.0.1:{self._bound.getsockname()[1]}"
        threading.Thread(target=self._accept, daemon=True).start()

    def close(self) -> None:
        """Take no more connections."""
        self._bound.close()

    def hang_up(self) -> int:
        """Close all connections, as a server does with those that rest; returns how many there were."""
        with self._lock:
            there, self._open = self._open, []
        for client in there:
            client.shutdown(socket.SHUT_RDWR)
        return len(there)

    def _accept(self) -> None:
        while True:
            try:
                client, _ = self._bound.accept()
            except OSError:
                return
            threading.Thread(target=self._serve, args=(client,), daemon=True).start()

    def _serve(self, client: socket.socket) -> None:
        with client, contextlib.suppress(OSError):
            with self._lock:
                self._open.append(client)
            with socket.create_connection(("127.0.0.1", self._upstream)) as server:
                forward = threading.Thread(target=_copy, args=(client, server), daemon=True)
                forward.start()
                while piece := server.recv(65536):
                    if self._swallow():
                        break
                    client.sendall(piece)
                for each in (client, server):  # wakes the other thread, too
                    with contextlib.suppress(OSError):
                        each.shutdown(socket.SHUT_RDWR)
                forward.join(10)
            with self._lock:
                self._open = [one for one in self._open if one is not client]

    def _swallow(self) -> bool:
        with self._lock:
            if self.lose <= 0:
                return False
            self.lose -= 1
            self.lost += 1
        self.on_loss()
        return True


def _copy(source: socket.socket, target: socket.socket) -> None:
    with contextlib.suppress(OSError):
        while piece := source.recv(65536):
            target.sendall(piece)


@contextlib.contextmanager
def answering(reply: bytes) -> Iterator[str]:
    """The address of something that answers every request with these bytes and hangs up."""
    bound = socket.create_server(("127.0.0.1", 0))

    def serve() -> None:
        while True:
            try:
                client, _ = bound.accept()
            except OSError:
                return
            with client, contextlib.suppress(OSError):
                client.recv(65536)
                client.sendall(reply)
                client.shutdown(socket.SHUT_WR)
                client.recv(65536)

    thread = threading.Thread(target=serve, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{bound.getsockname()[1]}"
    finally:
        bound.shutdown(socket.SHUT_RDWR)
        bound.close()
        thread.join(10)
