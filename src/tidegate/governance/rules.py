"""The rules of people and roles, as pure functions."""

from collections.abc import Iterable
from datetime import datetime, timedelta
from typing import Final, get_args

from tidegate.governance.records import Person
from tidegate.kernel.context import LOCAL_ACTOR, Role
from tidegate.kernel.errors import AlreadyExists, Invalid, NotFound, Refused

LOCAL_ROLES: Final[frozenset[Role]] = frozenset(("admin", "approver", "auditor"))
"""What `local`, to whom the home belongs, holds until somebody changes it."""

LONGEST_TOKEN: Final = timedelta(days=3660)

_ORDER: Final[tuple[Role, ...]] = get_args(Role)


def local_person() -> Person:
    """The person `local` as every home begins with it."""
    return Person(name=LOCAL_ACTOR, roles=in_order(LOCAL_ROLES))


def in_order(roles: Iterable[Role]) -> tuple[Role, ...]:
    """Roles in the order of their declaration, each once."""
    held = set(roles)
    return tuple(role for role in _ORDER if role in held)


def effective(roles: Iterable[Role]) -> frozenset[Role]:
    """What a person may do: who approves or audits may also look."""
    held = frozenset(roles)
    return held | {"viewer"} if held else held


def check_revocable(person: Person, role: Role, admins: Iterable[str]) -> None:
    """Raise unless the role may be taken from the person: the home keeps at least one admin."""
    if role not in person.roles:
        held = ", ".join(person.roles) or "none"
        raise NotFound(f"{person.name} does not hold the role {role}; the roles held are: {held}", person=person.name)
    if role == "admin" and set(admins) <= {person.name}:
        raise Refused(
            f"{person.name} is the last admin and stays one: make another first, "
            "'tidegate people grant NAME --role admin'",
            person=person.name,
        )


def check_new(name: str, known: Person | None) -> None:
    """Raise `AlreadyExists` when there is such a person; a lost token is replaced, never shown again."""
    if known is not None:
        raise AlreadyExists(
            f"there is a person {name!r} already; if the token was lost, make another with "
            f"'tidegate people new-token {name}' and revoke the old one",
            person=name,
        )


def expiry(now: datetime, seconds: int | None) -> datetime | None:
    """When a token of this lifetime ends. Raises `Invalid` for a lifetime that is none."""
    if seconds is None:
        return None
    if not 1 <= seconds <= LONGEST_TOKEN.total_seconds():
        raise Invalid(f"lifetime_seconds {seconds} is outside 1 to {int(LONGEST_TOKEN.total_seconds())}")
    return now + timedelta(seconds=seconds)
