"""Algebra of commit and frame: what goes in comes out, and the same rows have the same name."""

import datetime as dt
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from polars.testing import assert_frame_equal

from tidegate.data.fragments import read_fragments, write_fragments
from tidegate.storage.objects.folder import FolderObjects

KINDS: dict[str, tuple[pl.DataType, st.SearchStrategy[Any]]] = {
    "integer": (pl.Int64(), st.integers(-(2**63), 2**63 - 1)),
    "number": (pl.Float64(), st.floats()),
    "boolean": (pl.Boolean(), st.booleans()),
    "text": (pl.String(), st.text(st.characters(exclude_categories=["Cs"]), max_size=20)),
    "instant": (
        pl.Datetime("us", "UTC"),
        st.datetimes(dt.datetime(1, 1, 2), dt.datetime(9999, 12, 30), timezones=st.just(dt.UTC)),  # noqa: DTZ001
    ),
    "date": (pl.Date(), st.dates()),
}


@st.composite
def frames(draw: st.DrawFn) -> pl.DataFrame:
    """A frame of one to four columns and one to thirty rows, with nulls."""
    rows = draw(st.integers(1, 30))
    names = draw(
        st.lists(st.text(st.characters(categories=["L", "N"]), min_size=1), min_size=1, max_size=4, unique=True)
    )
    columns = []
    for name in names:
        dtype, values = KINDS[draw(st.sampled_from(sorted(KINDS)))]
        cells = draw(st.lists(st.none() | values, min_size=rows, max_size=rows))
        columns.append(pl.Series(name, cells, dtype=dtype, strict=True))
    return pl.DataFrame(columns)


@pytest.fixture(scope="module")
def objects() -> Iterator[FolderObjects]:
    with tempfile.TemporaryDirectory() as folder:
        yield FolderObjects(Path(folder))


@settings(deadline=None, max_examples=60)
@given(frame=frames(), cut=st.integers(0, 30))
def test_fragments_give_back_every_type_null_and_letter(objects: FolderObjects, frame: pl.DataFrame, cut: int) -> None:
    fragments = write_fragments(frame, objects)
    assert_frame_equal(read_fragments(fragments, objects), frame)
    pieces = pl.concat([frame[:cut], frame[cut:]], rechunk=False)
    assert write_fragments(pieces, objects) == fragments
    assert write_fragments(read_fragments(fragments, objects), objects) == fragments


@settings(deadline=None, max_examples=30)
@given(frame=frames())
def test_only_the_same_rows_have_the_same_name(objects: FolderObjects, frame: pl.DataFrame) -> None:
    doubled = pl.concat([frame, frame[:1]])
    assert write_fragments(doubled, objects) != write_fragments(frame, objects)
    renamed = frame.rename({frame.columns[0]: f"{frame.columns[0]}z"})
    assert write_fragments(renamed, objects) != write_fragments(frame, objects)
