"""A column says what it is, and refuses to be what has no coding."""

import msgspec
import pytest

from tidegate.kernel.errors import Invalid
from tidegate.kernel.schema import Column, refuse_doubles


def test_a_column_travels_as_json() -> None:
    column = Column("carrier", "category", True, ("AA", "Ünï"))
    assert msgspec.json.decode(msgspec.json.encode(column), type=Column) == column


def test_a_category_is_coded_by_its_place() -> None:
    assert Column("carrier", "category", False, ("UA", "AA")).codes() == {"UA": 0.0, "AA": 1.0}


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        (b'{"name":"","kind":"number","nullable":false}', "no name"),
        (b'{"name":"a","kind":"number","nullable":false,"categories":["x"]}', "'a' is a number and lists categories"),
        (b'{"name":"a","kind":"category","nullable":false,"categories":["x","x"]}', "'a' lists a category twice"),
    ],
)
def test_what_has_no_coding_is_refused(text: bytes, complaint: str) -> None:
    with pytest.raises(Invalid, match=complaint):
        msgspec.json.decode(text, type=Column)


def test_a_name_stands_once() -> None:
    with pytest.raises(Invalid, match="'a' appears twice"):
        refuse_doubles((Column("a", "number", False), Column("a", "boolean", False)))
