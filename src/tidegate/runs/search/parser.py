"""From the text of a filter to its terms: recursive descent over a grammar of a dozen lines.

either     = both ("OR" both)*
both       = one ("AND" one)*
one        = "NOT" one | "(" either ")" | comparison
comparison = field ( operator value | ["I"]"LIKE" text | ["NOT"] "IN" "(" value ("," value)* ")" | "IS" ["NOT"] "NULL" )
field      = attribute | section "." name | section "." function "(" name ")"
"""

from typing import Final, cast

import msgspec

from tidegate.kernel.errors import Invalid
from tidegate.runs.search.ast import (
    And,
    Attribute,
    Comparison,
    Field,
    Match,
    Membership,
    MetricValue,
    Not,
    Operand,
    Operator,
    Or,
    Param,
    Presence,
    Tag,
    Term,
)
from tidegate.runs.search.fields import NULLABLE, SECTIONS, Fields, Named, Section, named, value_kind
from tidegate.runs.search.tokens import Token, tokens, wrong
from tidegate.runs.search.values import check_pattern, instant_of_milliseconds, instant_of_text, number, text_for

DEEPEST: Final = 50
MOST_COMPARISONS: Final = 100
MOST_VALUES: Final = 1000

_EQUALITY: Final = ("=", "!=")
_SMALLER: Final = ("<", "<=")
_OPERATORS: Final = (*_EQUALITY, *_SMALLER, ">", ">=")
_NAMES: Final = ("word", "name", "either", "number")


def parse_filter(text: str, *, strict_mlflow: bool = False, fields: Fields = named) -> Term:
    """The terms of a filter of runs, or of whatever else has the fields; the empty one keeps everything.

    Raises `Invalid`, which says at which character what was expected. ``strict_mlflow`` refuses what MLflow's own
    grammar does not have.
    """
    parser = _FilterParser(Reader(text, "filter", strict_mlflow, fields))
    return parser.filter()


class Reader:
    """Goes over the tokens of one text, and reads the fields that filters and orders share."""

    def __init__(self, text: str, what: str, strict_mlflow: bool, fields: Fields = named) -> None:
        self._fields = fields
        self._what = what
        self._strict = strict_mlflow
        self._tokens = list(tokens(text, what))
        self._at = 0

    @property
    def here(self) -> Token:
        """The token to read next."""
        return self._tokens[self._at]

    def ended(self) -> bool:
        """Whether there is nothing left."""
        return self.here.kind == "end"

    def take(self) -> Token:
        """The next token, which is then behind; the end stays."""
        token = self.here
        self._at = min(self._at + 1, len(self._tokens) - 1)
        return token

    def take_sign(self, sign: str) -> bool:
        """Whether this sign came next; it is then behind."""
        if self.here.kind != "sign" or self.here.text != sign:
            return False
        self.take()
        return True

    def take_word(self, *words: str) -> str:
        """The next token where it is one of these keywords, else nothing."""
        return self.take().keyword if self.here.keyword in words else ""

    def need_sign(self, sign: str, why: str) -> None:
        """Read a sign. Raises `Invalid` when another thing stands there."""
        if not self.take_sign(sign):
            raise self.unexpected(f"{sign!r} {why}")

    def need_word(self, word: str, after: str) -> None:
        """Read a keyword. Raises `Invalid` when another thing stands there."""
        if not self.take_word(word):
            raise self.unexpected(f"{word} after {after}")

    def extended(self, what: str, place: int) -> None:
        """Raises `Invalid` where only MLflow's own grammar is spoken."""
        if self._strict and what:
            raise wrong(self._what, place, f"MLflow's search grammar does not have {what}")

    def unexpected(self, expected: str) -> Invalid:
        """The error about the token to read next."""
        return wrong(self._what, self.here.place, f"expected {expected}, found {self.here}")

    def at(self, place: int, error: Invalid) -> Invalid:
        """An error with its place."""
        return wrong(self._what, place, error.message)

    def field(self) -> Named:
        """Read a field."""
        start = self.here
        if start.kind not in ("word", "name", "either"):
            raise self.unexpected("a field, such as metrics.auc, params.depth, tags.team or status")
        self.take()
        section, function, name = self._parts(start)
        spelt = (
            f"{section}.{function}({name})" if function else name if section == "attributes" else f"{section}.{name}"
        )
        try:
            found = self._fields(section, function, name, spelt[:80])
        except Invalid as error:
            raise self.at(start.place, error) from None
        self.extended(found.extended, start.place)
        return found

    def _parts(self, start: Token) -> tuple[Section, str, str]:
        """Section, function or nothing, and name of the field that begins with a token."""
        before, dot, rest = start.text.partition(".")
        if start.kind != "word" or not dot:
            return "attributes", "", start.text
        if before not in SECTIONS:
            known = "metrics, params, tags, attributes, datasets"
            raise wrong(self._what, start.place, f"there is no section {before[:80]!r}: a field begins with {known}")
        if not rest and self.here.kind in ("name", "either"):
            return SECTIONS[before], "", self.take().text
        if rest and self.take_sign("("):
            if self.here.kind not in _NAMES:
                raise self.unexpected(f"a name within {before}.{rest[:40]}(…)")
            name = self.take().text
            self.need_sign(")", f"after {before}.{rest[:40]}({name[:40]}")
            return SECTIONS[before], rest, name
        return SECTIONS[before], "", rest


class _FilterParser:
    def __init__(self, reader: Reader) -> None:
        self._reader = reader
        self._depth = 0
        self._comparisons = 0
        self._values = 0

    def filter(self) -> Term:
        """The whole text."""
        if self._reader.ended():
            return And()
        term = self._either()
        if not self._reader.ended():
            raise self._reader.unexpected("AND, OR or the end")
        return term

    def _either(self) -> Term:
        terms = [self._both()]
        while self._reader.here.keyword == "OR":
            self._reader.extended("OR", self._reader.take().place)
            terms.append(self._both())
        return terms[0] if len(terms) == 1 else Or(tuple(terms))

    def _both(self) -> Term:
        terms = [self._one()]
        while self._reader.take_word("AND"):
            terms.append(self._one())
        return terms[0] if len(terms) == 1 else And(tuple(terms))

    def _one(self) -> Term:
        start = self._reader.here
        if start.keyword != "NOT" and (start.kind, start.text) != ("sign", "("):
            return self._comparison()
        self._depth += 1
        if self._depth > DEEPEST:
            raise wrong("filter", start.place, f"more than {DEEPEST} parentheses and NOTs stand within each other")
        self._reader.extended(start.text, start.place)
        self._reader.take()
        if start.keyword == "NOT":
            term: Term = Not(self._one())
        else:
            term = self._either()
            self._reader.need_sign(")", f"for the '(' of character {start.place}")
        self._depth -= 1
        return term

    def _comparison(self) -> Term:
        start = self._reader.here
        self._comparisons += 1
        if self._comparisons > MOST_COMPARISONS:
            raise wrong("filter", start.place, f"a filter has at most {MOST_COMPARISONS} comparisons")
        field = self._reader.field()
        here = self._reader.here
        if here.kind == "sign" and here.text in _OPERATORS:
            self._reader.take()
            return self._compared(field, cast("Operator", here.text), here.place)
        match self._reader.take_word("LIKE", "ILIKE", "IN", "NOT", "IS"):
            case "":
                raise self._reader.unexpected(f"an operator after {field.spelt}")
            case "IS":
                return self._presence(field, here)
            case "NOT":
                self._reader.need_word("IN", "NOT; NOT (… LIKE …) has parentheses")
                return self._membership(field, here, negated=True)
            case "IN":
                return self._membership(field, here, negated=False)
            case word:
                return self._match(field, here, ignore_case=word == "ILIKE")

    def _compared(self, named: Named, operator: Operator, place: int) -> Term:
        field, here = named.field, self._reader.here
        if named.best:
            if operator in _EQUALITY:
                raise wrong("filter", place, f"{named.spelt} takes <, <=, > or >=: say metrics.min or metrics.max")
            field = msgspec.structs.replace(
                cast("MetricValue", field), aggregate="min" if operator in _SMALLER else "max"
            )
        if isinstance(field, Param) and here.kind == "number":
            self._reader.extended("a parameter's value as a number (quote it)", here.place)
            field = msgspec.structs.replace(field, number=True)
        if value_kind(field) == "text" and operator not in _EQUALITY:
            least = f"; as a number it stands without quotes: {named.spelt} {operator} 3" * isinstance(field, Param)
            raise wrong("filter", place, f"{named.spelt} is text and takes =, !=, LIKE, ILIKE or IN{least}")
        return Comparison(field, operator, self._value(field, f"after {named.spelt} {operator}"))

    def _membership(self, named: Named, start: Token, *, negated: bool) -> Term:
        field = named.field
        if named.best:
            raise wrong("filter", start.place, f"{named.spelt} takes <, <=, > or >=: say metrics.min or metrics.max")
        if isinstance(field, MetricValue | Param | Tag):
            self._reader.extended(f"IN for {named.spelt}", start.place)
        self._reader.need_sign("(", "after IN")
        if isinstance(field, Param) and self._reader.here.kind == "number":
            field = msgspec.structs.replace(field, number=True)
        values: list[Operand] = []
        while True:
            self._values += 1
            if self._values > MOST_VALUES:
                raise wrong("filter", self._reader.here.place, f"a filter has at most {MOST_VALUES:,} values after IN")
            values.append(self._value(field, f"in the list for {named.spelt}"))
            if not self._reader.take_sign(","):
                break
        self._reader.need_sign(")", "or ',' in the list after IN")
        return Membership(field, tuple(values), negated)

    def _match(self, named: Named, start: Token, *, ignore_case: bool) -> Term:
        word = "ILIKE" if ignore_case else "LIKE"
        if value_kind(named.field) != "text":
            raise wrong("filter", start.place, f"{named.spelt} is no text: {word} cannot be asked of it")
        here = self._reader.here
        pattern = self._text(f"after {named.spelt} {word}")
        try:
            check_pattern(pattern)
        except Invalid as error:
            raise self._reader.at(here.place, error) from None
        return Match(named.field, cast("str", text_for(named.field, pattern)), ignore_case)

    def _presence(self, named: Named, start: Token) -> Term:
        present = bool(self._reader.take_word("NOT"))
        self._reader.need_word("NULL", "IS NOT" if present else "IS")
        field = named.field
        if named.best:
            raise wrong("filter", start.place, f"{named.spelt} takes <, <=, > or >=; write metrics.{_name(field)}")
        if isinstance(field, Attribute) and field.name not in NULLABLE:
            raise wrong("filter", start.place, f"{named.spelt} is always there: IS NULL cannot be asked of it")
        if not isinstance(field, Param | Tag):
            self._reader.extended(f"IS NULL for {named.spelt}", start.place)
        return Presence(field, present)

    def _value(self, field: Field, where: str) -> Operand:
        here = self._reader.here
        try:
            match value_kind(field):
                case "number":
                    return number(self._number(where))
                case "instant" if here.kind == "number":
                    return instant_of_milliseconds(self._number(where))
                case "instant":
                    self._reader.extended("an instant as text (write milliseconds)", here.place)
                    return instant_of_text(self._text(where, "milliseconds since 1970, or a quoted instant"))
            return text_for(field, self._text(where))
        except Invalid as error:
            if "place" in error.details:
                raise
            raise self._reader.at(here.place, error) from None

    def _number(self, where: str) -> str:
        if self._reader.here.kind != "number":
            raise self._reader.unexpected(f"a number {where}")
        return self._reader.take().text

    def _text(self, where: str, what: str = "a quoted text") -> str:
        if self._reader.here.kind not in ("text", "either"):
            raise self._reader.unexpected(f"{what} {where}")
        return self._reader.take().text


def _name(field: Field) -> str:
    return getattr(field, "name", "")
