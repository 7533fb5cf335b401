"""Random JSON, from well-formed for a schema to anything at all, spiced with what breaks careless servers."""

import json
from typing import Any

from hypothesis import strategies as st

KNOWN = ["late", "late/1", "late@champion", "late/99", "champion", "production", "viewer", "0" * 32, "0" * 64, "ab"]
"""Names that a home may know, so that a request gets past the look-up."""

TEXTS = st.one_of(
    st.sampled_from(KNOWN),
    st.text(max_size=20),
    st.sampled_from(
        ["", " ", ".", "..", "../../etc/passwd", "a/b", "\0", "a\0b", "\n", "\u202e", "\ufeff", "💥", "x" * 5000,
         "2013-01-01T00:00:00Z", "0001-01-01T00:00:00+14:00", "9999-12-31T23:59:59.999999-14:00",
         "2016-12-31T23:59:60Z", "NaN", "Infinity", "-1", "1e999", "'; DROP TABLE people; --", "{{7*7}}", "%s%n"]
    ),
)  # fmt: skip
FAR = [2**31, 2**53, 2**63 - 1, 2**63, -(2**63) - 1, 2**64, 10**40, -(10**40)]
NUMBERS = st.one_of(
    st.integers(-3, 3),
    st.sampled_from(FAR),
    st.floats(allow_nan=False, allow_infinity=False),
    st.sampled_from([1e308, -1e308, 5e-324, -0.0, 0.1]),
)
SCALARS = st.one_of(st.none(), st.booleans(), NUMBERS, TEXTS)
BY_TYPE: dict[str, st.SearchStrategy[Any]] = {
    "string": TEXTS,
    "integer": st.one_of(st.integers(0, 3), st.integers(), st.sampled_from(FAR)),
    "number": NUMBERS,
    "boolean": st.booleans(),
    "null": st.none(),
}
ANYTHING = st.recursive(
    SCALARS,
    lambda inner: st.one_of(st.lists(inner, max_size=4), st.dictionaries(TEXTS, inner, max_size=4)),
    max_leaves=12,
)


class Schemas:
    """Strategies for the schemas of one OpenAPI document; each is made once."""

    def __init__(self, document: dict[str, Any]) -> None:
        self._named: dict[str, Any] = document["components"]["schemas"]
        self._made: dict[str, st.SearchStrategy[Any]] = {}

    def values(self, schema: dict[str, Any]) -> st.SearchStrategy[Any]:
        """Values of the schema's type, of which some are something else."""
        exact = self._exact(schema)
        return st.one_of(exact, exact, exact, exact, ANYTHING)

    def _exact(self, schema: dict[str, Any]) -> st.SearchStrategy[Any]:
        key = json.dumps(schema, sort_keys=True)
        if key not in self._made:
            self._made[key] = st.deferred(lambda: self._make(schema))
        return self._made[key]

    def _make(self, schema: dict[str, Any]) -> st.SearchStrategy[Any]:
        if "$ref" in schema:
            return self._exact(self._named[schema["$ref"].rpartition("/")[2]])
        for choice in ("anyOf", "oneOf"):
            if choice in schema:
                return st.one_of([self._exact(each) for each in schema[choice]])
        if "enum" in schema:
            return st.sampled_from(schema["enum"])
        if schema.get("type") == "array":
            return st.lists(self.values(schema.get("items") or {}), max_size=3)
        if schema.get("type") == "object":
            return self._object(schema)
        return BY_TYPE.get(str(schema.get("type")), ANYTHING)

    def _object(self, schema: dict[str, Any]) -> st.SearchStrategy[Any]:
        properties = schema.get("properties")
        if properties is None:
            return st.dictionaries(TEXTS, self.values(schema.get("additionalProperties") or {}), max_size=3)
        parts = {name: self.values(each) for name, each in properties.items()}
        needed = {name: parts.pop(name) for name in schema.get("required", ())}
        whole = st.fixed_dictionaries(needed, optional=parts)
        spoilt = st.builds(lambda value, name, more: value | {name: more}, whole, TEXTS, ANYTHING)
        return st.one_of(whole, whole, whole, spoilt)
