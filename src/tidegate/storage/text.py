"""Comparisons of text that mean the same on every database, whatever its locale.

Patterns have ``%`` for any text, ``_`` for any character, and a backslash before either, or itself, to mean just it.
"""

from typing import Any

import sqlalchemy as sa
from sqlalchemy.ext.compiler import compiles
from sqlalchemy.sql.functions import FunctionElement


class _Pattern(sa.TypeDecorator[str]):
    """A pattern as the operator takes it that distinguishes case: LIKE, or on SQLite, whose LIKE does not, GLOB."""

    impl = sa.Text
    cache_ok = True

    def process_bind_param(self, value: str | None, dialect: sa.Dialect) -> str | None:
        return _glob(value) if value is not None and dialect.name == "sqlite" else value


class like(FunctionElement[bool]):
    """Whether a text is like a pattern."""

    type = sa.Boolean()
    inherit_cache = True
    name = "text_like"

    def __init__(self, text: sa.ColumnElement[str], pattern: str) -> None:
        super().__init__(text, sa.bindparam(None, pattern, type_=_Pattern(), unique=True))


class like_any_case(FunctionElement[bool]):
    """Whether a text is like a pattern but for the case of ASCII letters."""

    type = sa.Boolean()
    inherit_cache = True
    name = "text_like_any_case"

    def __init__(self, text: sa.ColumnElement[str], pattern: str) -> None:
        super().__init__(text, sa.bindparam(None, pattern, type_=sa.Text(), unique=True))


class by_code_point(FunctionElement[str]):
    """A text that is ordered, and compared, by its characters' numbers."""

    type = sa.Text()
    inherit_cache = True
    name = "text_by_code_point"

    def __init__(self, text: sa.ColumnElement[str]) -> None:
        super().__init__(text)


@compiles(like)
def _like(element: like, compiler: Any, **how: Any) -> str:
    text, pattern = (compiler.process(one, **how) for one in element.clauses)
    return f"({text} LIKE {pattern} ESCAPE '\\')"


@compiles(like, "sqlite")
def _sqlite_like(element: like, compiler: Any, **how: Any) -> str:
    text, pattern = (compiler.process(one, **how) for one in element.clauses)
    return f"({text} GLOB {pattern})"


@compiles(like_any_case)
def _like_any_case(element: like_any_case, compiler: Any, **how: Any) -> str:
    text, pattern = (compiler.process(one, **how) for one in element.clauses)
    return f"({text} COLLATE \"C\" ILIKE {pattern} ESCAPE '\\')"


@compiles(like_any_case, "sqlite")
def _sqlite_like_any_case(element: like_any_case, compiler: Any, **how: Any) -> str:
    text, pattern = (compiler.process(one, **how) for one in element.clauses)
    return f"({text} LIKE {pattern} ESCAPE '\\')"


@compiles(by_code_point)
def _by_code_point(element: by_code_point, compiler: Any, **how: Any) -> str:
    return f'({compiler.process(element.clauses, **how)} COLLATE "C")'


@compiles(by_code_point, "sqlite")
def _sqlite_by_code_point(element: by_code_point, compiler: Any, **how: Any) -> str:
    return str(compiler.process(element.clauses, **how))


def _glob(pattern: str) -> str:
    """The pattern in the words of GLOB, where a character in brackets means just itself."""
    pieces = []
    characters = iter(pattern)
    for character in characters:
        if character == "%":
            pieces.append("*")
        elif character == "_":
            pieces.append("?")
        else:
            one = next(characters, "\\") if character == "\\" else character
            pieces.append(f"[{one}]" if one in "*?[" else one)
    return "".join(pieces)
