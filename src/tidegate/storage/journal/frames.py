"""The bytes of a segment file: one header, then framed records, each with its number and a checksum.

A frame is marker, topic code, payload length, number, CRC32, payload (little-endian). The checksum covers all of it
and starts from a salt of the segment, so that neither bytes of another file nor a payload that imitates a frame can
pass for a record. Code 0 declares a topic: its payload is the new code and the topic's name.
"""

import os
import struct
from binascii import crc32
from collections.abc import Iterator, Sequence
from datetime import datetime
from typing import NamedTuple

from tidegate.kernel.clock import from_micros, to_micros
from tidegate.kernel.errors import Internal, Invalid

MAX_PAYLOAD = 64 << 20
"""The largest payload of one record, in bytes."""

_MAGIC = b"tidejrnl"
_VERSION = 1
_HEADER = struct.Struct("<8sHHq16s16s")  # magic, version, writer, opened at (microseconds), segment id, salt
_CHECKSUM = struct.Struct("<I")
HEADER_BYTES = _HEADER.size + _CHECKSUM.size
_FRAME = struct.Struct("<HHII")  # marker, topic code, payload length, number
_CHECKED = struct.Struct("<HHIII")  # the same, and the checksum
FRAME_BYTES = _CHECKED.size
_HEAD_BYTES = _FRAME.size
_MARKER = 0x1EA7
_MARKER_BYTES = _MARKER.to_bytes(2, "little")
_CODE = struct.Struct("<H")
_CHUNK = 1 << 20
_TOPICS = 1 << 16


class Header(NamedTuple):
    """What stands at the head of a segment file. `seed` starts the checksum of its frames."""

    segment: str
    writer: int
    opened_at: datetime
    seed: int


class Frame(NamedTuple):
    """A record as read, with the offsets of its first byte and of the byte after it."""

    topic: str
    number: int
    payload: bytes
    start: int
    end: int


def pack_header(segment: str, writer: int, opened_at: datetime, salt: str) -> bytes:
    """The header's bytes; `segment` and `salt` are 32 hex digits."""
    names = bytes.fromhex(segment), bytes.fromhex(salt)
    head = _HEADER.pack(_MAGIC, _VERSION, writer, to_micros(opened_at), *names)
    return head + _CHECKSUM.pack(crc32(head))


def read_header(fd: int) -> Header:
    """The header of an open segment file. Raises `Internal` when it is none of ours or damaged."""
    data = os.pread(fd, HEADER_BYTES, 0)
    if len(data) == HEADER_BYTES and data.startswith(_MAGIC):
        head, checksum = data[: _HEADER.size], _CHECKSUM.unpack_from(data, _HEADER.size)[0]
        _, version, writer, opened_at, segment, _ = _HEADER.unpack(head)
        if version == _VERSION and crc32(head) == checksum:
            return Header(segment.hex(), writer, from_micros(opened_at), checksum)
    raise Internal(f"this file is not a journal segment of version {_VERSION}, or its header is damaged")


def pack_frame(code: int, number: int, payload: bytes, seed: int) -> bytes:
    """One frame."""
    head = _FRAME.pack(_MARKER, code, len(payload), number)
    return head + _CHECKSUM.pack(crc32(payload, crc32(head, seed))) + payload


def pack_frames(code: int, number: int, payloads: Sequence[bytes], seed: int) -> bytes:
    """Frames of one topic, numbered from `number`."""
    pieces: list[bytes] = []
    for at, payload in enumerate(payloads, number):
        head = _FRAME.pack(_MARKER, code, len(payload), at)
        pieces += (head, _CHECKSUM.pack(crc32(payload, crc32(head, seed))), payload)
    return b"".join(pieces)


def pack_declaration(code: int, topic: str, number: int, seed: int) -> bytes:
    """The frame that gives `topic` its code in this segment. Raises `Invalid` for a name no segment can hold."""
    if not topic or code >= _TOPICS:
        raise Invalid(f"topic {topic[:80]!r} cannot be declared: give it a name; a segment holds {_TOPICS - 1} topics")
    return pack_frame(0, number, _CODE.pack(code) + topic.encode(), seed)


def read_frames(fd: int, seed: int, topics: dict[int, str], offset: int = HEADER_BYTES) -> Iterator[Frame]:
    """Records from `offset` up to the first bytes that are none; `topics` gains what is declared on the way."""
    data, base = b"", offset
    while True:
        chunk = os.pread(fd, _CHUNK, base + len(data))
        data += chunk
        at = 0
        while frame := _frame_at(data, at, seed):
            code, number, payload, end = frame
            if code == 0:
                _declare(payload, topics)
            elif code in topics:
                yield Frame(topics[code], number, payload, base + at, base + end)
            else:
                return
            at = end
        data, base = data[at:], base + at
        missing = _missing(data)
        if missing is None or not chunk:
            return
        if missing > _CHUNK:
            data += os.pread(fd, missing, base + len(data))


class Salvage(NamedTuple):
    """Everything in a segment file that still reads as a record."""

    frames: list[Frame]
    valid_end: int
    """The byte after the last record."""
    damaged: int
    """Bytes before `valid_end` that are no readable records."""


def salvage(data: bytes, seed: int) -> Salvage:
    """All records of a whole file, also those after a damaged stretch; for whoever holds the lock."""
    frames: list[Frame] = []
    topics: dict[int, str] = {}
    at = valid_end = HEADER_BYTES
    damaged, last = 0, -1
    while 0 <= at < len(data):
        found = _frame_at(data, at, seed)
        if found is None or (found[0] and found[1] <= last):
            at = data.find(_MARKER_BYTES, at + 1)
            continue
        code, number, payload, end = found
        damaged += at - valid_end
        if code == 0:
            _declare(payload, topics)
        elif code in topics:
            frames.append(Frame(topics[code], number, payload, at, end))
            last = number
        else:  # sound, but the declaration of its topic is not
            damaged += end - at
        at = valid_end = end
    return Salvage(frames, valid_end, damaged)


def _frame_at(data: bytes, at: int, seed: int) -> tuple[int, int, bytes, int] | None:
    """Code, number, payload and end of the frame at an offset; None when there is no whole and sound one."""
    body = at + FRAME_BYTES
    if body > len(data):
        return None
    marker, code, length, number, checksum = _CHECKED.unpack_from(data, at)
    end = body + length
    if marker != _MARKER or length > MAX_PAYLOAD or end > len(data):
        return None
    payload = data[body:end]
    if crc32(payload, crc32(data[at : at + _HEAD_BYTES], seed)) != checksum:
        return None
    return code, number, payload, end


def _missing(data: bytes) -> int | None:
    """How many bytes the frame at the start still lacks; None when more bytes would not make it a frame."""
    if len(data) < FRAME_BYTES:
        return FRAME_BYTES - len(data)
    marker, _, length, _ = _FRAME.unpack_from(data)
    lacking = FRAME_BYTES + int(length) - len(data)
    return lacking if marker == _MARKER and length <= MAX_PAYLOAD and lacking > 0 else None


def _declare(payload: bytes, topics: dict[int, str]) -> None:
    topics[_CODE.unpack_from(payload)[0]] = payload[_CODE.size :].decode()
