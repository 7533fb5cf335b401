"""Whatever an operation takes or answers is the same locally and after the wire: every type in every signature."""

from functools import cache

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.unit.kernel.record_strategies import Values, comparable
from tidegate.kernel import wire
from tidegate.kernel.operation import Operation
from tidegate.workspace import SERVICES

OPERATIONS = {f"{one.room}.{one.name}": one for service in SERVICES.values() for one in service.operations()}
VALUES = Values()


@pytest.mark.parametrize("name", OPERATIONS)
def test_requests_and_answers_cross_the_wire_as_they_are(name: str) -> None:
    operation = OPERATIONS[name]
    check(operation.request)
    if operation.returns is not type(None):
        check(operation.returns)


@cache
def check(kind: object) -> None:
    """Many values of this type, there and back; a type that several operations answer is tried once."""

    @settings(max_examples=25, deadline=None, suppress_health_check=list(HealthCheck), database=None)
    @given(VALUES.of(kind))
    def there_and_back(value: object) -> None:
        raw = wire.encode(value, kind)
        back = wire.decode(raw, kind)
        assert comparable(back) == comparable(value)
        assert wire.encode(back, kind) == raw

    there_and_back()


@settings(max_examples=25, deadline=None)
@given(st.data())
def test_a_request_binds_locally_to_what_the_wire_decodes(data: st.DataObject) -> None:
    operation: Operation = OPERATIONS[data.draw(st.sampled_from(sorted(OPERATIONS)))]
    request = data.draw(VALUES.of(operation.request))
    arguments = {name: getattr(request, name) for name in operation.parameters}
    bound = operation.bind((), dict(arguments))
    decoded = wire.decode(wire.encode(request, operation.request), operation.request)
    assert comparable(bound) == comparable(decoded) == comparable(request)
