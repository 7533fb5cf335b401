"""Random JSON, from well-formed for a schema to anything at all, spiced with what breaks careless servers."""

from typing import Any

from hypothesis import strategies as st

KNOWN = ["late", "late/1", "late@champion", "late/99", "champion", "production", "viewer", "0" * 32, "0" * 64, "ab"]
"""Names that a home may know, so that a request gets past the look-up."""

TEXTS = st.one_of(
    st.sampled_from(KNOWN),
    st.text(max_size=20),
    st.sampled_from(
        ["", " ", ".", "..", "../../etc/passwd", "a/b", "\0", "a\0b", "\n", "\u202e", "\ufeff", "💥", "x" * 5000,
         "2013-01-01T00:00:00Z", "0001-01-01T00:00:00+14:00", "9999-12-31T23:59:59.999999-14:00", "2016-12-31T23:59:60Z",
         "NaN", "Infinity", "-1", "1e999", "'; DROP TABLE people; --", "{{7*7}}", "%s%n"]
    ),
)  # fmt: skip
NUMBERS = st.one_of(
    st.integers(-3, 3),
    st.sampled_from([2**31, 2**53, 2**63 - 1, 2**63, -(2**63) - 1, 2**64, 10**40, -(10**40)]),
    st.floats(allow_nan=False, allow_infinity=False),
    st.sampled_from([1e308, -1e308, 5e-324, -0.0, 0.1]),
)
SCALARS = st.one_of(st.none(), st.booleans(), NUMBERS, TEXTS)
ANYTHING = st.recursive(
    SCALARS,
    lambda inner: st.one_of(st.lists(inner, max_size=4), st.dictionaries(TEXTS, inner, max_size=4)),
    max_leaves=12,
)


def of_schema(schema: dict[str, Any], document: dict[str, Any], depth: int = 0) -> st.SearchStrategy[Any]:
    """Values of the schema's type, of which some are something else."""
    exact = _exact(schema, document, depth)
    return st.one_of(exact, exact, exact, exact, ANYTHING)


def _exact(schema: dict[str, Any], document: dict[str, Any], depth: int) -> st.SearchStrategy[Any]:
    if "$ref" in schema:
        named = document["components"]["schemas"][schema["$ref"].rpartition("/")[2]]
        return st.deferred(lambda: _exact(named, document, depth + 1))
    for choice in ("anyOf", "oneOf"):
        if choice in schema:
            return st.one_of([_exact(each, document, depth) for each in schema[choice]])
    if "enum" in schema:
        return st.sampled_from(schema["enum"])
    kind = schema.get("type")
    if kind == "array":
        if depth > 8:
            return st.just([])
        return st.lists(of_schema(schema.get("items") or {}, document, depth + 1), max_size=3)
    if kind == "object":
        return _object(schema, document, depth)
    return {
        "string": TEXTS,
        "integer": st.one_of(st.integers(0, 3), NUMBERS.filter(lambda value: isinstance(value, int))),
        "number": NUMBERS,
        "boolean": st.booleans(),
        "null": st.none(),
    }.get(str(kind), ANYTHING)


def _object(schema: dict[str, Any], document: dict[str, Any], depth: int) -> st.SearchStrategy[Any]:
    properties = schema.get("properties")
    if properties is None:
        return st.dictionaries(TEXTS, of_schema(schema.get("additionalProperties") or {}, document, depth + 1), max_size=3)
    required = set(schema.get("required", ()))
    parts = {name: of_schema(each, document, depth + 1) for name, each in properties.items()}
    needed = {name: part for name, part in parts.items() if name in required}
    whole = st.fixed_dictionaries(needed, optional={name: part for name, part in parts.items() if name not in required})
    spoilt = st.builds(lambda value, name, more: value | {name: more}, whole, TEXTS, ANYTHING)
    return st.one_of(whole, whole, whole, spoilt)
