"""Names, references, cursors and the sizes of pages."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tidegate.kernel.errors import Invalid
from tidegate.kernel.names import Reference, check_model_name, check_name, parse_reference
from tidegate.kernel.pages import MAX_PAGE, decode_cursor, encode_cursor, page_size


@pytest.mark.parametrize("name", ["a", "late-arrival", "Flights 2013", "v1.2_x", "0", "x" * 128])
def test_names(name: str) -> None:
    assert check_name(name) == name


@pytest.mark.parametrize(
    "name", ["", " a", "a ", "-a", ".a", "_a", "a/b", "a@b", "ä", "a\n", "a\x00", "x" * 129, "..", "a\u200b"]
)
def test_what_is_not_a_name(name: str) -> None:
    with pytest.raises(Invalid) as caught:
        check_name(name, "dataset")
    assert caught.value.details["field"] == "dataset"


@pytest.mark.parametrize(
    "name", ["a", "late-arrival", "Flights 2013", "_tmp", "main.risk.late_v2", "Late (prod), lr=0.1"]
)
def test_names_of_models(name: str) -> None:
    assert check_model_name(name) == name
    for text in (name, f"{name}/7", f"{name}@champion"):
        reference = parse_reference(text)
        assert (reference.name, str(reference)) == (name, text)


@pytest.mark.parametrize("sign", [*"/:@#%?&+'\"\\<>;$`~!*|{}[]^", "\n", "\x00", "è", "\u0430", "\u200b", "\u202e"])
def test_signs_that_no_name_of_a_model_has(sign: str) -> None:
    with pytest.raises(Invalid):
        check_model_name(f"a{sign}b")


@pytest.mark.parametrize("name", ["", " ", " a", "a ", "-a", ".a", "..", "(a", ",a", "=a", "x" * 129])
def test_what_is_not_a_name_of_a_model(name: str) -> None:
    with pytest.raises(Invalid, match=r"use 1 to 128 letters a to z, digits and any of \. _ - \( \) , = or spaces"):
        check_model_name(name)


@pytest.mark.parametrize(
    ("text", "reference"),
    [
        ("flights", Reference("flights")),
        ("flights/7", Reference("flights", number=7)),
        ("flights@champion", Reference("flights", alias="champion")),
        ("0123456789ab", Reference("0123456789ab", digest="0123456789ab")),
        ("0123456789a", Reference("0123456789a")),
        ("f" * 64, Reference("f" * 64, digest="f" * 64)),
    ],
)
def test_references(text: str, reference: Reference) -> None:
    assert parse_reference(text) == reference
    assert str(parse_reference(text)) == text


@pytest.mark.parametrize(
    "text",
    [
        "",
        "/",
        "/7",
        "flights/",
        "flights/0",
        "flights/-1",
        "flights/x",
        "flights/1/2",
        "flights/²",
        "a@",
        "@b",
        "a@b@c",
    ],
)
def test_what_is_not_a_reference(text: str) -> None:
    with pytest.raises(Invalid):
        parse_reference(text)


@given(st.text())
def test_any_text_is_a_reference_or_invalid(text: str) -> None:
    try:
        reference = parse_reference(text)
    except Invalid:
        return
    assert parse_reference(str(reference)) == reference


@given(st.lists(st.text(st.characters(codec="utf-8")) | st.integers(1 - 2**63, 2**63 - 1), min_size=1, max_size=4))
def test_a_cursor_keeps_its_key(key: list[object]) -> None:
    cursor = encode_cursor(*key)
    assert cursor.isascii()
    assert not set(cursor) & set("=+/&?# ")
    assert decode_cursor(cursor, tuple(type(part) for part in key)) == tuple(key)


@given(st.text(max_size=40))
def test_a_strangers_cursor_is_invalid(text: str) -> None:
    try:
        key = decode_cursor(text, (str, int))
    except Invalid:
        return
    assert key is None or [type(part) for part in key] == [str, int]


def test_a_cursor_of_another_list_is_invalid() -> None:
    assert decode_cursor("", (str,)) is None
    with pytest.raises(Invalid, match="another list"):
        decode_cursor(encode_cursor("a", 1), (str,))
    with pytest.raises(Invalid, match="another list"):
        decode_cursor(encode_cursor("a"), (int,))
    with pytest.raises(Invalid, match="another list"):
        decode_cursor(encode_cursor(True), (int,))
    for number in (2**63, -(2**63)):
        with pytest.raises(Invalid, match="not one that Tidegate returned"):
            decode_cursor(encode_cursor(number, "a"), (int, str))


def test_page_sizes() -> None:
    assert [page_size(limit) for limit in (1, MAX_PAGE)] == [1, MAX_PAGE]
    for limit in (0, -1, MAX_PAGE + 1):
        with pytest.raises(Invalid, match="outside 1 to 1000"):
            page_size(limit)
