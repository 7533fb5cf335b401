"""Who somebody is and what they may do: a change holds at once, in every process.

Roles are remembered only until anybody commits anything, and only where the catalog can tell that in a few
microseconds (SQLite); tokens are looked up each time.
"""

from typing import Protocol

from tidegate.governance import rules, tokens
from tidegate.governance.records import Person, Token
from tidegate.kernel.clock import MachineClock
from tidegate.kernel.context import LOCAL_ACTOR, Role
from tidegate.kernel.errors import Forbidden, Unauthenticated


class Register(Protocol):
    """Where people and tokens are looked up."""

    def person(self, name: str) -> Person | None:
        """The person of this name."""
        ...

    def quick_pulse(self) -> object | None:
        """A value that changes whenever anybody commits; None where it is not to be had, or costs as much as a look."""
        ...

    def token(self, digest: str) -> tuple[str, Token] | None:
        """The kept digest and what is known of the token."""
        ...


class PeopleAuthority:
    """Answers the dispatcher (roles) and the server's edge (tokens). Thread-safe."""

    def __init__(self, register: Register, machine: MachineClock) -> None:
        self._register = register
        self._machine = machine
        self._remembered: tuple[object, dict[str, frozenset[Role]]] = (None, {})

    def roles(self, actor: str) -> frozenset[Role]:
        """The roles of a person. Raises `Forbidden` when there is no such person."""
        pulse = self._register.quick_pulse()  # before the look, so that what was seen is as new as that, or newer
        if pulse is None:
            return self._look_up(actor)
        seen_at, remembered = self._remembered
        if seen_at != pulse:
            remembered = {}
            self._remembered = pulse, remembered
        found = remembered.get(actor)
        if found is None:
            found = remembered[actor] = self._look_up(actor)
        return found

    def _look_up(self, actor: str) -> frozenset[Role]:
        person = self._register.person(actor)
        if person is None and actor == LOCAL_ACTOR:
            person = rules.local_person()
        if person is None:
            raise Forbidden(
                f"there is no person {actor[:128]!r} here: an admin adds one, 'tidegate people add NAME --role ROLE'",
                actor=actor[:128],
            )
        return rules.effective(person.roles)

    def person_of(self, token: str) -> str:
        """Whose token this is. Raises `Unauthenticated`, which never repeats what was given."""
        if not tokens.is_token(token):
            raise Unauthenticated("the token does not read like one of Tidegate's: 'tg_' and 43 characters")
        digest = tokens.digest_of(token)
        found = self._register.token(digest)
        if found is None or not tokens.same(found[0], digest):
            raise Unauthenticated("the token is not known here: ask an admin for another")
        info = found[1]
        if info.revoked_at is not None:
            raise Unauthenticated(f"token {info.id} was revoked: ask an admin for another", token_id=info.id)
        if info.expires_at is not None and info.expires_at <= self._machine.wall():
            raise Unauthenticated(f"token {info.id} has expired: ask an admin for another", token_id=info.id)
        return info.person
