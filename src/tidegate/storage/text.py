"""Comparisons of text that mean the same on every database, whatever its locale.

Patterns have ``%`` for any text, ``_`` for any character, and a backslash before either, or itself, to mean just it.
"""

from collections.abc import Sequence
from typing import Any

import msgspec
import sqlalchemy as sa
from sqlalchemy.ext.compiler import compiles
from sqlalchemy.sql.functions import FunctionElement


class _Pattern(sa.TypeDecorator[str]):
    """A pattern as the operator takes it that distinguishes case: LIKE, or on SQLite, whose LIKE does not, GLOB."""

    impl = sa.Text
    cache_ok = True

    def process_bind_param(self, value: str | None, dialect: sa.Dialect) -> str | None:
        return _glob(value) if value is not None and dialect.name == "sqlite" else value


class _Condition(FunctionElement[bool]):
    """A condition as it stands: SQLAlchemy would compare it with 1 on SQLite, which then uses no index."""

    type = sa.Boolean()
    inherit_cache = True

    def self_group(self, against: Any = None) -> Any:
        return self


class like(_Condition):
    """Whether a text is like a pattern."""

    inherit_cache = True
    name = "text_like"

    def __init__(self, text: sa.ColumnElement[str], pattern: str) -> None:
        super().__init__(text, sa.bindparam(None, pattern, type_=_Pattern(), unique=True))


class like_any_case(_Condition):
    """Whether a text is like a pattern but for the case of ASCII letters."""

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


class _Texts(sa.TypeDecorator[Sequence[str]]):
    """Several texts as one parameter: an array, or JSON on SQLite, which has none."""

    impl = sa.Text
    cache_ok = True

    def load_dialect_impl(self, dialect: sa.Dialect) -> Any:
        return dialect.type_descriptor(sa.Text() if dialect.name == "sqlite" else sa.ARRAY(sa.Text))

    def process_bind_param(self, value: Sequence[str] | None, dialect: sa.Dialect) -> Any:
        texts = list(value or ())
        return msgspec.json.encode(texts).decode() if dialect.name == "sqlite" else texts


class among(_Condition):
    """Whether a text is one of several: IN, as one parameter, so that the statement is the same for any number.

    Without texts they are the statement's parameter of that name.
    """

    inherit_cache = True
    name = "text_among"

    def __init__(self, text: sa.ColumnElement[str], texts: Sequence[str] | None = None, *, named: str = "") -> None:
        given = sa.bindparam(named, type_=_Texts()) if named else sa.bindparam(None, texts, type_=_Texts(), unique=True)
        super().__init__(text, given)


@compiles(among)
def _among(element: among, compiler: Any, **how: Any) -> str:
    text, texts = (compiler.process(one, **how) for one in element.clauses)
    return f"({text} = ANY ({texts}))"


@compiles(among, "sqlite")
def _sqlite_among(element: among, compiler: Any, **how: Any) -> str:
    text, texts = (compiler.process(one, **how) for one in element.clauses)
    return f"({text} IN (SELECT value FROM json_each({texts})))"  # noqa: S608 - no values, but parameters


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
