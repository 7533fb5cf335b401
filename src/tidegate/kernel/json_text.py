"""What is wrong with JSON text, and where: its line, its column, and the field. Read only once the decoder refuses it.

The decoder itself tells a byte at best, and of a key that an object names twice it keeps the last in silence.
"""

import json
import math
import re
from collections.abc import Callable, Iterator
from typing import Any, Final, NamedTuple

import msgspec

from tidegate.kernel.errors import Invalid

FIELDS_WITHIN: Final = 256 << 10
"""A field is told of what is wrong within so many bytes; further on line and column have to do."""

DEEPEST: Final = 20
"""A field's path is told down to here."""

_TOKEN = re.compile(rb'[ \t\n\r]*+([{}\[\],:]|"[^"\\]*+(?:\\.[^"\\]*+)*+"|[^ \t\n\r{}\[\],:"]++)', re.DOTALL)
_NUMBER = re.compile(rb"-?(0|[1-9][0-9]*+)(\.[0-9]++)?([eE][+-]?[0-9]++)?")
_WORDS = (b"{", b"}", b"[", b"]", b",", b":", b"true", b"false", b"null")
_BYTE = re.compile(r" \(byte (\d+)\)\Z")
_ENCODE: Final = msgspec.json.Encoder().encode


class Fault(NamedTuple):
    """What is wrong with a text, at which of its bytes, and in which field (empty: none, or nobody knows)."""

    said: str
    byte: int
    field: str

    def invalid(self, raw: bytes, what: str, *, part: bool = False) -> Invalid:
        """The error that tells it. Line and column count from 1, columns in characters; a part of a text has none."""
        if part:
            return Invalid(f"{what}: {self.said}")
        before = raw[: self.byte].decode("utf-8", "replace")
        line, column = before.count("\n") + 1, len(before) - before.rfind("\n")
        place = f"at line {line}, column {column}"
        if not self.field:
            return Invalid(f"{what}: {self.said}, {place}", line=line, column=column)
        return Invalid(f"{what}: {self.said}, {place}, in {self.field}", line=line, column=column, field=self.field)


def malformed(raw: bytes, complaint: str) -> Fault:
    """What is wrong with text that the decoder refused with this complaint."""
    if not raw.strip():
        return Fault("it is empty", 0, "")
    told = _BYTE.search(complaint)
    byte = int(told[1]) if told else len(raw)
    said = _BYTE.sub("", complaint).removeprefix("JSON is malformed: ") if told else "it ends too soon"
    try:
        raw[:byte].decode()
    except UnicodeDecodeError as error:
        said, byte = "text that is not UTF-8", error.start
    wrong = _find(raw, _no_value)
    if wrong is None or wrong[0] > byte:
        return Fault(said, byte, _field_at(raw, byte))
    if raw[wrong[0]] == ord('"'):  # of such text the decoder says that it ends too soon
        said = "half a surrogate pair, which is no character"
    return Fault(said, *wrong)  # where it begins; the decoder tells some byte within, or the next one


def out_of_range(raw: bytes) -> str:
    """The field of the first number that is larger than any float; empty where there is none."""
    found = _find(raw, _overflows)
    return "" if found is None else found[1]


def check_keys(raw: bytes, colons: int, quotes: Callable[[], int] = lambda: 0, what: str = "the body") -> None:
    """Raise `Invalid` where an object in text that was decoded names a key twice.

    ``colons`` and ``quotes`` are those that what came out of it accounts for: a colon and two quotation marks of
    each key, two marks of a text or an instant, two colons of an instant; fewer will do. A text that has no more of
    one of them holds no key beside those that came out; only where it has is it read once again.
    """
    if raw.count(b":") <= colons or raw.count(b'"') <= quotes():
        return
    try:
        json.loads(raw.decode(), object_pairs_hook=_differing, parse_int=str, parse_float=str)
    except _RepeatedError as error:
        said = "an object names this key twice"
        for byte, _, path, again in _tokens(raw):
            if again:
                raise Fault(said, byte, _field(path)).invalid(raw, what) from error
        field = _shown(error.args[0])
        raise Invalid(f"{what}: {said}: {field}", field=field) from error
    except RecursionError as error:
        raise Invalid(f"{what} is nested too deeply") from error
    except ValueError as error:  # in a part that the decoder passed over, since nobody asks for it
        raise malformed(raw, str(error)).invalid(raw, f"{what} is not valid JSON") from error


def check_plain(raw: bytes, plain: Any, what: str = "the body") -> None:
    """`check_keys` of text that was decoded as these plain dicts and lists.

    Without escapes it has two quotation marks for each key and each text: written again it has as many, or one key too
    few came out.
    """
    try:
        if b"\\" not in raw and raw.count(b'"') == _ENCODE(plain).count(b'"'):
            return
    except RecursionError:  # nested just less deeply than can be decoded
        pass
    check_keys(raw, keys_of(plain), what=what)


def keys_of(plain: Any) -> int:
    """How many keys plain data have, one dict within another."""
    keys, left = 0, [plain]
    while left:
        each = left.pop()
        if isinstance(each, dict):
            keys += len(each)
            left += [value for value in each.values() if value.__class__ in (dict, list)]
        elif isinstance(each, list):
            left += [value for value in each if value.__class__ in (dict, list)]
    return keys


class _RepeatedError(Exception):
    """An object names a key twice."""


def _differing(pairs: list[tuple[str, Any]]) -> None:
    if len({key for key, _ in pairs}) != len(pairs):
        keys = [key for key, _ in pairs]
        raise _RepeatedError(next(key for key in keys if keys.count(key) > 1))


_Path = list[str | int | None]
"""Of each object that one stands in the key, None where one is due; of each list the index."""


def _tokens(raw: bytes) -> Iterator[tuple[int, bytes, _Path, bool]]:
    """Each token: its first byte, where one stands with it, and whether it is a key that its object names again.

    As far as the text makes sense; the last one is empty. The path is one list, which changes with the next token.
    """
    path: _Path = []
    seen: list[set[str]] = []
    text, position = raw[:FIELDS_WITHIN], 0
    while (found := _TOKEN.match(text, position)) is not None:
        token, position, again = found[1], found.end(), False
        if path and token in (b"}", b"]"):
            path.pop()
            seen.pop()
        elif path and token == b",":
            path[-1] = path[-1] + 1 if isinstance(path[-1], int) else None
        elif path and path[-1] is None and token[:1] == b'"':
            path[-1] = key = _text(token)
            again = key in seen[-1]
            seen[-1].add(key)
        yield found.start(1), token, path, again
        if token in (b"{", b"["):
            path.append(None if token == b"{" else 0)
            seen.append(set())
    yield len(text), b"", path, False


def _field(path: _Path) -> str:
    """The path as it is told, such as `rows[0].wind`."""
    steps = (
        f"[{each}]" if isinstance(each, int) else f".{_shown(each)}" for each in path[:DEEPEST] if each is not None
    )
    return "".join(steps).removeprefix(".")


def _field_at(raw: bytes, byte: int) -> str:
    """The field at which one stands before this byte is read."""
    if byte > FIELDS_WITHIN:
        return ""
    *_, (_, _, path, _) = _tokens(raw[:byte])
    return _field(path)


def _find(raw: bytes, wrong: Callable[[bytes], bool]) -> tuple[int, str] | None:
    """The first token of which something is so: its byte, its field."""
    for start, token, path, _ in _tokens(raw):
        if token and wrong(token):
            return start, _field(path)
    return None


def _no_value(token: bytes) -> bool:
    """Whether it is neither punctuation nor a scalar that can be decoded."""
    if token[:1] == b'"':
        return _lone_surrogate(token)
    return token not in _WORDS and _NUMBER.fullmatch(token) is None


def _overflows(token: bytes) -> bool:
    try:
        return token[:1] in b"-0123456789" and math.isinf(float(token))
    except ValueError:
        return False


def _lone_surrogate(token: bytes) -> bool:
    return b"\\u" in token and any("\ud800" <= each <= "\udfff" for each in _text(token))


def _shown(key: str) -> str:
    """A stranger's key as a message holds it."""
    return key[:80].encode("utf-8", "replace").decode()


def _text(token: bytes) -> str:
    """What a string says; anything else as it stands there."""
    try:
        return str(json.loads(token))
    except ValueError:
        return token.decode("utf-8", "replace")
