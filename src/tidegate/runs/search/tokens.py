"""A filter's text in pieces, each with its place, so that an error can point at it."""

import re
from collections.abc import Iterator
from typing import Final, Literal

import msgspec

from tidegate.kernel.errors import Invalid

MOST_CHARACTERS: Final = 65_536

Kind = Literal["word", "name", "either", "text", "number", "sign", "end"]
"""`name` stands in backticks, `text` in single quotes, `either` in double quotes, which serve for both."""

_PIECE: Final = re.compile(
    r"(?P<blank>\s+)"
    r"|(?P<number>[+-]?(?:[0-9]+(?:\.[0-9]*)?|\.[0-9]+)(?:[eE][+-]?[0-9]+)?(?![\w.]))"
    r"|(?P<word>[^\W\d][\w.]*)"
    r"|(?P<name>`(?:[^`]|``)*+`)"
    r'|(?P<either>"(?:[^"]|"")*+")'
    r"|(?P<text>'(?:[^']|'')*+')"
    r"|(?P<sign><=|>=|!=|[=<>(),])",
)
_QUOTED: Final = ("name", "either", "text")


class Token(msgspec.Struct, frozen=True):
    """A piece of the text. ``place`` counts characters from 1."""

    kind: Kind
    text: str
    place: int

    @property
    def keyword(self) -> str:
        """The word in capitals, empty for anything else."""
        return self.text.upper() if self.kind == "word" else ""

    def __str__(self) -> str:
        if self.kind == "end":
            return "the end"
        return f"{self.text[:40]}…" if len(self.text) > 40 else self.text


def tokens(text: str, what: str) -> Iterator[Token]:
    """The pieces, and one for the end. Raises `Invalid` for what is none, saying where."""
    if len(text) > MOST_CHARACTERS:
        raise Invalid(f"{what} has {len(text):,} characters, at most {MOST_CHARACTERS:,} are read", field=what)
    at = 0
    while at < len(text):
        found = _PIECE.match(text, at)
        if found is None:
            raise wrong(what, at + 1, _stranger(text, at))
        kind, piece = found.lastgroup, found.group()
        if kind != "blank":
            quote = piece[0]
            inside = piece[1:-1].replace(quote * 2, quote) if kind in _QUOTED else piece
            _check_characters(inside, at + 1, what)
            yield Token(kind, inside, at + 1)  # type: ignore[arg-type]
        at = found.end()
    yield Token("end", "", len(text) + 1)


def wrong(what: str, place: int, message: str) -> Invalid:
    """The error about one place of a text."""
    return Invalid(f"{what}, character {place}: {message}", field=what, place=place)


def _stranger(text: str, at: int) -> str:
    character = text[at]
    if character in "\"'`":
        return f"the quotation that begins with {character} has no end"
    if character.isdigit() or character in "+-.":
        return (
            f"{text[at : at + 20]!r} is no number; a name with other characters stands in backticks, as in tags.`1-a`"
        )
    return (
        f"{character!r} cannot stand here; a name with other characters than letters, digits, '_' and '.' "
        "stands in backticks, as in metrics.`val/loss`"
    )


def _check_characters(text: str, place: int, what: str) -> None:
    if "\0" in text or (not text.isascii() and any("\ud800" <= character <= "\udfff" for character in text)):
        raise wrong(what, place, "a text with NUL or half of a surrogate pair is kept nowhere, so nothing equals it")
