"""The tables of people, roles and tokens, and the queries on the audit chain."""

from collections.abc import Sequence
from typing import Any

import sqlalchemy as sa

from tidegate.governance.records import AuditEntry, ChainReport, Person, Token
from tidegate.governance.rules import in_order
from tidegate.kernel.clock import from_micros, to_micros
from tidegate.kernel.context import LOCAL_ACTOR
from tidegate.storage.audit import AuditChain, audit
from tidegate.storage.catalog import Catalog
from tidegate.storage.schema import Micros, table

people = table(
    "person",
    sa.Column("name", sa.String(128), primary_key=True),
    sa.Column("created_at", Micros, nullable=False),
    sa.Column("created_by", sa.String(128), nullable=False),
    room="governance",
)

roles = table(
    "person_role",
    sa.Column("person", sa.String(128), primary_key=True),
    sa.Column("role", sa.String(32), primary_key=True, index=True),
    room="governance",
)

tokens = table(
    "token",
    sa.Column("id", sa.String(32), primary_key=True),
    sa.Column("person", sa.String(128), nullable=False, index=True),
    sa.Column("digest", sa.String(64), nullable=False, unique=True),
    sa.Column("created_at", Micros, nullable=False),
    sa.Column("created_by", sa.String(128), nullable=False),
    sa.Column("expires_at", Micros, nullable=True),
    sa.Column("revoked_at", Micros, nullable=True),
    room="governance",
)


class SqlPeople:
    """People and tokens in the catalog. Keeps the laws of `PeopleStore`, and serves as the authority's register."""

    def __init__(self, catalog: Catalog) -> None:
        self._catalog = catalog
        self._named = catalog.query(_PERSON)

    def claim(self) -> None:
        """Wait for this transaction's turn."""
        self._catalog.serialise()

    def person(self, name: str) -> Person | None:
        """The person of this name, in one query that is built once: every operation asks it."""
        rows = self._named(asked=name)
        return _person(rows) if rows else None

    def quick_pulse(self) -> object | None:
        """Changes whenever anybody commits; None where it is not to be had, or costs as much as a look."""
        return self._catalog.quick_pulse()

    def page(self, after: str, limit: int) -> list[Person]:
        """People but `local`, by name, those after this one."""
        return self._people(sa.and_(people.c.name > after, people.c.name != LOCAL_ACTOR), limit)

    def admins(self) -> list[str]:
        """Who holds the role admin."""
        with self._catalog.connect() as connection:
            return list(connection.execute(sa.select(roles.c.person).where(roles.c.role == "admin")).scalars())

    def save(self, person: Person) -> None:
        """Write a person, new or known, with these roles."""
        created = to_micros(person.created_at) if person.created_at is not None else 0
        insert = self._catalog.insert(people).values(name=person.name, created_at=created, created_by=person.created_by)
        with self._catalog.connect() as connection:
            connection.execute(insert.on_conflict_do_nothing())
            connection.execute(roles.delete().where(roles.c.person == person.name))
            if person.roles:
                connection.execute(roles.insert(), [{"person": person.name, "role": role} for role in person.roles])

    def keep_token(self, info: Token, digest: str) -> None:
        """Keep a token's digest."""
        with self._catalog.connect() as connection:
            connection.execute(
                tokens.insert().values(
                    id=info.id,
                    person=info.person,
                    digest=digest,
                    created_at=to_micros(info.created_at),
                    created_by=info.created_by,
                    expires_at=to_micros(info.expires_at) if info.expires_at is not None else None,
                    revoked_at=None,
                )
            )

    def tokens(self, person: str) -> list[Token]:
        """The tokens of a person, newest first."""
        query = sa.select(tokens).where(tokens.c.person == person).order_by(tokens.c.created_at.desc(), tokens.c.id)
        with self._catalog.connect() as connection:
            return [_token(row) for row in connection.execute(query)]

    def token(self, digest: str) -> tuple[str, Token] | None:
        """The kept digest and what is known of the token."""
        with self._catalog.connect() as connection:
            row = connection.execute(_TOKEN, {"asked": digest}).one_or_none()
        return None if row is None else (row.digest, _token(row))

    def end_token(self, info: Token) -> None:
        """Note that a token was revoked."""
        ended = to_micros(info.revoked_at) if info.revoked_at is not None else None
        with self._catalog.connect() as connection:
            connection.execute(tokens.update().where(tokens.c.id == info.id).values(revoked_at=ended))

    def _people(self, condition: sa.ColumnElement[bool], limit: int) -> list[Person]:
        chosen = sa.select(people).where(condition).order_by(people.c.name).limit(limit).subquery()
        query = (
            sa.select(chosen, roles.c.role)
            .select_from(chosen.outerjoin(roles, roles.c.person == chosen.c.name))
            .order_by(chosen.c.name)
        )
        with self._catalog.connect() as connection:
            rows = connection.execute(query).all()
        held: dict[str, list[Any]] = {}
        for row in rows:
            held.setdefault(row.name, []).append(row)
        return [_person(its) for its in held.values()]


class SqlAuditSource:
    """The audit chain as the room of governance reads it."""

    def __init__(self, catalog: Catalog, chain: AuditChain) -> None:
        self._catalog = catalog
        self._chain = chain

    def entries(self, filters: dict[str, str], before: int | None, limit: int) -> list[AuditEntry]:
        """Rows whose columns have these values, those before a position, newest first."""
        query = sa.select(audit).order_by(audit.c.position.desc()).limit(limit)
        for name, value in filters.items():
            query = query.where(audit.c[name] == value)
        if before is not None:
            query = query.where(audit.c.position < before)
        with self._catalog.connect() as connection:
            return [_entry(row) for row in connection.execute(query)]

    def verify(self) -> ChainReport:
        """Every hash recomputed from the beginning."""
        found = self._chain.verify()
        where = f"the chain breaks at position {found.broken_at}"
        return ChainReport(
            intact=found.intact,
            rows=found.rows,
            head=found.head,
            broken_at=found.broken_at,
            message=f"all {found.rows} rows hold" if found.intact else f"{found.rows} rows hold, then {where}",
        )

    def holds(self, head: str) -> bool:
        """Whether a row of the chain has this hash."""
        query = sa.select(audit.c.position).where(audit.c.hash == head).limit(1)
        with self._catalog.connect() as connection:
            return connection.execute(query).first() is not None


_PERSON = (
    sa.select(people, roles.c.role)
    .select_from(people.outerjoin(roles, roles.c.person == people.c.name))
    .where(people.c.name == sa.bindparam("asked"))
)
_TOKEN = sa.select(tokens).where(tokens.c.digest == sa.bindparam("asked"))


def _person(rows: Sequence[Any]) -> Person:
    return Person(
        name=rows[0].name,
        roles=in_order(row.role for row in rows if row.role is not None),
        created_at=from_micros(rows[0].created_at),
        created_by=rows[0].created_by,
    )


def _token(row: sa.Row[Any]) -> Token:
    return Token(
        id=row.id,
        person=row.person,
        created_at=from_micros(row.created_at),
        created_by=row.created_by,
        expires_at=None if row.expires_at is None else from_micros(row.expires_at),
        revoked_at=None if row.revoked_at is None else from_micros(row.revoked_at),
    )


def _entry(row: sa.Row[Any]) -> AuditEntry:
    return AuditEntry(
        position=row.position,
        at=from_micros(row.at),
        actor=row.actor,
        operation=row.operation,
        subject=row.subject,
        outcome=row.outcome,
        detail=row.detail,
        request_id=row.request_id,
        request_digest=row.request_digest,
        hash=row.hash,
    )
