"""Files are read whole or refused: truncated Parquet, crooked CSV, empty, doubled and nameless columns."""

from pathlib import Path

import polars as pl
import pytest

from tidegate.data.reading import read_table
from tidegate.data.records import Contract, Field, Kind
from tidegate.data.spelling import typed
from tidegate.kernel.errors import Invalid, NotFound


def csv(folder: Path, text: str | bytes) -> Path:
    path = folder / "table.csv"
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return path


def types(folder: Path, text: str) -> pl.DataFrame:
    return typed(read_table(csv(folder, text)).frame, None).frame


@pytest.mark.parametrize("keep", [0, 1, 4, 11, 12, 0.25, 0.5, 0.9, -1, -4, -8])
def test_truncated_parquet_is_refused(tmp_path: Path, keep: float) -> None:
    path = tmp_path / "t.parquet"
    pl.DataFrame({"a": range(5000), "b": [str(x) for x in range(5000)]}).write_parquet(path)
    raw = path.read_bytes()
    path.write_bytes(raw[: int(keep * len(raw)) if 0 < keep < 1 else int(keep)])
    with pytest.raises(Invalid, match=r"t\.parquet"):
        read_table(path)


def test_a_file_that_is_no_parquet_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "t.parquet"
    path.write_bytes(b"PAR1" + b"\x00" * 100 + b"PAR1")
    with pytest.raises(Invalid, match="damaged or no Parquet"):
        read_table(path)


def test_a_path_that_names_no_table_is_refused(tmp_path: Path) -> None:
    with pytest.raises(NotFound, match="no file"):
        read_table(tmp_path / "none.csv")
    with pytest.raises(Invalid, match="is a folder"):
        read_table(tmp_path)
    (tmp_path / "t.xlsx").write_bytes(b"x")
    with pytest.raises(Invalid, match="neither"):
        read_table(tmp_path / "t.xlsx")


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("", "no bytes"),
        ("a,b\n", "no rows"),
        ("a,b\n1,2\n3\n4,5\n", "line 3: 1 values, the header names 2"),
        ("a,b\n1,2\n3,4,5\n", "line 3: 3 values"),
        ("a,b\n1,2\n\n3,4\n", "line 3: 0 values"),
        ("a,a\n1,2\n", "two columns named 'a'"),
        ("a,\n1,2\n", "no name"),
        ('a,b\n1,"x\n2,3\n', "line 3: unexpected end of data"),
        ('a,b\n"1"x,2\n', "line 2"),
        (b"a,b\n1,2\n\xe9,3\n", "line 3: not UTF-8"),
    ],
)
def test_a_crooked_csv_is_refused_with_its_line(tmp_path: Path, text: str | bytes, complaint: str) -> None:
    with pytest.raises(Invalid, match=complaint):
        read_table(csv(tmp_path, text))


def test_frames_without_rows_or_columns_are_refused() -> None:
    with pytest.raises(Invalid, match="no rows"):
        read_table(pl.DataFrame({"a": []}))
    with pytest.raises(Invalid, match="no columns"):
        read_table(pl.DataFrame())
    with pytest.raises(Invalid, match="no name"):
        read_table(pl.DataFrame({"": [1]}))
    with pytest.raises(Invalid, match="expected a Polars or pandas frame"):
        read_table([1, 2])


def test_spelling_shows_types(tmp_path: Path) -> None:
    frame = types(
        tmp_path,
        "\ufeffwhole,real,yes,at,day,zip,word\n"
        "1,1.5,true,2013-01-01T05:15:00Z,2013-01-01,01234,é\n"
        "-2,1e-3,False,2013-01-01 05:15:00.25+02:00,2013-12-31,99999,\n"
        'NA,NaN,,N/A,null,00001,""\n',
    )
    assert frame.dtypes == [
        pl.Int64, pl.Float64, pl.Boolean, pl.Datetime("us", "UTC"), pl.Date, pl.String, pl.String,
    ]  # fmt: skip
    assert frame["whole"].to_list() == [1, -2, None]
    assert frame["at"].dt.hour().to_list() == [5, 3, None]
    assert frame["zip"].to_list() == ["01234", "99999", "00001"]
    assert frame["word"].to_list() == ["é", None, ""]


def test_a_column_spelt_in_two_ways_is_refused_with_its_rows(tmp_path: Path) -> None:
    text = "x\n" + "".join("oops\n" if row in (17, 400) else f"{row}.5\n" for row in range(500))
    with pytest.raises(Invalid, match="'oops' in row 17, 'oops' in row 400") as caught:
        types(tmp_path, text)
    assert caught.value.details["rows"] == [17, 400]


def test_instants_without_a_zone_are_refused(tmp_path: Path) -> None:
    with pytest.raises(Invalid, match=r"without a time zone, as '2013-01-01 05:15' in row 0"):
        types(tmp_path, "at\n2013-01-01 05:15\n2013-01-02 05:15\n")


@pytest.mark.parametrize(
    ("kind", "spelt", "rows"),
    [
        ("integer", ["1", "2.5", "x", "3.0"], (1, 2)),
        ("number", ["1", "1,5", ""], (1,)),
        ("boolean", ["true", "1"], (1,)),
        ("instant", ["2013-01-01T00:00:00Z", "2013-01-01T00:00:00", "2013-02-30T00:00:00Z"], (1, 2)),
        ("date", ["2013-01-01", "01/02/2013", "2013-02-30"], (1, 2)),
    ],
)
def test_what_is_not_spelt_as_the_contract_asks_is_named_by_its_rows(
    kind: Kind, spelt: list[str], rows: tuple[int, ...]
) -> None:
    contract = Contract((Field(name="x", kind=kind),))
    (violation,) = typed(pl.DataFrame({"x": spelt}), contract).violations
    assert violation.rows == rows
    assert "expected" in violation.message


def test_a_pandas_frame_is_read_with_nan_as_null() -> None:
    pandas = pytest.importorskip("pandas")
    frame = pandas.DataFrame({"a": [1.0, None], "b": ["x", None]})
    assert read_table(frame).frame.rows() == [(1.0, "x"), (None, None)]
    with pytest.raises(Invalid, match="two columns named 'a'"):
        read_table(pandas.DataFrame([[1, 2]], columns=["a", "a"]))
