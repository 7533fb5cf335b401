"""Every error that Tidegate raises on purpose.

TidegateError
├── Invalid            what was given is wrong                     400, exit 1
├── Refused            a policy or a gate says no                  409, exit 3
├── Forbidden          the actor may not do this                   403, exit 4
│   └── Unauthenticated    nobody knows who the actor is           401, exit 4
├── NotFound           there is no such thing                      404, exit 5
├── AlreadyExists      the name is taken                           409, exit 1
├── Conflict           somebody else was faster, or a state forbids 409, exit 1
├── Unavailable        try again later                             503, exit 1
└── Internal           a fault of ours                             500, exit 1

On the wire an error is ``{"code", "message", "details"}``; `from_wire` maps the code back by the closed
table below, so a peer can never choose which class is imported.
"""

from typing import ClassVar

import msgspec


class TidegateError(Exception):
    """The root of the tree. ``message`` says what was wrong, with which object, and what to do next."""

    code: ClassVar[str] = "internal"
    status: ClassVar[int] = 500
    exit_code: ClassVar[int] = 1

    def __init__(self, message: str, /, **details: object) -> None:
        super().__init__(message)
        self.message = message
        self.details = details


class Invalid(TidegateError):
    """What was given is wrong: the message names the field and the remedy."""

    code = "invalid"
    status = 400


class Refused(TidegateError):
    """A policy or a gate says no, with its reasons in ``details``."""

    code = "refused"
    status = 409
    exit_code = 3


class Forbidden(TidegateError):
    """The actor is known and may not do this."""

    code = "forbidden"
    status = 403
    exit_code = 4


class Unauthenticated(Forbidden):
    """A token is needed, or the one given is not valid."""

    code = "unauthenticated"
    status = 401


class NotFound(TidegateError):
    """There is no such object."""

    code = "not_found"
    status = 404
    exit_code = 5


class AlreadyExists(TidegateError):
    """The name is taken by another object."""

    code = "already_exists"
    status = 409


class Conflict(TidegateError):
    """A race was lost, or the state of the object forbids the change. Read it again, then decide."""

    code = "conflict"
    status = 409


class Unavailable(TidegateError):
    """Something that we need does not answer. Safe to try again with the same idempotency key."""

    code = "unavailable"
    status = 503


class Internal(TidegateError):
    """A fault of ours. ``details["request_id"]`` finds the traceback in the server's log."""


class WireError(msgspec.Struct, frozen=True):
    """An error as it crosses the wire."""

    code: str
    message: str
    details: dict[str, object] = {}


_CLASSES: tuple[type[TidegateError], ...] = (
    Invalid,
    Refused,
    Forbidden,
    Unauthenticated,
    NotFound,
    AlreadyExists,
    Conflict,
    Unavailable,
    Internal,
)
BY_CODE: dict[str, type[TidegateError]] = {error.code: error for error in _CLASSES}


def to_wire(error: TidegateError) -> WireError:
    """The error as a record for the wire."""
    return WireError(error.code, error.message, dict(error.details))


def from_wire(error: WireError) -> TidegateError:
    """The error class that a peer named by its code; an unknown code becomes `Internal`."""
    return BY_CODE.get(error.code, Internal)(error.message, **error.details)
