"""What governance speaks of: people and their roles, tokens, and the rows of the audit chain."""

import msgspec

from tidegate.kernel.clock import Instant
from tidegate.kernel.context import Role


class Person(msgspec.Struct, frozen=True, kw_only=True):
    """Somebody who may call operations. ``roles`` are those granted, by name."""

    name: str
    roles: tuple[Role, ...]
    created_at: Instant | None = None
    """Null for `local` while nobody has changed its roles: it is there from the beginning."""
    created_by: str = ""


class Token(msgspec.Struct, frozen=True, kw_only=True):
    """What is known of a token; never the token itself. Instants are of machine time."""

    id: str
    person: str
    created_at: Instant
    created_by: str
    expires_at: Instant | None = None
    revoked_at: Instant | None = None


class NewToken(msgspec.Struct, frozen=True, kw_only=True):
    """A token, shown this once."""

    info: Token
    token: str

    def __repr__(self) -> str:
        return f"NewToken(info={self.info!r}, token=<shown by .token>)"


class PersonAdded(msgspec.Struct, frozen=True, kw_only=True):
    """A new person, and the token by which a server knows them, shown this once."""

    person: Person
    info: Token
    token: str

    def __repr__(self) -> str:
        return f"PersonAdded(person={self.person!r}, info={self.info!r}, token=<shown by .token>)"


class AuditEntry(msgspec.Struct, frozen=True, kw_only=True):
    """One row of the audit chain: who did what, when, with which outcome."""

    position: int
    at: Instant
    actor: str
    operation: str
    subject: str
    outcome: str
    detail: str
    request_id: str
    request_digest: str
    hash: str


class ChainReport(msgspec.Struct, frozen=True, kw_only=True):
    """The result of a verification. ``head`` is the hash of the last row that holds.

    Note it elsewhere: a chain that was written anew as a whole is only found by who knows an earlier head.
    """

    intact: bool
    rows: int
    head: str
    broken_at: int | None = None
    """The position of the first row that does not hold, or is missing at the end."""
    message: str
