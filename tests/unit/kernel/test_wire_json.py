"""Records to JSON and back."""

import math
from datetime import UTC, datetime, timedelta, timezone

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tidegate.kernel import wire
from tidegate.kernel.clock import Instant
from tidegate.kernel.errors import Invalid
from tidegate.kernel.real import Real


class Point(msgspec.Struct, frozen=True):
    """A value at a time."""

    value: Real
    at: Instant
    note: str = ""


class Curve(msgspec.Struct, frozen=True):
    """Records in records."""

    points: list[Point]
    named: dict[str, Point]
    best: Point | None = None
    bounds: tuple[Real, Real] = (-math.inf, math.inf)


INSTANT = datetime(2013, 10, 1, 12, 30, 15, 123456, tzinfo=UTC)
reals = st.floats(allow_nan=True, allow_infinity=True)
instants = st.datetimes(
    min_value=datetime(1, 1, 3),  # noqa: DTZ001
    max_value=datetime(9999, 12, 29),  # noqa: DTZ001
    timezones=st.sampled_from([UTC, timezone(timedelta(hours=5, minutes=30)), timezone(-timedelta(hours=8))]),
)
points = st.builds(Point, reals, instants, st.text(st.characters(codec="utf-8")))


def plain(value: object) -> object:
    """Something that compares NaN equal to NaN, and instants by what they mean."""
    if isinstance(value, float):
        return repr(float(value))
    if isinstance(value, datetime):
        return value.astimezone(UTC)
    if isinstance(value, msgspec.Struct):
        return {name: plain(getattr(value, name)) for name in value.__struct_fields__}
    if isinstance(value, dict):
        return {key: plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [plain(item) for item in value]
    return value


@given(
    st.builds(
        Curve,
        st.lists(points, max_size=3),
        st.dictionaries(st.text(st.characters(codec="utf-8")), points, max_size=3),
        st.none() | points,
        st.tuples(reals, reals),
    )
)
def test_nan_and_infinity_survive_at_any_depth(curve: Curve) -> None:
    assert plain(wire.decode(wire.encode(curve, Curve), Curve)) == plain(curve)


def test_the_three_travel_as_words() -> None:
    raw = wire.encode([math.nan, math.inf, -math.inf, 1.5], list[Real])
    assert raw == b'["NaN","Infinity","-Infinity",1.5]'
    back = wire.decode(raw, list[Real])
    assert math.isnan(back[0])
    assert back[1:] == [math.inf, -math.inf, 1.5]


@pytest.mark.parametrize("text", [b'"nan"', b'"1.5"', b"true", b"null", b"[]", b'"inf"'])
def test_other_words_are_not_numbers(text: bytes) -> None:
    with pytest.raises(Invalid):
        wire.decode(text, Real)


def test_a_naive_instant_is_refused_by_name() -> None:
    with pytest.raises(Invalid) as caught:
        wire.decode(b'{"value":1,"at":"2013-10-01T00:00:00"}', Point)
    assert caught.value.details["field"] == "at"
    with pytest.raises(Invalid):
        wire.convert(datetime(2013, 10, 1), Instant)  # noqa: DTZ001


@pytest.mark.parametrize(
    ("raw", "field"),
    [
        (b'{"points":[],"named":{"a":{"value":1,"at":"2013-10-01T00:00:00Z","note":7}}}', "named[...].note"),
        (b'{"points":[{"value":1,"at":"2013-10-01T00:00:00Z"},{"value":[],"at":1}],"named":{}}', "points[1].value"),
        (b'{"points":[]}', "named"),
    ],
)
def test_the_field_is_named_by_its_path(raw: bytes, field: str) -> None:
    with pytest.raises(Invalid) as caught:
        wire.decode(raw, Curve, "body")
    assert caught.value.details["field"] == field
    assert "body" in caught.value.message


@pytest.mark.parametrize("raw", [b"", b"{", b"\xff", b'{"points":', b"nul", b"{'a':1}", b'"\xed\xa0\x80"', b"[1,]"])
def test_what_is_not_json_is_invalid(raw: bytes) -> None:
    with pytest.raises(Invalid):
        wire.decode(raw, Curve)
    with pytest.raises(Invalid):
        wire.decode(raw, dict[str, object])


@pytest.mark.parametrize(("raw", "said"), [(b"", "it is empty"), (b"{'a':1}", "object keys must be strings")])
def test_what_is_wrong_is_told_of_what_was_read(raw: bytes, said: str) -> None:
    with pytest.raises(Invalid, match=f"^the body is not valid JSON: .*{said}"):
        wire.decode(raw, Curve)
    with pytest.raises(Invalid, match=f"^rows.json is not valid JSON: .*{said}"):
        wire.decode(raw, Curve, "rows.json")


@pytest.mark.parametrize("bomb", [b"[" * 200_000, b'{"a":' * 200_000, b"[" * 200_000 + b"]" * 200_000])
def test_depth_bombs_are_refused(bomb: bytes) -> None:
    with pytest.raises(Invalid):
        wire.decode(bomb, object)
    with pytest.raises(Invalid):
        wire.decode(b'{"points":[],"named":' + bomb, Curve)


def test_what_is_nested_too_deeply_is_refused_on_the_way_out() -> None:
    deep: list[object] = []
    for _ in range(200_000):
        deep = [deep]
    with pytest.raises(Invalid, match="deeply"):
        wire.encode(deep)


def test_text_that_is_not_unicode_is_refused() -> None:
    with pytest.raises(Invalid, match=r"field a\[1\].note: .*Unicode") as caught:
        wire.encode({"a": ["b", {"note": "\ud800"}]})
    assert caught.value.details == {"field": "a[1].note"}


def test_numpy_scalars_travel() -> None:
    import numpy as np

    assert wire.encode([np.float32(0.5), np.int64(3), np.bool_(True)]) == b"[0.5,3,true]"


def test_instants_travel_to_the_microsecond() -> None:
    point = Point(1.0, INSTANT)
    assert wire.decode(wire.encode(point, Point), Point).at == INSTANT
