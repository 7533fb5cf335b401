"""Any bytes, cut in any way, come back from a folder of objects, whole and in ranges."""

import tempfile
from collections.abc import Iterator

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tidegate.kernel.errors import Invalid
from tidegate.kernel.objects import parse_digest
from tidegate.storage.objects.fingerprint import fingerprint_of
from tidegate.storage.objects.folder import FolderObjects


@pytest.fixture(scope="module")
def objects() -> Iterator[FolderObjects]:
    with tempfile.TemporaryDirectory() as folder:
        yield FolderObjects(folder)


@settings(deadline=None, max_examples=60)
@given(pieces=st.lists(st.binary(max_size=300), max_size=6))
def test_law_1_the_cuts_do_not_matter(objects: FolderObjects, pieces: list[bytes]) -> None:
    whole = b"".join(pieces)
    info = objects.put(iter(pieces))
    assert info == objects.put(whole) == fingerprint_of(whole) == objects.stat(info.digest)
    assert objects.get(info.digest) == whole == b"".join(objects.stream(info.digest))


@settings(deadline=None, max_examples=60)
@given(data=st.binary(max_size=300), start=st.integers(-2, 310), length=st.none() | st.integers(-2, 310))
def test_law_9_a_range_is_a_slice(objects: FolderObjects, data: bytes, start: int, length: int | None) -> None:
    info = objects.put(data)
    if start < 0 or (length or 0) < 0 or start > len(data):
        with pytest.raises(Invalid):
            objects.stream(info.digest, start=start, length=length)
    else:
        end = None if length is None else start + length
        assert b"".join(objects.stream(info.digest, start=start, length=length)) == data[start:end]


@given(text=st.text(max_size=70) | st.text("0123456789abcdefABCDEF/.", min_size=60, max_size=68))
def test_law_11_only_digests_are_digests(text: str) -> None:
    good = len(text) == 64 and set(text) <= set("0123456789abcdef")
    if good:
        assert parse_digest(text) == text
    else:
        with pytest.raises(Invalid):
            parse_digest(text)
