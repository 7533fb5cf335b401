"""Rows for a model: matrix, labels, the name of exactly these rows, and splits."""

import datetime as dt

import numpy as np
import polars as pl
import pytest

from tidegate.data.records import Contract, DatasetVersion, Field
from tidegate.data.rows import Rows, choose_rows
from tidegate.kernel.errors import Invalid

START = dt.datetime(2013, 1, 1, tzinfo=dt.UTC)
FRAME = pl.DataFrame(
    {
        "carrier": ["UA", "AA", None, "UA", "DL"],
        "miles": [10.0, float("nan"), 30.0, 40.0, 50.0],
        "wet": [True, False, True, None, False],
        "at": [START + dt.timedelta(days=day) for day in (4, 0, 3, 1, 2)],
        "late": [True, False, None, True, False],
        "words": ["a", "b", "c", "d", "e"],
    }
)
VERSION = DatasetVersion(
    name="flights",
    number=3,
    digest="d" * 64,
    rows=5,
    contract=Contract((Field(name="carrier", kind="text"),)),
    contract_revision=1,
    fragments=(),
    created_at=START,
    created_by="local",
)


def chosen(label: str | None = "late", order_by: str | None = "at", features: tuple[str, ...] = ()) -> Rows:
    names = features or ("carrier", "miles", "wet")
    return choose_rows(FRAME, VERSION, features=names, label=label, order_by=order_by)


def test_the_matrix_is_coded_and_ordered_and_rows_without_a_label_are_counted() -> None:
    rows = chosen()
    assert rows.left_out == 1
    assert len(rows) == 4
    assert rows.X.dtype == np.float32
    assert rows.X.flags.c_contiguous
    expected = [[0, np.nan, 0], [2, 40, np.nan], [1, 50, 0], [2, 10, 1]]
    assert np.array_equal(rows.X, np.array(expected, dtype=np.float32), equal_nan=True)
    assert rows.y.tolist() == [False, True, False, True]
    assert rows.categorical == [0]
    assert rows.columns[0].categories == ("AA", "DL", "UA")
    assert rows.frame["words"].to_list() == ["b", "d", "e", "a"]
    assert (rows.lineage[0].digest, rows.lineage[0].label) == ("d" * 64, "flights/3")
    assert repr(rows) == "<4 rows of flights/3: carrier, miles, wet>"


def test_records_are_what_predict_takes() -> None:
    assert chosen().records()[0] == {"carrier": "AA", "miles": None, "wet": False}


def test_labels_keep_their_kind() -> None:
    assert chosen(label="words", features=("miles",)).y.tolist() == ["b", "d", "e", "c", "a"]
    assert chosen(label="miles", features=("carrier",)).left_out == 1
    with pytest.raises(Invalid, match="no label"):
        _ = chosen(label=None).y


@pytest.mark.parametrize(
    "before",
    [
        "2013-01-03",
        "2013-01-03T00:00:00Z",
        dt.date(2013, 1, 3),
        dt.datetime(2013, 1, 3, 1, tzinfo=dt.timezone(dt.timedelta(hours=1))),
    ],
)
def test_a_split_keeps_time_apart_and_codes_together(before: str | dt.date | dt.datetime) -> None:
    rows = chosen()
    train, held_out = rows.split(before=before)
    assert (len(train), len(held_out)) == (2, 2)
    assert train.columns == held_out.columns == rows.columns
    assert np.array_equal(np.vstack([train.X, held_out.X]), rows.X, equal_nan=True)
    assert len({rows.digest, train.digest, held_out.digest}) == 3


def test_a_digest_names_exactly_the_rows() -> None:
    rows = chosen()
    assert rows.digest == chosen().digest
    assert rows.digest != chosen(label=None).digest
    assert rows.split(at=1)[1].split(at=1)[1].digest == rows.split(at=2)[1].digest
    assert rows.split(at=1)[1].split(at=1)[0].digest != rows.split(at=2)[1].digest


def test_splits_by_number_and_by_day() -> None:
    by_number, rest = chosen(order_by="miles", features=("carrier",)).split(before=40)
    assert (len(by_number), len(rest)) == (1, 2)
    day = FRAME.with_columns(pl.col("at").dt.date().alias("at"))
    rows = choose_rows(day, VERSION, features=("carrier",), label=None, order_by="at")
    assert len(rows.split(before="2013-01-02")[0]) == 1
    with pytest.raises(Invalid, match="2013-10-01"):
        rows.split(before="soon")


def test_splits_that_make_no_sense_are_refused() -> None:
    rows = chosen()
    with pytest.raises(Invalid, match="either"):
        rows.split()
    with pytest.raises(Invalid, match="leaves one side empty"):
        rows.split(at=4)
    with pytest.raises(Invalid, match="leaves one side empty"):
        rows.split(before="2012-01-01")
    with pytest.raises(Invalid, match="no time zone"):
        rows.split(before="2013-01-03T00:00:00")
    with pytest.raises(Invalid, match="needs an order"):
        chosen(order_by=None).split(before="2013-01-03")
    with pytest.raises(Invalid, match="instant"):
        rows.split(before=3)


def test_choices_that_make_no_sense_are_refused() -> None:
    with pytest.raises(Invalid, match="no column 'mile'"):
        chosen(features=("mile",))
    with pytest.raises(Invalid, match="is the label and a feature"):
        chosen(features=("late",))
    with pytest.raises(Invalid, match="each once"):
        chosen(features=("wet", "wet"))
