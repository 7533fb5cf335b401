"""Errors as the protocol tells them: ``{"error_code": …, "message": …}``."""

from typing import Final

import msgspec

from tidegate.kernel.errors import (
    AlreadyExists,
    Conflict,
    Forbidden,
    Invalid,
    NotFound,
    Refused,
    TidegateError,
    Unauthenticated,
    Unavailable,
)


class NoSuchEndpoint(NotFound):
    """A path that is none of those that are answered."""


class NotOffered(Refused):
    """What the protocol has, and this server has not."""


_CODES: Final[list[tuple[type[TidegateError], str, int]]] = [
    (NotOffered, "NOT_IMPLEMENTED", 501),
    (NoSuchEndpoint, "ENDPOINT_NOT_FOUND", 404),
    (NotFound, "RESOURCE_DOES_NOT_EXIST", 404),
    (AlreadyExists, "RESOURCE_ALREADY_EXISTS", 400),
    (Unauthenticated, "UNAUTHENTICATED", 401),
    (Forbidden, "PERMISSION_DENIED", 403),
    (Invalid, "INVALID_PARAMETER_VALUE", 400),
    (Conflict, "INVALID_PARAMETER_VALUE", 400),  # a parameter that is to change, a run that is deleted
    (Refused, "INVALID_STATE", 400),
    (Unavailable, "TEMPORARILY_UNAVAILABLE", 503),
]


class _Body(msgspec.Struct, frozen=True):
    error_code: str
    message: str


def told(error: TidegateError) -> tuple[int, bytes]:
    """Status and body. A status of its own (413, 415) stays."""
    code, status = next(((code, status) for kind, code, status in _CODES if isinstance(error, kind)), ("", 500))
    if isinstance(error, Invalid) and error.status != Invalid.status:
        status = error.status
    return status, msgspec.json.encode(_Body(code or "INTERNAL_ERROR", error.message))
