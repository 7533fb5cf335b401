"""What a search means, said naively: one run after another, in memory. And random runs and filters to try it on."""

import math
import operator
import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from hypothesis import strategies as st

from tidegate.kernel.clock import to_micros
from tidegate.runs.records import Run
from tidegate.runs.search.ast import (
    And,
    Attribute,
    Comparison,
    Dataset,
    Field,
    Match,
    Membership,
    MetricValue,
    Not,
    Or,
    OrderKey,
    Param,
    Presence,
    Tag,
    Term,
)

SIGNS: dict[str, Any] = {
    "=": operator.eq, "!=": operator.ne, "<": operator.lt, "<=": operator.le, ">": operator.gt, ">=": operator.ge,
}  # fmt: skip
FOLDED = str.maketrans("ABCDEFGHIJKLMNOPQRSTUVWXYZ", "abcdefghijklmnopqrstuvwxyz")
Series = Mapping[tuple[str, str], Sequence[float]]
"""Every value of a metric of a run, the last one last."""


def evaluate(term: Term, run: Run, series: Series) -> bool:
    """Whether a filter is true of a run."""
    match term:
        case And(terms):
            return all(evaluate(one, run, series) for one in terms)
        case Or(terms):
            return any(evaluate(one, run, series) for one in terms)
        case Not(one):
            return not evaluate(one, run, series)
        case Presence(field, present):
            return bool(values_of(field, run, series)) == present
        case Comparison(field, sign, value):
            return any(SIGNS[sign](one, value) for one in values_of(field, run, series))
        case Membership(field, values, negated):
            return any((one in values) != negated for one in values_of(field, run, series))
        case Match(field, pattern, ignore_case):
            return any(is_like(one, pattern, ignore_case) for one in values_of(field, run, series))


def is_like(text: str, pattern: str, ignore_case: bool) -> bool:
    """SQL's LIKE, by a regular expression."""
    if ignore_case:
        text, pattern = text.translate(FOLDED), pattern.translate(FOLDED)
    pieces = re.findall(r"\\.|.", pattern, re.DOTALL)
    expression = "".join({"%": ".*", "_": "."}.get(piece, re.escape(piece[-1])) for piece in pieces)
    return re.fullmatch(expression, text, re.DOTALL) is not None


def values_of(field: Field, run: Run, series: Series) -> list[Any]:
    """The values that a run has in a field: none, one, or of datasets several."""
    match field:
        case Attribute("started_at"):
            return [to_micros(run.started_at)]
        case Attribute("ended_at"):
            return [] if run.ended_at is None else [to_micros(run.ended_at)]
        case Attribute("parent"):
            return [] if run.parent is None else [run.parent]
        case Attribute(name):
            return [getattr(run, name)]
        case MetricValue(name, aggregate):
            return aggregated(series.get((run.id, name), ()), aggregate)
        case Param(name, number=True):
            return [] if name not in run.params else numbers_in(run.params[name])
        case Param(name):
            return [str(run.params[name])] if name in run.params else []
        case Tag(name):
            return [run.tags[name]] if name in run.tags else []
        case Dataset("name"):
            return [one.label.partition("/")[0] for one in run.inputs]
        case Dataset(part):
            return [getattr(one, part) for one in run.inputs]


def aggregated(values: Sequence[float], aggregate: str) -> list[float]:
    """One number of a series; NaN only where there is nothing else."""
    if not values:
        return []
    known = [value for value in values if not math.isnan(value)]
    if aggregate == "last":
        return [values[-1]]
    return [(min if aggregate == "min" else max)(known)] if known else [math.nan]


def numbers_in(value: object) -> list[float]:
    """The number that a parameter is or spells."""
    if isinstance(value, bool) or value is None or not set(str(value)) <= set("0123456789+-.eE"):
        return []
    try:
        number = float(value)  # type: ignore[arg-type]
    except ValueError:
        return []
    return [number] if math.isfinite(number) else []


def ordered(runs: Iterable[Run], order: Sequence[OrderKey], series: Series) -> list[Run]:
    """Runs in an order, the tie-break among its keys."""
    found = list(runs)
    for key in reversed(order):
        values = {run.id: values_of(key.field, run, series) for run in found}
        there = [run for run in found if values[run.id] and values[run.id][0] == values[run.id][0]]
        there.sort(key=lambda run: values[run.id][0], reverse=key.descending)
        nan = [run for run in found if values[run.id] and values[run.id][0] != values[run.id][0]]
        found = [*there, *nan, *(run for run in found if not values[run.id])]
    return found


NAMES = st.sampled_from(["a", "b b", "none"])
TEXTS = ["", "a", "A", "é", "É", "a*b", "a?b", "a[b]", "a%b", "a_b", "a\\b", "it's", "3", "3.0", "-1e2", "nan", "1_0"]
LONG = "x" * 63
TEXTS += [LONG, LONG + "y", LONG + "yz", LONG + "yZ", "a\nb", "[", "]", "ab", "日本", '"']
NUMBERS = [0.0, 0.5, 3.0, -100.0, math.inf, -math.inf, 1e300]
PARAMS: list[str | int | float | bool | None] = [*TEXTS, 3, 0, 2.5, -100, True, False, None, 1e300]
PATTERNS = [
    "%",
    "_",
    "a%",
    "%b",
    "a_b",
    "a*b",
    "a?b",
    "a[b]",
    "a\\%b",
    "a\\_b",
    "a\\\\b",
    "A%",
    "É",
    "%[%",
    "%]",
    "%x%y_",
]
PATTERNS += [LONG + "%", "\\a", "", "%%", "[ab]", "日_", "a\nb"]

TEXT_FIELDS = st.one_of(
    NAMES.map(Param),
    NAMES.map(Tag),
    st.sampled_from([Attribute(name) for name in ("experiment", "error", "name")]),
    st.sampled_from([Dataset("name"), Dataset("label")]),
)
NUMBER_FIELDS = st.one_of(
    st.builds(MetricValue, NAMES, st.sampled_from(["last", "min", "max"])),
    NAMES.map(lambda name: Param(name, number=True)),
)
INSTANT_FIELDS = st.sampled_from([Attribute("started_at"), Attribute("ended_at")])
OPTIONAL_FIELDS = st.sampled_from([Attribute("ended_at"), Attribute("parent")])
PRESENT_FIELDS = st.one_of(NAMES.map(Param), NAMES.map(Tag), NUMBER_FIELDS, OPTIONAL_FIELDS)
ORDER_FIELDS = st.one_of(
    NAMES.map(Param),
    NAMES.map(Tag),
    NUMBER_FIELDS,
    INSTANT_FIELDS,
    st.sampled_from([Attribute("experiment"), Attribute("name")]),
)


def _terms(instants: Sequence[int], labels: Sequence[str]) -> st.SearchStrategy[Term]:
    texts, numbers, moments = (
        st.sampled_from([*TEXTS, *labels]),
        st.sampled_from(NUMBERS[:4]),
        st.sampled_from(instants),
    )
    signs, equality = st.sampled_from(sorted(SIGNS)), st.sampled_from(["=", "!="])
    return st.one_of(
        st.builds(Comparison, TEXT_FIELDS, equality, texts),
        st.builds(Comparison, NUMBER_FIELDS, signs, numbers),
        st.builds(Comparison, INSTANT_FIELDS, signs, moments),
        st.builds(Membership, TEXT_FIELDS, st.lists(texts, min_size=1, max_size=3).map(tuple), st.booleans()),
        st.builds(Membership, NUMBER_FIELDS, st.lists(numbers, min_size=1, max_size=3).map(tuple), st.booleans()),
        st.builds(Match, TEXT_FIELDS, st.sampled_from(PATTERNS), st.booleans()),
        st.builds(Presence, PRESENT_FIELDS, st.booleans()),
    )


def filters(instants: Sequence[int], labels: Sequence[str]) -> st.SearchStrategy[Term]:
    """Random filters over random runs."""
    return st.recursive(
        _terms(instants, labels),
        lambda inner: st.one_of(
            st.builds(Not, inner),
            st.lists(inner, min_size=2, max_size=3).map(lambda terms: And(tuple(terms))),
            st.lists(inner, min_size=2, max_size=3).map(lambda terms: Or(tuple(terms))),
        ),
        max_leaves=5,
    )


ORDERS = st.lists(
    st.builds(OrderKey, ORDER_FIELDS, st.booleans()),
    max_size=2,
)


def spelt(term: Term) -> str:
    """A filter as a person would write it."""
    match term:
        case And(terms):
            return " AND ".join(f"({spelt(one)})" for one in terms)
        case Or(terms):
            return " OR ".join(f"({spelt(one)})" for one in terms)
        case Not(one):
            return f"NOT ({spelt(one)})"
        case Presence(field, present):
            return f"{spelt_field(field)} IS {'NOT ' if present else ''}NULL"
        case Comparison(field, sign, value):
            return f"{spelt_field(field)} {sign} {spelt_value(field, value)}"
        case Membership(field, values, negated):
            listed = ", ".join(spelt_value(field, value) for value in values)
            return f"{spelt_field(field)} {'NOT ' if negated else ''}IN ({listed})"
        case Match(field, pattern, ignore_case):
            return f"{spelt_field(field)} {'ILIKE' if ignore_case else 'LIKE'} {spelt_value(field, pattern)}"


def spelt_field(field: Field) -> str:
    """A field as a person would write it."""
    match field:
        case Attribute(name):
            return name
        case MetricValue(name, "last"):
            return f"metrics.`{name}`"
        case MetricValue(name, aggregate):
            return f"metrics.{aggregate}(`{name}`)"
        case Param(name, number):
            return f"params.number(`{name}`)" if number else f"params.`{name}`"
        case Tag(name):
            return f"tags.`{name}`"
        case Dataset(part):
            return f"datasets.{part}"


def spelt_key(key: OrderKey) -> str:
    """A key of an order as a person would write it."""
    return f"{spelt_field(key.field)} {'DESC' if key.descending else 'ASC'}"


def spelt_value(field: Field, value: object) -> str:
    """A value as a person would write it."""
    if isinstance(value, str):
        return "'" + value.replace("'", "''") + "'"
    return f"{value / 1000:.3f}" if isinstance(field, Attribute) and isinstance(value, int) else repr(value)
