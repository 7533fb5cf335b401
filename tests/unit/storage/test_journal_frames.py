"""Frames: whatever is torn off or damaged, every record before it is read, and none is invented."""

import os
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tidegate.kernel.clock import SystemClock
from tidegate.kernel.errors import Internal
from tidegate.kernel.ids import random_id
from tidegate.storage.journal.frames import (
    HEADER_BYTES,
    Frame,
    pack_declaration,
    pack_frame,
    pack_frames,
    pack_header,
    read_frames,
    read_header,
    salvage,
)

records = st.lists(st.tuples(st.sampled_from(["prediction", "label"]), st.binary(max_size=60)), max_size=12)


def build(written: list[tuple[str, bytes]]) -> tuple[bytes, int]:
    """A segment file with these records, and its seed."""
    data = pack_header(random_id(), 7, SystemClock().now(), random_id())
    seed = int.from_bytes(data[-4:], "little")
    codes: dict[str, int] = {}
    for number, (topic, payload) in enumerate(written):
        if topic not in codes:
            codes[topic] = len(codes) + 1
            data += pack_declaration(codes[topic], topic, number, seed)
        data += pack_frame(codes[topic], number, payload, seed)
    return data, seed


def read(data: bytes, seed: int) -> list[Frame]:
    """What a reader sees in a file with these bytes."""
    fd = os.memfd_create("segment")
    try:
        os.write(fd, data)
        return list(read_frames(fd, seed, {}))
    finally:
        os.close(fd)


def contents(frames: list[Frame]) -> list[tuple[str, bytes]]:
    return [(frame.topic, frame.payload) for frame in frames]


@given(records)
def test_what_was_written_is_read(written: list[tuple[str, bytes]]) -> None:
    data, seed = build(written)
    assert contents(read(data, seed)) == written
    found = salvage(data, seed)
    assert (contents(found.frames), found.valid_end, found.damaged) == (written, len(data), 0)


@given(records, st.data())
def test_a_tear_leaves_every_whole_record(written: list[tuple[str, bytes]], draw: st.DataObject) -> None:
    data, seed = build(written)
    ends = [frame.end for frame in read(data, seed)]
    cut = draw.draw(st.integers(HEADER_BYTES, len(data)))
    junk = draw.draw(st.sampled_from([b"", b"\0" * 50, os.urandom(50)]))
    whole = [record for record, end in zip(written, ends, strict=True) if end <= cut]
    assert contents(read(data[:cut] + junk, seed)) == whole
    found = salvage(data[:cut] + junk, seed)
    assert contents(found.frames) == whole
    assert found.damaged == 0
    assert found.valid_end <= cut


@given(records.filter(bool), st.data())
@settings(max_examples=200)
def test_a_changed_byte_hides_one_record_and_invents_none(
    written: list[tuple[str, bytes]], draw: st.DataObject
) -> None:
    data, seed = build(written)
    frames = read(data, seed)
    at = draw.draw(st.integers(HEADER_BYTES, len(data) - 1))
    changed = data[:at] + bytes([data[at] ^ draw.draw(st.integers(1, 255))]) + data[at + 1 :]
    before = [(frame.number, frame.payload) for frame in frames if frame.end <= at]
    assert [(frame.number, frame.payload) for frame in read(changed, seed)][: len(before)] == before
    found = salvage(changed, seed)
    known = {(frame.number, frame.topic, frame.payload) for frame in frames}
    assert {(frame.number, frame.topic, frame.payload) for frame in found.frames} <= known
    hit_a_declaration = not any(frame.start <= at < frame.end for frame in frames)
    if not hit_a_declaration:
        assert len(found.frames) == len(frames) - 1
        assert bool(found.damaged) == (frames[-1].start > at)
    assert found.valid_end == len(data) or at >= found.valid_end


def test_records_whose_topic_is_unreadable_are_kept_as_damage() -> None:
    data, seed = build([("prediction", b"one"), ("prediction", b"two")])
    at = data.index(b"prediction")
    changed = data[:at] + b"X" + data[at + 1 :]
    found = salvage(changed, seed)
    assert found.frames == []
    assert found.damaged == len(data) - HEADER_BYTES
    assert found.valid_end == len(data)


def test_a_payload_that_imitates_a_frame_is_never_a_record() -> None:
    forged = pack_frame(1, 5, b"forged", 0)
    data, seed = build([("prediction", b"true"), ("prediction", forged * 3)])
    torn = data[:-5]
    assert contents(read(torn, seed)) == [("prediction", b"true")]
    assert contents(salvage(torn, seed).frames) == [("prediction", b"true")]


def test_a_frame_of_another_segment_is_no_record() -> None:
    ours, seed = build([("prediction", b"ours")])
    others, _ = build([("prediction", b"a"), ("prediction", b"b")])
    assert contents(salvage(ours + others[HEADER_BYTES:], seed).frames) == [("prediction", b"ours")]


def test_numbers_may_leave_gaps_and_payloads_may_span_many_reads() -> None:
    data, seed = build([("prediction", b"x" * (3 << 20))])
    data += pack_frames(1, 9, [b"y" * (2 << 20), b"z"], seed)
    assert [(frame.number, len(frame.payload)) for frame in read(data, seed)] == [(0, 3 << 20), (9, 2 << 20), (10, 1)]


def test_a_file_with_another_header_is_refused(tmp_path: Path) -> None:
    data, _ = build([("prediction", b"x")])
    for number, bad in enumerate((b"", b"PAR1" * 30, data[:40], data[:30] + b"\xff" + data[31:])):
        path = tmp_path / f"{number}.seg"
        path.write_bytes(bad)
        with path.open("rb") as file, pytest.raises(Internal, match="not a journal segment"):
            read_header(file.fileno())
