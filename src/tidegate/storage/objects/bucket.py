"""Objects in a bucket of S3, Google Cloud Storage or Azure, through obstore."""

import os
import tempfile
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from datetime import timedelta
from typing import IO, Any, cast

from blake3 import blake3

from tidegate.kernel.clock import MachineClock, SystemClock
from tidegate.kernel.errors import Invalid, NotFound, Unavailable
from tidegate.kernel.objects import Digest, ObjectInfo, parse_digest, parse_range
from tidegate.storage.objects.fingerprint import (
    Fingerprint,
    check_expected,
    check_intact,
    digest_of,
    fingerprint_of,
    parse_expected,
    parse_prefix,
    pieces_of,
)

try:
    import obstore
    from obstore import exceptions
    from obstore.store import from_url
except ImportError as missing:
    raise Unavailable("objects in a bucket need the extra: pip install 'tidegate[s3]'") from missing

_PIECE = 8 * 1024 * 1024
_PARTS = 10_000
_PARALLEL = 4
_PLAIN_ENDPOINTS = ("AWS_ENDPOINT_URL_S3", "AWS_ENDPOINT_URL", "AWS_ENDPOINT", "AZURE_STORAGE_ENDPOINT")
_CLIENT = {"connect_timeout": "5s", "timeout": "120s"}
_RETRY = {"max_retries": 4, "retry_timeout": timedelta(seconds=20)}


class BucketObjects:
    """An `ObjectStore` in a bucket, under the address's path: the object `abcd…` has the key `ab/cd…`.

    Nothing is asked of the server but to put whole objects, one at a time or in parts: no conditional put, no copy,
    no rename. An object becomes visible when its last byte is there. SHA-256 travels as the object's metadata; it is
    taken from the bytes where another tool dropped it. Each put sends the bytes, also when they are there already
    (law 3): ask `exists` first where that is likely and the object is large. A part of an upload whose process died
    is invisible, but paid for: let the bucket's lifecycle abort incomplete uploads.
    """

    def __init__(
        self,
        url: str,
        *,
        client_options: Mapping[str, object] | None = None,
        retry_config: Mapping[str, object] | None = None,
        clock: MachineClock | None = None,
        **config: Any,
    ) -> None:
        """Open `url`; endpoint, region and credentials come from `config` or the provider's environment variables.

        A plain `http://` endpoint is used when it is named, never by itself. Raises `Invalid` on an option that the
        provider does not know.
        """
        self.url = url
        self._clock = clock or SystemClock()
        plain = any(str(value).startswith("http://") for value in _endpoints(config))
        client = {**_CLIENT, **({"allow_http": True} if plain else {}), **(client_options or {})}
        retry = {**_RETRY, **(retry_config or {})}
        try:
            store = from_url(
                url, config=cast(Any, config), client_options=cast(Any, client), retry_config=cast(Any, retry)
            )
        except (exceptions.BaseError, ValueError, TypeError) as error:
            raise Invalid(f"the bucket {url} cannot be opened: {_first_line(error)}") from error
        self._store: Any = store

    def put(self, data: bytes | Iterable[bytes], *, expect: str | None = None) -> ObjectInfo:
        """Store the bytes and return how they are named; an iterable passes through a temporary file here."""
        expected = parse_expected(expect)
        if isinstance(data, bytes):
            info = fingerprint_of(data)
            check_expected(info.digest, expected, info.size)
            self._send(info, data)
            return info
        with tempfile.SpooledTemporaryFile(max_size=_PIECE) as spool:
            fingerprint = Fingerprint()
            for piece in pieces_of(data):
                _spool(spool, piece)
                fingerprint.update(piece)
            info = fingerprint.info()
            check_expected(info.digest, expected, info.size)
            spool.seek(0)
            self._send(info, spool.read() if info.size <= _PIECE else spool)
        return info

    def get(self, digest: str) -> bytes:
        """The whole object, verified."""
        name = parse_digest(digest)
        with self._reading(name):
            answer = obstore.get(self._store, _key(name))
            data = bytes(answer.bytes()) if answer.meta["size"] <= _PIECE else None
        if data is None:
            return b"".join(self.stream(name))
        check_intact(name, digest_of(data), self.url)
        return data

    def stream(self, digest: str, *, start: int = 0, length: int | None = None) -> Iterator[bytes]:
        """The object from byte `start`, in pieces of at most 8 MiB; verified when it is the whole.

        Each piece is a request of its own: a slow reader does not run into the timeout of a long one.
        """
        name = parse_digest(digest)
        with self._reading(name):
            size: int = obstore.head(self._store, _key(name))["size"]
        first, end = parse_range(size, start, length, f"object {name}")
        whole = first == 0 and end == size
        if whole and size == 0:
            check_intact(name, digest_of(b""), self.url)
        return self._pieces(name, first, end, whole=whole)

    def stat(self, digest: str) -> ObjectInfo:
        """Size and SHA-256; the object is read only if its metadata was lost."""
        name = parse_digest(digest)
        with self._reading(name):
            answer = obstore.get(self._store, _key(name), options={"head": True})
            sha256, size = answer.attributes.get("sha256"), answer.meta["size"]
        return ObjectInfo(name, sha256, size) if sha256 else fingerprint_of(self.stream(name))

    def exists(self, digest: str) -> bool:
        """Whether the object is there."""
        name = parse_digest(digest)
        try:
            with self._reading(name):
                obstore.head(self._store, _key(name))
        except NotFound:
            return False
        return True

    def local_path(self, digest: str) -> None:
        """None: a bucket has no files."""
        parse_digest(digest)

    def list(self, prefix: str = "", *, untouched_for: float = 0.0) -> Iterator[Digest]:
        """The digests that begin with `prefix`, last put `untouched_for` seconds ago or earlier."""
        start = parse_prefix(prefix)
        if not untouched_for >= 0:
            raise Invalid(f"an age is 0 seconds or more, not {untouched_for}")
        return self._listed(start, timedelta(seconds=untouched_for))

    def delete(self, digest: str) -> None:
        """Remove the object, if it is there."""
        name = parse_digest(digest)
        try:
            with self._reading(name):
                obstore.delete(self._store, _key(name))
        except NotFound:
            # S3 says nothing when the object is absent, the others do.
            return

    def _send(self, info: ObjectInfo, data: bytes | IO[bytes]) -> None:
        large = info.size > _PIECE
        with self._asking(f"put object {info.digest}"):
            try:
                obstore.put(
                    self._store,
                    _key(info.digest),
                    data,
                    attributes={"sha256": info.sha256},
                    use_multipart=large,
                    chunk_size=max(_PIECE, -(-info.size // _PARTS)),
                    max_concurrency=_PARALLEL,
                )
            except FileNotFoundError as error:
                raise Unavailable(f"object {info.digest} was not stored: there is no bucket {self.url}") from error

    def _pieces(self, digest: Digest, start: int, end: int, *, whole: bool) -> Iterator[bytes]:
        found = blake3() if whole else None
        while start < end:
            stop = min(end, start + _PIECE)
            with self._reading(digest):
                piece = bytes(obstore.get_range(self._store, _key(digest), start=start, end=stop))
            if len(piece) != stop - start:
                raise Unavailable(f"object {digest} in {self.url} was cut while it was read")
            start = stop
            if found is not None:
                found.update(piece)
                if start == end:
                    check_intact(digest, found.hexdigest(), self.url)
            yield piece

    def _listed(self, prefix: str, age: timedelta) -> Iterator[Digest]:
        before = self._clock.wall() - age if age else None
        # A store lists by whole segments of a key, so a prefix of one digit is sixteen of them.
        folders = [prefix[:2]] if len(prefix) != 1 else [f"{prefix}{digit:x}" for digit in range(16)]
        for folder in folders:
            with self._asking("list objects"):
                for batch in obstore.list(self._store, prefix=folder or None):
                    for found in batch:
                        digest = _digest_at(found["path"])
                        touched = before is not None and found["last_modified"] > before
                        if digest is not None and digest.startswith(prefix) and not touched:
                            yield digest

    @contextmanager
    def _reading(self, digest: Digest) -> Iterator[None]:
        with self._asking(f"reach object {digest}"):
            try:
                yield
            except FileNotFoundError as error:
                raise NotFound(f"there is no object {digest} in {self.url}", digest=digest) from error

    @contextmanager
    def _asking(self, what: str) -> Iterator[None]:
        try:
            yield
        except (exceptions.PermissionDeniedError, exceptions.UnauthenticatedError, PermissionError) as error:
            raise Unavailable(
                f"cannot {what}: {self.url} refuses our credentials; set the provider's environment variables"
            ) from error
        except (exceptions.BaseError, OSError) as error:
            raise Unavailable(f"cannot {what} in {self.url}: {_first_line(error)}") from error


def _spool(spool: IO[bytes], piece: bytes | memoryview) -> None:
    try:
        spool.write(piece)
    except OSError as error:
        raise Unavailable(
            f"disk full: an object on its way to the bucket passes through {tempfile.gettempdir()}, which says "
            f"{error.strerror}; nothing was stored: make room or set TMPDIR, then try again"
        ) from error


def _key(digest: Digest) -> str:
    return f"{digest[:2]}/{digest[2:]}"


def _digest_at(key: str) -> Digest | None:
    if len(key) != 65 or key[2] != "/":
        return None
    try:
        return parse_digest(key[:2] + key[3:])
    except Invalid:
        return None


def _endpoints(config: Mapping[str, object]) -> Iterator[object]:
    yield from (value for name, value in config.items() if "endpoint" in name.lower())
    yield from (os.environ[name] for name in _PLAIN_ENDPOINTS if name in os.environ)


def _first_line(error: BaseException) -> str:
    lines = str(error).strip().splitlines()
    return lines[0][:300] if lines else type(error).__name__
