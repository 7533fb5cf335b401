"""Errors cross the wire by their code and come back as their class."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tidegate.kernel.errors import BY_CODE, Internal, TidegateError, WireError, from_wire, to_wire

json_values = st.none() | st.booleans() | st.integers() | st.text()


@pytest.mark.parametrize("kind", BY_CODE.values())
def test_every_class_comes_back(kind: type[TidegateError]) -> None:
    error = kind("what was wrong", field="name", reasons=["one"])
    back = from_wire(to_wire(error))
    assert type(back) is kind
    assert (back.message, back.details) == (error.message, error.details)
    assert (back.status, back.exit_code) == (kind.status, kind.exit_code)


def test_an_unknown_code_is_internal() -> None:
    assert type(from_wire(WireError("builtins.SystemExit", "boo"))) is Internal


def test_every_class_of_the_tree_has_a_code_of_its_own() -> None:
    def below(kind: type[TidegateError]) -> set[type[TidegateError]]:
        return {kind}.union(*(below(child) for child in kind.__subclasses__()))

    ours = {kind for kind in below(TidegateError) - {TidegateError} if kind.__module__ == TidegateError.__module__}
    assert ours == set(BY_CODE.values())


@given(st.dictionaries(st.text(), json_values))
def test_any_details_come_back(details: dict[str, object]) -> None:
    assert from_wire(WireError("refused", "no", details)).details == details
