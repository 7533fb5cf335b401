"""People, their roles, and the tokens by which a server knows them."""

import hashlib
from collections.abc import Callable
from typing import Protocol, TypeVar

import msgspec

from tidegate.events.records import Facts
from tidegate.governance import rules, tokens
from tidegate.governance.records import NewToken, Person, PersonAdded, Token
from tidegate.kernel.clock import BusinessClock, MachineClock
from tidegate.kernel.context import LOCAL_ACTOR, Call, Role, actor, current
from tidegate.kernel.dispatch import AuditTrail, Journalled, Transactions
from tidegate.kernel.errors import NotFound
from tidegate.kernel.ids import IdFactory
from tidegate.kernel.names import check_name
from tidegate.kernel.operation import Service, operation
from tidegate.kernel.pages import Page, decode_cursor, encode_cursor, page_size

T = TypeVar("T")


class PeopleStore(Protocol):
    """Where people, roles and tokens are kept.

    Laws:

    1. **Turns.** From `claim` to the end of the ambient transaction nobody else passes `claim`.
    2. **Digests.** A token's digest is kept, and nothing else of it.
    3. **Stored only.** `local` is here only once somebody has changed it.
    """

    def claim(self) -> None:
        """Wait for this transaction's turn."""
        ...

    def person(self, name: str) -> Person | None:
        """The person of this name."""
        ...

    def page(self, after: str, limit: int) -> list[Person]:
        """People but `local`, by name, those after this one."""
        ...

    def admins(self) -> list[str]:
        """Who holds the role admin."""
        ...

    def save(self, person: Person) -> None:
        """Write a person, new or known, with these roles."""
        ...

    def keep_token(self, info: Token, digest: str) -> None:
        """Keep a token's digest."""
        ...

    def tokens(self, person: str) -> list[Token]:
        """The tokens of a person, newest first."""
        ...

    def end_token(self, info: Token) -> None:
        """Note that a token was revoked."""
        ...


class People(Service):
    """People, their roles, and the tokens by which a server knows them."""

    room = "people"
    uses = ()

    def __init__(
        self,
        *,
        store: PeopleStore,
        transactions: Transactions,
        audit: AuditTrail,
        clock: BusinessClock,
        machine: MachineClock,
        ids: IdFactory,
        facts: Facts,
    ) -> None:
        self._store = store
        self._transactions = transactions
        self._audit = audit
        self._clock = clock
        self._machine = machine
        self._ids = ids
        self._facts = facts

    @operation("POST /people", role="admin", audit="change", transaction=False)
    def add(self, name: str, *, role: Role, lifetime_seconds: int | None = None) -> PersonAdded:
        """Add a person with one role, and a token that is shown this once.

        The answer is not kept for repeated requests, since it holds a secret: a repeated call finds that the person
        exists. `lifetime_seconds` of the token are machine time; without it the token lasts until it is revoked.
        """
        check_name(name)

        def work() -> PersonAdded:
            self._store.claim()
            rules.check_new(name, rules.local_person() if name == LOCAL_ACTOR else self._store.person(name))
            person = Person(name=name, roles=(role,), created_at=self._clock.now(), created_by=actor())
            self._store.save(person)
            made = self._issue(name, lifetime_seconds)
            self._facts.append("tidegate.people.added", name, role=role, token_id=made.info.id)
            return PersonAdded(person=person, info=made.info, token=made.token)

        return self._audited("add", name, {"role": role, "lifetime_seconds": lifetime_seconds}, work)

    @operation("GET /people/{name}", role="viewer", audit="none")
    def get(self, name: str) -> Person:
        """One person with their roles."""
        return self._known(name)

    @operation("GET /people", role="viewer", audit="none")
    def list(self, *, limit: int = 100, cursor: str = "") -> Page[Person]:
        """People: first `local`, then by name."""
        key = decode_cursor(cursor, (str,))
        first = [] if key else [self._known(LOCAL_ACTOR)]
        found = first + self._store.page(key[0] if key else "", page_size(limit) + 1)
        last = found[limit - 1].name if len(found) > limit else None
        if last is None:
            return Page(found[:limit], None)
        return Page(found[:limit], encode_cursor("" if last == LOCAL_ACTOR else last))

    @operation("POST /people/{name}/roles", role="admin", audit="change")
    def grant(self, name: str, *, role: Role) -> Person:
        """Give a person one more role; granting it twice changes nothing."""
        self._store.claim()
        person = self._known(name)
        if role in person.roles:
            return person
        return self._change(person, rules.in_order((*person.roles, role)), "granted", role)

    @operation("DELETE /people/{name}/roles/{role}", role="admin", audit="change")
    def revoke(self, name: str, *, role: Role) -> Person:
        """Take a role from a person, at once. The last admin stays one."""
        self._store.claim()
        person = self._known(name)
        admins = set(self._store.admins())
        if self._store.person(LOCAL_ACTOR) is None:
            admins.add(LOCAL_ACTOR)
        rules.check_revocable(person, role, admins)
        left = tuple(held for held in person.roles if held != role)
        return self._change(person, left, "revoked", role)

    @operation("POST /people/{name}/tokens", role="admin", audit="change", transaction=False)
    def new_token(self, name: str, *, lifetime_seconds: int | None = None) -> NewToken:
        """Make another token for a person, shown this once; the others stay valid.

        The answer is not kept for repeated requests, since it holds a secret: a repeated call makes one more token.
        """

        def work() -> NewToken:
            self._store.claim()
            self._known(name)
            made = self._issue(name, lifetime_seconds)
            self._facts.append("tidegate.people.token_made", name, token_id=made.info.id)
            return made

        return self._audited("new_token", name, {"lifetime_seconds": lifetime_seconds}, work)

    @operation("GET /people/{name}/tokens", role="admin", audit="none")
    def tokens(self, name: str) -> tuple[Token, ...]:
        """The tokens of a person, newest first: when they were made, when they end, never the token itself."""
        self._known(name)
        return tuple(self._store.tokens(name))

    @operation("DELETE /people/{name}/tokens/{token_id}", role="admin", audit="change")
    def revoke_token(self, name: str, token_id: str) -> Token:
        """End a token, at once. Revoking it twice changes nothing."""
        self._store.claim()
        self._known(name)
        found = next((info for info in self._store.tokens(name) if info.id == token_id), None)
        if found is None:
            raise NotFound(f"{name} has no token {token_id[:64]!r}: 'tidegate people tokens {name}' lists them")
        if found.revoked_at is not None:
            return found
        ended = msgspec.structs.replace(found, revoked_at=self._machine.wall())
        self._store.end_token(ended)
        self._facts.append("tidegate.people.token_revoked", name, token_id=token_id)
        return ended

    def _known(self, name: str) -> Person:
        person = self._store.person(name)
        if person is None and name == LOCAL_ACTOR:
            return rules.local_person()
        if person is None:
            raise NotFound(f"there is no person {name[:128]!r}: 'tidegate people list' shows those there are")
        return person

    def _change(self, person: Person, roles: tuple[Role, ...], what: str, role: Role) -> Person:
        created = person.created_at or self._clock.now()
        changed = msgspec.structs.replace(person, roles=roles, created_at=created)
        self._store.save(changed)
        self._facts.append(f"tidegate.people.{what}", person.name, role=role)
        return changed

    def _issue(self, name: str, lifetime_seconds: int | None) -> NewToken:
        token, now = tokens.new_token(), self._machine.wall()
        info = Token(
            id=self._ids.new(),
            person=name,
            created_at=now,
            created_by=actor(),
            expires_at=rules.expiry(now, lifetime_seconds),
        )
        self._store.keep_token(info, tokens.digest_of(token))
        return NewToken(info=info, token=token)

    def _audited(self, verb: str, subject: str, asked: dict[str, object], work: Callable[[], T]) -> T:
        """Run in one transaction with its audit row, past the memory of answers, which would keep the token."""
        call = current.get() or Call(actor=LOCAL_ACTOR)
        request = msgspec.json.encode({"name": subject, **asked}, order="sorted")
        entry = Journalled(
            actor=call.actor,
            operation=f"{self.room}.{verb}",
            subject=subject,
            outcome="ok",
            request_id=call.request_id,
            request_digest=hashlib.sha256(request).hexdigest(),
        )

        def both() -> T:
            answer = work()
            self._audit.append(entry)
            return answer

        return self._transactions.write(both)
