"""The object plane over HTTP: streamed, verified on both sides."""

import tempfile
from collections.abc import Iterable, Iterator
from pathlib import Path

import blake3
import httpx2
import msgspec

from tidegate.client.transport import HttpTransport, error_of
from tidegate.kernel.errors import Internal, NotFound, Unavailable
from tidegate.kernel.objects import Digest, ObjectInfo, parse_digest

_PIECE = 1 << 20


class RemoteObjects:
    """The objects of a server. Keeps the laws of `ObjectPlane`."""

    def __init__(self, transport: HttpTransport) -> None:
        self._transport = transport

    def put(self, data: bytes | Iterable[bytes], *, expect: str | None = None) -> ObjectInfo:
        """Store the bytes. A stream is spooled first, since its address is its digest."""
        pieces = [data] if isinstance(data, bytes) else data
        hasher = blake3.blake3()
        with tempfile.SpooledTemporaryFile(max_size=8 * _PIECE) as spool:
            for piece in pieces:
                hasher.update(piece)
                spool.write(piece)
            digest = expect if expect is not None else hasher.hexdigest()
            spool.seek(0)
            body = iter(lambda: spool.read(_PIECE), b"")
            answer = self._transport.send("PUT", _path(digest), again=False, content=body)
        return msgspec.json.decode(answer, type=ObjectInfo)

    def get(self, digest: str) -> bytes:
        """The whole object, verified here again."""
        content = self._transport.send("GET", _path(digest))
        if blake3.blake3(content).hexdigest() != digest:
            raise Internal(f"object {digest} arrived damaged", digest=digest)
        return content

    def stream(self, digest: str, *, start: int = 0, length: int | None = None) -> Iterator[bytes]:
        """The object from byte `start`, in pieces."""
        if length == 0:
            self.stat(digest)
            return iter(())
        last = "" if length is None else str(start + length - 1)
        headers = {"range": f"bytes={start}-{last}"} if start or length is not None else {}
        return self._pieces(digest, headers)

    def _pieces(self, digest: str, headers: dict[str, str]) -> Iterator[bytes]:
        try:
            with self._transport.stream("GET", _path(digest), headers=headers) as response:
                if response.status_code >= 400:
                    raise error_of(response.status_code, response.read(), self._transport.url)
                yield from response.iter_bytes(_PIECE)
        except httpx2.TransportError as error:
            raise Unavailable(f"object {digest}: the connection broke off ({type(error).__name__})") from error

    def stat(self, digest: str) -> ObjectInfo:
        """Size and SHA-256 of an object, from its headers."""
        try:
            with self._transport.stream("HEAD", _path(digest)) as response:
                if response.status_code == 404:
                    raise NotFound(f"there is no object {digest}", digest=digest)
                if response.status_code >= 400:
                    raise error_of(response.status_code, b"", self._transport.url)
                headers = response.headers
                return ObjectInfo(Digest(digest), headers.get("tidegate-sha256", ""), int(headers["content-length"]))
        except httpx2.TransportError as error:
            raise Unavailable(f"the server does not answer ({type(error).__name__})") from error

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


def _path(digest: str) -> str:
    return f"/api/v1/objects/{parse_digest(digest)}"
