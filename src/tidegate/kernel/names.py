"""Names and references: `name`, `name/7`, `name@alias` or a digest's prefix, the same everywhere."""

import re

import msgspec

from tidegate.kernel.errors import Invalid

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._ -]{0,127}\Z")
MODEL_NAME = "[A-Za-z0-9_][A-Za-z0-9._ (),=-]*"
"""The form of a model's name: other registries have such names already.

Of what those allow, it leaves out whatever another place reads as something else: ``/`` and ``@`` in references, ``:``
and ``#`` in addresses, ``%``, ``?``, ``&`` and ``+`` in queries, quotes in filters and shells; and letters beyond
ASCII, some of which look like others, where somebody approves a name.
"""

_MODEL_NAME = re.compile(rf"{MODEL_NAME}\Z")
_DIGEST_PREFIX = re.compile(r"[0-9a-f]{12,64}\Z")


class Reference(msgspec.Struct, frozen=True):
    """A parsed reference. ``number`` and ``alias`` are both None for a bare name: the latest version.

    A bare text that could be a digest's prefix (12 to 64 hex digits) also sets ``digest``.
    """

    name: str
    number: int | None = None
    alias: str | None = None
    digest: str | None = None

    def __str__(self) -> str:
        if self.number is not None:
            return f"{self.name}/{self.number}"
        return f"{self.name}@{self.alias}" if self.alias is not None else self.name


def check_name(name: str, what: str = "name") -> str:
    """The name, if it is one. Raises `Invalid`."""
    if not _NAME.match(name) or name != name.rstrip():
        raise Invalid(
            f"{what} {name[:140]!r} is not a name: use 1 to 128 letters, digits, '.', '_', ' ' or '-', "
            "beginning with a letter or digit",
            field=what,
        )
    return name


def check_model_name(name: str, what: str = "model") -> str:
    """The name, if a model may have it. Raises `Invalid`."""
    if not _MODEL_NAME.match(name) or len(name) > 128 or name != name.rstrip():
        raise Invalid(
            f"{what} {name[:140]!r} is not a name: use 1 to 128 letters a to z, digits and any of . _ - ( ) , = or "
            "spaces, beginning with a letter, a digit or _, and not ending with a space",
            field=what,
        )
    return name


def parse_reference(text: str, what: str = "reference") -> Reference:
    """The reference in a text. Raises `Invalid`."""
    name, slash, number = text.partition("/")
    if slash:
        if not number.isascii() or not number.isdigit() or int(number) < 1:
            raise Invalid(f"{what} {text!r}: after the slash stands a version number, as in 'flights/7'", field=what)
        return Reference(check_model_name(name, what), number=int(number))
    name, at, alias = text.partition("@")
    if at:
        return Reference(check_model_name(name, what), alias=check_name(alias, f"alias in {what}"))
    digest = text if _DIGEST_PREFIX.match(text) else None
    return Reference(check_model_name(text, what), digest=digest)
