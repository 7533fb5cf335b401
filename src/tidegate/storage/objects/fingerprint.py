"""The two digests of a stream of bytes, taken as it passes."""

import hashlib
import re
from collections.abc import Iterable, Iterator

from blake3 import blake3

from tidegate.kernel.errors import Internal, Invalid
from tidegate.kernel.objects import Digest, ObjectInfo, parse_digest

_PREFIX = re.compile(r"[0-9a-f]{0,64}")


class Fingerprint:
    """Collects BLAKE3, SHA-256 and size of everything that it is fed."""

    def __init__(self) -> None:
        self._blake3 = blake3()
        self._sha256 = hashlib.sha256()
        self._size = 0

    def update(self, piece: bytes | memoryview) -> None:
        """Take the next bytes in."""
        self._blake3.update(piece)
        self._sha256.update(piece)
        self._size += len(piece)

    def info(self) -> ObjectInfo:
        """What the bytes so far are called."""
        return ObjectInfo(Digest(self._blake3.hexdigest()), self._sha256.hexdigest(), self._size)


def digest_of(data: bytes | memoryview) -> Digest:
    """The name of these bytes."""
    return Digest(blake3(data).hexdigest())


def fingerprint_of(data: bytes | Iterable[bytes]) -> ObjectInfo:
    """Digest, SHA-256 and size of these bytes."""
    fingerprint = Fingerprint()
    for piece in pieces_of(data):
        fingerprint.update(piece)
    return fingerprint.info()


def pieces_of(data: object) -> Iterator[bytes | memoryview]:
    """The data as pieces of bytes. Raises `Invalid` on anything else, when it comes to it."""
    if isinstance(data, bytes | bytearray | memoryview):
        yield data if isinstance(data, bytes) else memoryview(data).cast("B")
        return
    if isinstance(data, str) or not isinstance(data, Iterable):
        raise Invalid(f"an object is made of bytes or an iterable of bytes, not of {type(data).__name__}")
    for piece in data:
        if not isinstance(piece, bytes | bytearray | memoryview):
            raise Invalid(f"an object is made of pieces of bytes; one of them is {type(piece).__name__}")
        yield piece if isinstance(piece, bytes) else memoryview(piece).cast("B")


def check_expected(found: Digest, expect: Digest | None, size: int) -> None:
    """Raises `Invalid` when the bytes are not the expected ones (law 4)."""
    if expect is not None and found != expect:
        raise Invalid(
            f"the {size} bytes received have the digest {found}, not the expected {expect}; "
            "nothing was stored: send them again",
            expected=expect,
            received=found,
        )


def check_intact(digest: Digest, found: str, where: str) -> None:
    """Raises `Internal` when the bytes found under a digest have another (law 8)."""
    if found != digest:
        raise Internal(
            f"object {digest} in {where} is damaged: its bytes have the digest {found}; "
            "put the original bytes again to repair it",
            digest=digest,
            found=found,
        )


def parse_expected(expect: str | None) -> Digest | None:
    """The expectation as a digest. Raises `Invalid` when it is none."""
    return None if expect is None else parse_digest(expect, "expected digest")


def parse_prefix(prefix: object) -> str:
    """The beginning of a digest. Raises `Invalid` when it is none."""
    if not isinstance(prefix, str) or not _PREFIX.fullmatch(prefix):
        raise Invalid(f"prefix {str(prefix)[:80]!r} does not begin a digest: it takes up to 64 lower-case hex digits")
    return prefix
