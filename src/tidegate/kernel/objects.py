"""Immutable bytes named by their BLAKE3 digest: what every room may ask of the place that keeps them."""

import re
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import NewType, Protocol

import msgspec

from tidegate.kernel.errors import Invalid

Digest = NewType("Digest", str)
"""The BLAKE3 digest of an object's bytes, as 64 lower-case hex digits."""

_DIGEST = re.compile(r"[0-9a-f]{64}")


class ObjectInfo(msgspec.Struct, frozen=True):
    """What is known of an object without reading it."""

    digest: Digest
    sha256: str
    """Of the same bytes, as 64 hex digits: the name for whatever leaves the house."""
    size: int
    """Bytes."""


class ObjectPlane(Protocol):
    """Puts and gets objects, from a folder, a bucket, or a server. Safe to use from many threads.

    Laws (`tidegate.testing.objects` holds a test for each):

    1. **Round trip.** What `put` took, `get` and `stream` give back, byte for byte, also when it is empty.
    2. **Name.** An object's name is the BLAKE3 digest of its bytes; size and SHA-256 are kept beside it.
    3. **Idempotent.** Putting bytes that are already there changes nothing but their age, which starts anew
       (so that a collector of old objects leaves them alone), and repairs a damaged copy.
    4. **Expectation.** With `expect`, other bytes raise `Invalid` and nothing is stored.
    5. **All or nothing.** No object is visible before it is whole; a put that failed leaves nothing behind.
    6. **Durable.** When `put` has returned, the object survives the death of every process, and, as far as the
       disk keeps its promises, the loss of power.
    7. **Streamed.** `put` of an iterable and `stream` hold a bounded number of bytes, whatever the size.
    8. **Verified.** Bytes that do not match their name raise `Internal` naming the object: `get` before it returns,
       a `stream` of the whole object before its last piece. Part of an object cannot be verified, and is not.
    9. **Bounds.** A `stream` that starts beyond the end, or is given negative numbers, raises `Invalid` at the call;
       a length beyond the end is cut.
    10. **Absent.** `get`, `stream`, `stat` and `local_path` raise `NotFound` at the call; `exists` says False.
    11. **Hostile names.** What is not a digest raises `Invalid` everywhere and never reaches the store.
    """

    def put(self, data: bytes | Iterable[bytes], *, expect: str | None = None) -> ObjectInfo:
        """Store the bytes and return how they are named. Raises `Invalid` when they are not those `expect` names."""
        ...

    def get(self, digest: str) -> bytes:
        """The whole object, verified. Raises `NotFound`, `Internal` when it is damaged."""
        ...

    def stream(self, digest: str, *, start: int = 0, length: int | None = None) -> Iterator[bytes]:
        """The object from byte `start`, in pieces. Raises `NotFound`, `Invalid` when `start` is beyond the end."""
        ...

    def stat(self, digest: str) -> ObjectInfo:
        """Size and SHA-256 of an object, as a rule without reading it. Raises `NotFound`."""
        ...

    def exists(self, digest: str) -> bool:
        """Whether the object is there."""
        ...

    def local_path(self, digest: str) -> Path | None:
        """A file with the object's bytes, to be read in place and never written; None where there are no files.

        Nothing is verified. Raises `NotFound` where there are files and this one is absent.
        """
        ...


class ObjectStore(ObjectPlane, Protocol):
    """An object plane that is the place itself: it can also list and delete.

    Further laws:

    12. **List.** Every object is listed once, in no particular order, and nothing else: no leftovers, no foreign
        files; `prefix` is up to 64 hex digits, anything else raises `Invalid`.
    13. **Age.** With `untouched_for`, only objects that no put has touched for that many seconds are listed.
    14. **Delete.** After `delete` the object is absent; deleting what is absent does nothing.
    """

    def list(self, prefix: str = "", *, untouched_for: float = 0.0) -> Iterator[Digest]:
        """The digests that begin with `prefix`; only those last put `untouched_for` seconds ago or earlier."""
        ...

    def delete(self, digest: str) -> None:
        """Remove the object, if it is there."""
        ...


def parse_digest(text: object, what: str = "digest") -> Digest:
    """The text as a digest. Raises `Invalid` when it is anything but 64 lower-case hex digits."""
    if not isinstance(text, str) or not _DIGEST.fullmatch(text):
        raise Invalid(
            f"{what} {str(text)[:80]!r} is not a digest: it takes 64 lower-case hex digits, as put returned them"
        )
    return Digest(text)


def parse_range(size: int, start: int, length: int | None, what: str) -> tuple[int, int]:
    """First byte and first byte after the range, within `size` bytes. Raises `Invalid` by law 9."""
    if start < 0 or (length is not None and length < 0):
        raise Invalid(f"{what}: start ({start}) and length ({length}) of a range may not be negative")
    if start > size:
        raise Invalid(f"{what} has {size} bytes; a range cannot start at byte {start}", size=size)
    return start, size if length is None else min(size, start + length)
