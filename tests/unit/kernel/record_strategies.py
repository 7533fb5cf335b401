"""Values of any type that may stand in an operation's signature, for property tests."""

import math
from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import msgspec
from hypothesis import reject
from hypothesis import strategies as st
from msgspec import inspect as types

from tidegate.kernel.errors import TidegateError
from tidegate.kernel.real import Real

ZONES = (UTC, timezone(timedelta(hours=2)), timezone(-timedelta(hours=9, minutes=30)))
texts = st.text(st.characters(codec="utf-8"), max_size=12)
instants = st.datetimes(datetime(1970, 1, 1), datetime(2200, 1, 1), timezones=st.sampled_from(ZONES))  # noqa: DTZ001
finite = st.floats(allow_nan=False, allow_infinity=False)
json_values = st.none() | st.booleans() | st.integers(-(2**53), 2**53) | texts | st.lists(texts, max_size=2)


class Values:
    """Strategies by type; a record that holds itself is drawn again and again, ever less deep."""

    def __init__(self) -> None:
        self._records: dict[type, st.SearchStrategy[Any]] = {}

    def of(self, kind: Any) -> st.SearchStrategy[Any]:
        """Values of a type as it stands in a signature."""
        return self._of(types.type_info(kind))

    def _of(self, info: types.Type) -> st.SearchStrategy[Any]:
        if isinstance(info, types.StructType):
            return self._record(info)
        if isinstance(info, types.UnionType):
            return st.one_of([self._of(one) for one in info.types])
        if isinstance(info, types.ListType | types.VarTupleType | types.SetType | types.FrozenSetType):
            items = st.lists(self._of(info.item_type), min_size=info.min_length or 0, max_size=2)
            kinds: dict[type, type] = {types.VarTupleType: tuple, types.SetType: set, types.FrozenSetType: frozenset}
            return items.map(kinds.get(type(info), list))
        if isinstance(info, types.TupleType):
            return st.tuples(*map(self._of, info.item_types))
        if isinstance(info, types.DictType):
            return st.dictionaries(self._of(info.key_type), self._of(info.value_type), max_size=2)
        return _plain(info)

    def _record(self, info: types.StructType) -> st.SearchStrategy[Any]:
        if info.cls not in self._records:
            self._records[info.cls] = st.deferred(lambda: made)
            fields = {field.name: self._of(field.type) for field in info.fields}
            required = {field.name for field in info.fields if field.required}
            made = st.fixed_dictionaries(fields).map(lambda values: _make(info.cls, values, required))
            self._records[info.cls] = made
        return self._records[info.cls]


def _make(record: type, values: dict[str, Any], required: set[str]) -> Any:
    """The record; where its own rules refuse the values, the one with its defaults."""
    for kept in (values, {name: value for name, value in values.items() if name in required}):
        try:
            return record(**kept)
        except (TidegateError, ValueError):
            continue
    return reject()


def _plain(info: types.Type) -> st.SearchStrategy[Any]:
    if isinstance(info, types.CustomType):
        return st.floats().map(Real) if info.cls is Real else json_values
    if isinstance(info, types.LiteralType):
        return st.sampled_from(info.values)
    if isinstance(info, types.IntType):
        low, high = info.ge if info.ge is not None else -(2**53), info.le if info.le is not None else 2**53
        return st.integers(low, high)
    if isinstance(info, types.StrType):
        return texts if info.pattern is None else st.from_regex(info.pattern, fullmatch=True)
    by_type: dict[type, st.SearchStrategy[Any]] = {
        types.BoolType: st.booleans(),
        types.NoneType: st.none(),
        types.FloatType: finite,
        types.DateTimeType: instants,
        types.DateType: st.dates(),
        types.BytesType: st.binary(max_size=12),
        types.AnyType: json_values,
    }
    return by_type[type(info)]


def comparable(value: object) -> object:
    """The value so that NaN equals NaN, and an instant equals itself in another zone."""
    if isinstance(value, float):
        return "NaN" if math.isnan(value) else float(value)
    if isinstance(value, datetime):
        return value.astimezone(UTC)
    if isinstance(value, msgspec.Struct):
        return (type(value), {name: comparable(getattr(value, name)) for name in value.__struct_fields__})
    if isinstance(value, dict):
        return {key: comparable(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [comparable(item) for item in value]
    return value
