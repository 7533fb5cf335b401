"""Reads what a user commits: a Parquet or CSV file, or a Polars or pandas frame. What is damaged is refused."""

import csv
import io
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec

from tidegate.data.matrix import as_polars
from tidegate.kernel.errors import Invalid, NotFound

if TYPE_CHECKING:
    import polars as pl


class Table(msgspec.Struct, frozen=True):
    """What was read. ``spelt``: every column is still text, as a CSV file spells it."""

    frame: "pl.DataFrame"
    source: str
    spelt: bool = False


def read_table(source: object) -> Table:
    """The table at a path (`.parquet`, `.csv`), or the frame itself.

    Raises `NotFound` for a path without a file, `Invalid` for what is damaged, empty or of another format.
    """
    if isinstance(source, str | Path):
        table = _read_file(Path(source).expanduser())
    else:
        table = _read_frame(source)
    _refuse_empty(table)
    return table


def _read_frame(source: object) -> Table:
    """A frame as it is; the NaN by which pandas writes what is missing becomes null."""
    import polars as pl

    library = type(source).__module__.split(".")[0]
    if library != "pandas":
        return Table(as_polars(source), f"{library} frame")
    names = [str(name) for name in getattr(source, "columns", ())]
    for name in names:
        if names.count(name) > 1:
            raise Invalid(f"the pandas frame has two columns named {name!r}: rename one", field=name)
    return Table(as_polars(source).with_columns(pl.col(pl.Float32, pl.Float64).fill_nan(None)), "pandas frame")


def _read_file(path: Path) -> Table:
    if not path.exists():
        raise NotFound(f"there is no file {path}: give the path of a Parquet or CSV file", path=str(path))
    if path.is_dir():
        raise Invalid(f"{path} is a folder: give one Parquet or CSV file")
    suffix = path.suffix.lower()
    if suffix not in (".parquet", ".csv"):
        raise Invalid(f"{path.name} is neither .parquet nor .csv: read it into a frame and commit that")
    try:
        raw = path.read_bytes()
    except OSError as error:
        raise Invalid(f"{path} cannot be read: {error.strerror}") from error
    if not raw:
        raise Invalid(f"{path} is empty: it has no bytes")
    if suffix == ".parquet":
        return Table(_read_parquet(raw, path), path.name)
    return Table(_read_csv(raw, path), path.name, spelt=True)


def _read_parquet(raw: bytes, path: Path) -> "pl.DataFrame":
    import polars as pl

    try:
        return pl.read_parquet(io.BytesIO(raw))
    except pl.exceptions.DuplicateError as error:
        raise Invalid(f"{path} has two columns of one name: rename one ({_first_line(error)})") from error
    except (pl.exceptions.PolarsError, pl.exceptions.PanicException, OSError, ValueError) as error:
        raise Invalid(
            f"{path} is damaged or no Parquet file ({len(raw):,} bytes): {_first_line(error)}. Write it again",
            path=str(path),
        ) from error


def _read_csv(raw: bytes, path: Path) -> "pl.DataFrame":
    import polars as pl

    _check_structure(raw, path)
    try:
        return pl.read_csv(io.BytesIO(raw), infer_schema=False)
    except (pl.exceptions.PolarsError, pl.exceptions.PanicException, OSError, ValueError) as error:
        raise Invalid(f"{path} is damaged: {_first_line(error)}. Write it again", path=str(path)) from error


def _check_structure(raw: bytes, path: Path) -> None:
    """Raises `Invalid` naming the line where the file stops being a table: Polars would fill the gap with nulls."""
    try:
        text = raw.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = raw.count(b"\n", 0, error.start) + 1
        raise Invalid(f"{path}, line {line}: not UTF-8. Save the file as UTF-8", path=str(path), line=line) from error
    reader = csv.reader(io.StringIO(text, newline=""), strict=True)
    try:
        header = next(reader, [])
        _check_header(header, path)
        for record in reader:
            if len(record) != len(header) and not (len(header) == 1 and not record):
                raise Invalid(
                    f"{path}, line {reader.line_num}: {len(record)} values, the header names {len(header)} columns. "
                    "The file is damaged or cut: write it again",
                    path=str(path),
                    line=reader.line_num,
                )
    except csv.Error as error:
        raise Invalid(f"{path}, line {reader.line_num}: {error}", path=str(path), line=reader.line_num) from error


def _check_header(header: list[str], path: Path) -> None:
    if any(not name.strip() for name in header) or not header:
        raise Invalid(f"{path}, line 1: a column has no name; the first line names every column", path=str(path))
    for name in header:
        if header.count(name) > 1:
            raise Invalid(f"{path} has two columns named {name!r}: rename one", path=str(path), field=name)


def _refuse_empty(table: Table) -> None:
    if not table.frame.width:
        raise Invalid(f"the {table.source} has no columns: there is nothing to commit")
    if not table.frame.height:
        raise Invalid(f"the {table.source} has no rows: a version holds at least one")
    if "" in table.frame.columns:
        raise Invalid(f"a column of the {table.source} has no name: give every column one")


def _first_line(error: Any) -> str:
    return str(error).strip().splitlines()[0].rstrip(".") if str(error).strip() else type(error).__name__
