"""What an edge remembers of who may call, and for how long."""

import asyncio
from collections.abc import Mapping

import pytest

from tidegate.endpoints.admission import MEMORY_SECONDS, Admission
from tidegate.endpoints.service import Endpoints
from tidegate.kernel.clock import SystemClock
from tidegate.kernel.context import Call
from tidegate.kernel.errors import Forbidden, Unauthenticated
from tidegate.kernel.operation import Operation

PREDICT, GET = (next(one for one in Endpoints.operations() if one.name == name) for name in ("predict", "get"))


class Turned(SystemClock):
    """Machine time that a test turns."""

    seconds = 0.0

    def monotonic(self) -> float:
        return self.seconds


class Register:
    """Knows tokens and permissions, and counts how often it is asked."""

    def __init__(self) -> None:
        self.tokens = {"Bearer a": "ann", "Bearer b": "bob"}
        self.allowed = {("ann", "predict")}
        self.asked = 0

    def identify(self, headers: Mapping[str, str]) -> Call:
        self.asked += 1
        if headers.get("authorization") not in self.tokens:
            raise Unauthenticated("who?")
        return Call(actor=self.tokens[headers["authorization"]])

    def authorise(self, operation: Operation, call: Call) -> None:
        if (call.actor, operation.name) not in self.allowed:
            raise Forbidden(f"{call.actor} may not {operation.name}")


def admit(admission: Admission, operation: Operation, token: str, **more: str) -> str:
    return asyncio.run(admission.admit(operation, {"authorization": token, **more}))


def test_what_was_granted_is_remembered_for_a_second_and_no_longer() -> None:
    register, clock = Register(), Turned()
    admission = Admission(register, register.authorise, clock)
    assert admit(admission, PREDICT, "Bearer a") == "ann"
    register.tokens.clear()
    register.allowed.clear()
    clock.seconds = MEMORY_SECONDS * 0.99
    assert admit(admission, PREDICT, "Bearer a") == "ann"
    assert register.asked == 1
    clock.seconds = MEMORY_SECONDS
    with pytest.raises(Unauthenticated):
        admit(admission, PREDICT, "Bearer a")


def test_a_refusal_is_never_remembered() -> None:
    register = Register()
    admission = Admission(register, register.authorise, Turned())
    with pytest.raises(Forbidden):
        admit(admission, PREDICT, "Bearer b")
    register.allowed.add(("bob", "predict"))
    assert admit(admission, PREDICT, "Bearer b") == "bob"


def test_a_grant_is_for_one_operation_and_one_identity() -> None:
    register = Register()
    admission = Admission(register, register.authorise, Turned())
    assert admit(admission, PREDICT, "Bearer a") == "ann"
    with pytest.raises(Forbidden):
        admit(admission, GET, "Bearer a")
    with pytest.raises(Forbidden):
        admit(admission, PREDICT, "Bearer b")
    with pytest.raises(Unauthenticated):
        admit(admission, PREDICT, "Bearer c")


@pytest.mark.parametrize("header", ["tidegate-time", "tidegate-deadline"])
def test_time_and_deadline_are_read_each_time(header: str) -> None:
    register = Register()
    admission = Admission(register, register.authorise, Turned())
    for _ in range(3):
        admit(admission, PREDICT, "Bearer a", **{header: "1"})
    assert register.asked == 3
