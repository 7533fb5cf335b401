"""The object plane over HTTP: streamed, verified on both sides, taken up again where a connection broke."""

import tempfile
import time
from collections.abc import Generator, Iterable, Iterator
from pathlib import Path

import httpx2
import msgspec
from blake3 import blake3

from tidegate.client.transport import TRIES, HttpTransport, pause
from tidegate.kernel.errors import Internal, NotFound, TidegateError, Unavailable
from tidegate.kernel.objects import Digest, ObjectInfo, parse_digest, parse_range
from tidegate.kernel.progress import watched
from tidegate.storage.objects.fingerprint import Fingerprint, check_intact, parse_expected, pieces_of

_PIECE = 1 << 20


class RemoteObjects:
    """The objects of a server. Keeps the laws of `ObjectPlane`."""

    def __init__(self, transport: HttpTransport) -> None:
        self._transport = transport

    def put(self, data: bytes | Iterable[bytes], *, expect: str | None = None) -> ObjectInfo:
        """Store the bytes. A stream is spooled first, since its address is its digest."""
        expected = parse_expected(expect)
        fingerprint = Fingerprint()
        with tempfile.SpooledTemporaryFile(max_size=8 * _PIECE) as spool:
            for piece in pieces_of(data):
                fingerprint.update(piece)
                spool.write(piece)

            def body() -> Iterator[bytes]:
                spool.seek(0)
                return watched(iter(lambda: spool.read(_PIECE), b""), "uploading", found.size)

            found = fingerprint.info()
            headers = {"content-length": str(found.size)}
            answer = self._transport.send("PUT", _path(expected or found.digest), content=body, headers=headers)
        return msgspec.json.decode(answer, type=ObjectInfo)

    def get(self, digest: str) -> bytes:
        """The whole object, verified here again."""
        return b"".join(self.stream(digest))

    def stream(self, digest: str, *, start: int = 0, length: int | None = None) -> Iterator[bytes]:
        """The object from byte `start`, in pieces of at most a mebibyte; verified here when it is the whole."""
        info = self.stat(digest)
        first, end = parse_range(info.size, start, length, f"object {digest}")
        if first == end:
            return iter(())
        if (first, end) != (0, info.size):
            return self._pieces(info.digest, first, end, whole=False)
        return self._verified(info.digest, self._pieces(info.digest, 0, info.size, whole=True))

    def _verified(self, digest: Digest, pieces: Iterator[bytes]) -> Generator[bytes]:
        found, held = blake3(), b""
        for piece in pieces:
            if held:
                yield held
            found.update(piece)
            held = piece
        check_intact(digest, found.hexdigest(), self._transport.url)
        yield held

    def _pieces(self, digest: Digest, first: int, end: int, *, whole: bool) -> Generator[bytes]:
        """Bytes from `first` to before `end`; a connection that breaks is made anew, from the byte that is missing."""
        failures = 0
        while first < end:
            headers = {} if whole and first == 0 else {"range": f"bytes={first}-{end - 1}"}
            try:
                with self._transport.stream("GET", _path(digest), headers) as response:
                    for piece in response.iter_bytes(_PIECE):
                        first += len(piece)
                        failures = 0
                        yield piece
                if first < end:
                    raise Internal(f"object {digest}: {self._transport.url} sent fewer bytes than were asked for")
            except httpx2.TransportError as error:
                failures += 1
                if failures == TRIES:
                    raise self._broken(digest, error) from error
                time.sleep(pause(failures))

    def stat(self, digest: str) -> ObjectInfo:
        """Size and SHA-256 of an object, from its headers."""
        path = _path(digest)
        for attempt in range(1, TRIES + 1):
            try:
                with self._transport.stream("HEAD", path) as response:
                    headers = response.headers
                    size = int(headers["content-length"])
                    return ObjectInfo(Digest(digest), headers.get("tidegate-sha256", ""), size)
            except httpx2.TransportError as error:
                if attempt == TRIES:
                    raise self._broken(digest, error) from error
                time.sleep(pause(attempt))
            except TidegateError:  # the answer to HEAD has no body that says more; GET has
                self._transport.send("GET", path, headers={"range": "bytes=0-0"})
                if attempt == TRIES:
                    raise
        raise AssertionError("unreachable")

    def exists(self, digest: str) -> bool:
        """Whether the object is there."""
        try:
            self.stat(digest)
        except NotFound:
            return False
        return True

    def local_path(self, digest: str) -> Path | None:
        """There are no local files of a remote store."""
        parse_digest(digest)
        return None

    def _broken(self, digest: str, error: httpx2.TransportError) -> Unavailable:
        url = self._transport.url
        return Unavailable(f"object {digest}: the server at {url} does not answer ({type(error).__name__})")


def _path(digest: str) -> str:
    return f"/api/v1/objects/{parse_digest(digest)}"
