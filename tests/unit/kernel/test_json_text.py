"""What is wrong with JSON text is told with its line, its column and its field."""

import json
from functools import partial
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tidegate.kernel import wire
from tidegate.kernel.errors import Invalid, to_wire
from tidegate.kernel.json_text import FIELDS_WITHIN, check_keys, check_plain, keys_of

HALF = "half a surrogate pair"


@pytest.mark.parametrize(
    ("raw", "said", "line", "column", "field"),
    [
        (b"", "it is empty", 1, 1, None),
        (b" \n", "it is empty", 1, 1, None),
        (b"{", "it ends too soon", 1, 2, None),
        (b'{"rows": [', "it ends too soon", 1, 11, "rows[0]"),
        (b'{"rows": [\n {"a": 1},\n {"b": [1, {"c', "it ends too soon", 3, 15, "rows[1].b[1]"),
        (b'{"name": "a", }', "trailing comma in object", 1, 15, None),
        (b'{\n  "name": tru\n}', "invalid character", 2, 11, "name"),
        (b'{"a": {"b": 1} "c": 2}', "expected ',' or '}'", 1, 16, "a"),
        (b'{"\xc3\xa4": ["\xc3\xb6\xc3\xbc", NaN]}', "invalid character", 1, 14, "ä[1]"),
        (b"{'a':1}", "object keys must be strings", 1, 2, None),
        (b"{}x", "trailing characters", 1, 3, None),
        (b'{"a": "b\\x"}', "invalid escape character", 1, 11, "a"),
        (b'{"a": 1,\n"b": "\xff"}', "text that is not UTF-8", 2, 7, "b"),
        (b'{"a": "\xed\xa0\x80"}', "text that is not UTF-8", 1, 8, "a"),
        (b'{"a": "\\ud800"}', HALF, 1, 7, "a"),
        (b'{"a": "\\ud800 and more"}', HALF, 1, 7, "a"),
        (b'{"a": [{"b": "\\ud83d\\ude00"}, {"b": "\\ude00"}]}', HALF, 1, 37, "a[1].b"),
        (b'{"a": "\\ud800\\u0041"}', HALF, 1, 7, "a"),
        (b'{"a": tru, "b": "\\ud800"}', "invalid character", 1, 7, "a"),
        (b'{"a": tru, "b": "\xff"}', "invalid character", 1, 7, "a"),
        (b'{"\\ud800": 1}', HALF, 1, 2, "?"),
    ],
)
def test_what_does_not_parse_is_told_with_its_place(
    raw: bytes, said: str, line: int, column: int, field: str | None
) -> None:
    with pytest.raises(Invalid) as caught:
        wire.decode(raw, dict[str, Any])
    assert caught.value.message.startswith(f"the body is not valid JSON: {said}")
    expected: dict[str, object] = {"line": line, "column": column}
    assert caught.value.details == (expected if field is None else expected | {"field": field})


def test_far_into_a_long_text_line_and_column_have_to_do() -> None:
    raw = b'{"a": [' + b"1,\n" * FIELDS_WITHIN + b'"x" "y"]}'
    with pytest.raises(Invalid) as caught:
        wire.decode(raw, dict[str, Any])
    assert caught.value.details == {"line": FIELDS_WITHIN + 1, "column": 5}


@pytest.mark.parametrize(
    ("raw", "field"),
    [(b'{"a": 1, "b": {"c": [1, 1e999]}}', "b.c[1]"), (b'{"a": [{"b": -1e400}]}', "a[0].b")],
)
def test_a_number_that_no_float_holds_is_named_by_its_keys(raw: bytes, field: str) -> None:
    with pytest.raises(Invalid, match="out of range") as caught:
        wire.decode(raw, dict[str, Any])
    assert caught.value.details == {"field": field}


@pytest.mark.parametrize(
    ("raw", "line", "column", "field"),
    [
        (b'{"a": 1, "a": 1}', 1, 10, "a"),
        (b'{"a": 1, "\\u0061": 2}', 1, 10, "a"),
        (b'{"a": 1, "a" :2, "b": ":"}', 1, 10, "a"),
        (b'{"a": [{"b": 1},\n{"b": {"c": 1, "d": "x:y", "c": {}}}]}', 2, 28, "a[1].b.c"),
    ],
)
def test_a_key_that_is_named_twice_is_refused(raw: bytes, line: int, column: int, field: str) -> None:
    with pytest.raises(Invalid, match="the body: an object names this key twice") as caught:
        wire.decode_plain(raw, dict[str, Any])
    assert caught.value.details == {"line": line, "column": column, "field": field}


def test_what_nobody_asks_for_is_read_too() -> None:
    class Asked(msgspec.Struct):
        a: int

    raw = b'{"a": 1, "junk": "\xff"}'
    assert wire.decode(raw, Asked).a == 1
    with pytest.raises(Invalid, match="text that is not UTF-8, at line 1, column 19, in junk"):
        check_keys(raw, 1)


def test_so_it_is_far_into_a_long_text() -> None:
    raw = b'{"a": "' + b"x" * FIELDS_WITHIN + b'", "b": 1, "b": 2}'
    with pytest.raises(Invalid, match="the body: an object names this key twice: b"):
        wire.decode_plain(raw, dict[str, Any])


@pytest.mark.parametrize(
    "bomb", [b'{"a": ' + b"[" * 990 + b"]" * 990 + b', "a": 1}', b'{"a":' * 990 + b"1" + b"}" * 990]
)
def test_what_is_nested_deeply_is_no_fault(bomb: bytes) -> None:
    refused = None
    try:
        wire.decode_plain(bomb, Any)
    except Invalid as error:
        refused = error
    assert refused is None or "nested" in refused.message or "twice" in refused.message


class Object:
    """An object as its pairs, so that a key may stand there twice."""

    def __init__(self, pairs: list[tuple[str, Any]]) -> None:
        self.pairs = pairs

    def text(self) -> str:
        return "{" + ", ".join(f"{json.dumps(key)} : {text_of(value)}" for key, value in self.pairs) + "}"

    @property
    def repeats(self) -> bool:
        keys = [key for key, _ in self.pairs]
        return len(set(keys)) != len(keys) or any(repeats(value) for _, value in self.pairs)


def text_of(value: Any) -> str:
    """JSON of nested objects and lists."""
    if isinstance(value, list):
        return "[" + ",".join(map(text_of, value)) + "]"
    return value.text() if isinstance(value, Object) else json.dumps(value)


def repeats(value: Any) -> bool:
    """Whether any object within names a key twice."""
    if isinstance(value, list):
        return any(map(repeats, value))
    return isinstance(value, Object) and value.repeats


texts = st.text(st.sampled_from('ab":\\ä💥'), max_size=3)
values = st.recursive(
    texts | st.integers(-9, 9) | st.none(),
    lambda inner: st.lists(inner, max_size=3) | st.lists(st.tuples(texts, inner), max_size=3).map(Object),
    max_leaves=12,
)


@given(values, st.integers(0, 3))
def test_keys_are_refused_if_and_only_if_one_is_named_twice(value: Any, missed: int) -> None:
    raw = text_of(value).encode()
    plain = wire.decode(raw, Any)
    known = max(0, keys_of(plain) - missed)
    for check in (partial(check_keys, raw, known), partial(check_plain, raw, plain)):
        if repeats(value):
            with pytest.raises(Invalid, match="twice"):
                check()
        else:
            check()


@given(
    st.lists(st.integers(0, 3) | st.sampled_from(["a", "b", "ä"]), max_size=6), st.sampled_from(["nul", '"\\ud800"'])
)
def test_the_field_is_the_path_to_what_is_wrong(path: list[int | str], wrong: str) -> None:
    text = wrong
    for step in reversed(path):
        text = f"[{'1, ' * step}{text}]" if isinstance(step, int) else f'{{"x": [{{}}], "{step}" :\n{text}}}'
    with pytest.raises(Invalid) as caught:
        wire.decode(text.encode(), Any)
    named = "".join(f"[{step}]" if isinstance(step, int) else f".{step}" for step in path).removeprefix(".")
    assert caught.value.details.get("field", "") == named
    assert caught.value.details["line"] == 1 + sum(isinstance(step, str) for step in path)


@given(st.binary(max_size=60))
def test_whatever_arrives_is_told_in_one_form(raw: bytes) -> None:
    refused = None
    try:
        wire.decode_plain(raw, Any)
    except Invalid as error:
        refused = error
    assert refused is None or wire.encode(to_wire(refused))


@pytest.mark.parametrize("moment", ["2013-10-01T00:00:00Z", "2013-10-01T02:00:00+02:00", "2013-10-01T00:00:00.5Z"])
def test_the_colons_of_instants_hide_no_key(moment: str) -> None:
    text = f'{{"at": ["{moment}", "{moment}"], "a": "x:y"}}'
    check_keys(text.encode(), 2 + 4, lambda: 2 * (2 + 3))
    with pytest.raises(Invalid, match="twice"):
        check_keys(text.replace('"a"', '"at": [], "a"').encode(), 2 + 4, lambda: 2 * (2 + 3))
