"""Orders, projections and cursors: what is read as what, and what is refused."""

import math

import pytest

from tidegate.kernel.errors import Invalid
from tidegate.kernel.pages import encode_cursor
from tidegate.runs.search.ast import Attribute, MetricValue, OrderKey, Param, Tag
from tidegate.runs.search.order import TIE_BREAK, parse_order
from tidegate.runs.search.paging import Place, decode_position, encode_position
from tidegate.runs.search.projection import EVERYTHING, Names, parse_projection


def test_keys_of_an_order() -> None:
    assert parse_order(
        ("metrics.auc DESC", "params.`a b`", "tags.team asc", "start_time desc", "params.number(depth)", "status")
    ) == (
        OrderKey(MetricValue("auc"), descending=True),
        OrderKey(Param("a b")),
        OrderKey(Tag("team")),
        OrderKey(Attribute("started_at"), descending=True),
        OrderKey(Param("depth", number=True)),
        OrderKey(Attribute("status")),
    )
    best = parse_order(("metrics.best(loss)", "metrics.best(auc) DESC"))
    assert best == (OrderKey(MetricValue("loss", "min")), OrderKey(MetricValue("auc", "max"), descending=True))


@pytest.mark.parametrize(
    ("clauses", "message"),
    [
        (("metrics.a down",), r"order_by\[0\], character 11: expected ASC, DESC or the end"),
        (("status", "metrics.a, status"), r"order_by\[1\], character 10: expected ASC, DESC or the end \(a second key"),
        (("",), r"order_by\[0\], character 1: expected a field, .* found the end"),
        (("datasets.name",), "cannot be ordered by them"),
        (("status",) * 9, "at most 8 keys"),
    ],
)
def test_no_keys_of_an_order(clauses: tuple[str, ...], message: str) -> None:
    with pytest.raises(Invalid, match=message):
        parse_order(clauses)


def test_a_strict_order_is_mlflows() -> None:
    assert parse_order(("metrics.auc DESC",), strict_mlflow=True) == (OrderKey(MetricValue("auc"), descending=True),)
    for clause in ("metrics.max(auc)", "params.number(depth)", "experiment"):
        with pytest.raises(Invalid, match="MLflow's search grammar does not have"):
            parse_order((clause,), strict_mlflow=True)


def test_fields_name_parts() -> None:
    assert parse_projection(()) is EVERYTHING
    asked = parse_projection(("params", "params.depth", "metrics.auc", "metrics.val.*", "code"))
    assert asked.named == {"params": Names(all=True), "metrics": Names(exact=("auc",), prefixes=("val.",))}
    assert asked.whole == {"code"}
    nothing = parse_projection(("attributes",))
    assert (nothing.named, nothing.whole) == ({}, frozenset())


@pytest.mark.parametrize("field", ["", "metrics.", "param", "code.commit", "id", "tags.a\0", "tags.\ud800", "*"])
def test_fields_that_name_no_part(field: str) -> None:
    with pytest.raises(Invalid, match="fields: "):
        parse_projection((field,))
    with pytest.raises(Invalid, match="at most 100 fields"):
        parse_projection((field,) * 101)


def test_a_cursor_holds_a_position_of_its_order_only() -> None:
    order = (*parse_order(("metrics.auc", "tags.team DESC", "end_time")), *TIE_BREAK)
    rest = (Place(0, 5), Place(0, "ab"))
    for position in [
        (Place(0, math.inf), Place(0, "é"), Place(0, 2**60), *rest),
        (Place(1, None), Place(2, None), Place(2, None), *rest),
    ]:
        found = decode_position(order, encode_position(order, position))
        assert found is not None
        for place, expected in zip(found, position, strict=True):
            assert place.rank == expected.rank
            assert expected.rank or place.value == expected.value
    assert decode_position(order, "") is None
    cursor = encode_position(order, (Place(0, 1.0), Place(0, "a"), Place(0, 2), *rest))
    other = (*parse_order(("metrics.auc DESC", "tags.team DESC", "end_time")), *TIE_BREAK)
    for wrong_order in (other, TIE_BREAK):
        with pytest.raises(Invalid, match="cursor belongs to another"):
            decode_position(wrong_order, cursor)
    mark = "0" * 12
    for forged in (encode_cursor(mark, 0, 5, 0, "a"), encode_cursor(mark, 0, 5, 0), "x", "é"):
        with pytest.raises(Invalid, match="cursor"):
            decode_position(TIE_BREAK, forged)
