"""A parameter comes back as it was kept, and counts as the number that it is or spells."""

from hypothesis import given
from hypothesis import strategies as st

from tidegate.runs.params import param_number, read_param, spell_param
from tidegate.runs.records import Value

VALUES = st.none() | st.booleans() | st.integers(-(2**63), 2**63) | st.floats(allow_nan=False, allow_infinity=False)


@given(VALUES | st.text(max_size=20))
def test_a_parameter_comes_back(value: Value) -> None:
    found = read_param(*spell_param(value))
    assert (found, type(found)) == (value, type(value))


NUMBERS: list[tuple[Value, float]] = [
    (3, 3.0),
    (2.5, 2.5),
    ("3", 3.0),
    ("-1.5e3", -1500.0),
    (".5", 0.5),
    ("007", 7.0),
    ("2.", 2.0),
]
OTHERS: list[Value] = ["", "nan", "inf", "1e999", "1_0", " 3", "3 ", "3\n", "0x1", "٣", "abc", True, None]


def test_what_counts_as_a_number() -> None:
    for value, number in NUMBERS:
        assert param_number(value) == number
    for other in OTHERS:
        assert param_number(other) is None
