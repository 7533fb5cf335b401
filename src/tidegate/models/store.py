"""The tables of models: versions, attestations, aliases and policies."""

from typing import Any

import msgspec
import sqlalchemy as sa

from tidegate.kernel.clock import from_micros, to_micros
from tidegate.models.records import (
    Alias,
    Attestation,
    Manifest,
    ModelSummary,
    ModelVersion,
    Stage,
    StagePolicy,
    StageRules,
)
from tidegate.storage.catalog import Catalog
from tidegate.storage.schema import Micros, table

versions = table(
    "model_version",
    sa.Column("name", sa.String(128), primary_key=True),
    sa.Column("number", sa.Integer, primary_key=True),
    sa.Column("digest", sa.String(64), nullable=False, unique=True),
    sa.Column("stage", sa.String(32), nullable=False),
    sa.Column("created_at", Micros, nullable=False),
    sa.Column("created_by", sa.String(128), nullable=False),
    sa.Column("note", sa.Text, nullable=False),
    sa.Column("manifest", sa.LargeBinary, nullable=False),
    room="models",
)

attestations = table(
    "attestation",
    sa.Column("id", sa.String(32), primary_key=True),
    sa.Column("subject", sa.String(64), nullable=False),
    sa.Column("kind", sa.String(140), nullable=False),
    sa.Column("verdict", sa.String(32), nullable=False),
    sa.Column("policy_digest", sa.String(64), nullable=False),
    sa.Column("made_by", sa.String(128), nullable=False),
    sa.Column("made_at", Micros, nullable=False),
    sa.Column("reason", sa.Text, nullable=False),
    sa.Column("evidence", sa.LargeBinary, nullable=False),
    sa.Column("place", sa.BigInteger, nullable=False),
    sa.Index("ix_attestation_subject_place", "subject", "place", unique=True),
    room="models",
)

aliases = table(
    "model_alias",
    sa.Column("name", sa.String(128), primary_key=True),
    sa.Column("alias", sa.String(128), primary_key=True),
    sa.Column("number", sa.Integer, nullable=False),
    sa.Column("moved_at", Micros, nullable=False),
    sa.Column("moved_by", sa.String(128), nullable=False),
    room="models",
)

policies = table(
    "stage_policy",
    sa.Column("name", sa.String(128), primary_key=True),
    sa.Column("stage", sa.String(32), primary_key=True),
    sa.Column("policy", sa.LargeBinary, nullable=False),
    sa.Column("digest", sa.String(64), nullable=False),
    sa.Column("set_at", Micros, nullable=False),
    sa.Column("set_by", sa.String(128), nullable=False),
    room="models",
)


class SqlModels:
    """Models in the catalog. Keeps the laws of `ModelStore`."""

    def __init__(self, catalog: Catalog) -> None:
        self._catalog = catalog

    def claim(self) -> None:
        """Wait for this transaction's turn."""
        self._catalog.serialise()

    def add(self, version: ModelVersion) -> None:
        """Add a version."""
        self._run(
            versions.insert().values(
                name=version.name,
                number=version.number,
                digest=version.digest,
                stage=version.stage,
                created_at=to_micros(version.created_at),
                created_by=version.created_by,
                note=version.note,
                manifest=msgspec.json.encode(version.manifest, order="sorted"),
            )
        )

    def latest(self, name: str) -> ModelVersion | None:
        """The version with the greatest number."""
        return self._one(_of(name).order_by(versions.c.number.desc()).limit(1))

    def numbered(self, name: str, number: int) -> ModelVersion | None:
        """The version of that number."""
        return self._one(_of(name).where(versions.c.number == number)) if 0 < number < 2**31 else None

    def aliased(self, name: str, alias: str) -> ModelVersion | None:
        """The version that the alias points at."""
        number = sa.select(aliases.c.number).where(aliases.c.name == name, aliases.c.alias == alias)
        return self._one(_of(name).where(versions.c.number == number.scalar_subquery()))

    def with_digest(self, prefix: str, name: str | None = None) -> list[ModelVersion]:
        """At most two versions whose digest begins so."""
        query = sa.select(versions).where(versions.c.digest >= prefix, versions.c.digest < prefix + "g").limit(2)
        return self._all(query if name is None else query.where(versions.c.name == name))

    def versions(self, name: str, before: int, limit: int) -> list[ModelVersion]:
        """Versions with a smaller number, newest first."""
        return self._all(_of(name).where(versions.c.number < before).order_by(versions.c.number.desc()).limit(limit))

    def summaries(self, after: str, limit: int) -> list[ModelSummary]:
        """Models by name, those after this one."""
        query = (
            sa.select(versions.c.name, sa.func.max(versions.c.number), sa.func.min(versions.c.created_at))
            .where(versions.c.name > after)
            .group_by(versions.c.name)
            .order_by(versions.c.name)
            .limit(limit)
        )
        with self._catalog.connect() as connection:
            rows = connection.execute(query).all()
        return [ModelSummary(name=name, versions=count, created_at=from_micros(at)) for name, count, at in rows]

    def move(self, version: ModelVersion, to: Stage) -> None:
        """Move a version to another stage."""
        self._run(versions.update().where(versions.c.digest == version.digest).values(stage=to))

    def attest(self, attestation: Attestation) -> None:
        """Add an attestation after all those of its subject: ids of two machines may disagree about time."""
        last = sa.select(sa.func.max(attestations.c.place)).where(attestations.c.subject == attestation.subject)
        with self._catalog.connect() as connection:
            place = (connection.execute(last).scalar_one() or 0) + 1
        values = msgspec.structs.asdict(attestation)
        values |= {"made_by": values.pop("by"), "made_at": to_micros(values.pop("at")), "place": place}
        values["evidence"] = msgspec.json.encode(attestation.evidence)
        self._run(attestations.insert().values(values))

    def attestations(self, subject: str, before: str, limit: int) -> list[Attestation]:
        """Attestations of a digest that were added before that of an id (empty: all), newest first."""
        query = sa.select(attestations).where(attestations.c.subject == subject)
        if before:
            place = sa.select(attestations.c.place).where(attestations.c.id == before)
            query = query.where(attestations.c.place < place.scalar_subquery())
        with self._catalog.connect() as connection:
            rows = connection.execute(query.order_by(attestations.c.place.desc()).limit(limit)).all()
        return [_attestation(row) for row in rows]

    def aliases(self, name: str) -> list[Alias]:
        """Every alias of a model, by alias."""
        query = sa.select(aliases).where(aliases.c.name == name).order_by(aliases.c.alias)
        with self._catalog.connect() as connection:
            rows = connection.execute(query).all()
        return [
            Alias(
                name=row.name,
                alias=row.alias,
                number=row.number,
                moved_at=from_micros(row.moved_at),
                moved_by=row.moved_by,
            )
            for row in rows
        ]

    def point(self, alias: Alias) -> None:
        """Set an alias, new or known."""
        new = {"number": alias.number, "moved_at": to_micros(alias.moved_at), "moved_by": alias.moved_by}
        insert = self._catalog.insert(aliases).values(name=alias.name, alias=alias.alias, **new)
        self._run(insert.on_conflict_do_update(index_elements=[aliases.c.name, aliases.c.alias], set_=new))

    def policy(self, name: str, stage: Stage) -> StageRules | None:
        """The policy that somebody set for a stage."""
        query = sa.select(policies).where(policies.c.name == name, policies.c.stage == stage)
        with self._catalog.connect() as connection:
            row = connection.execute(query).one_or_none()
        if row is None:
            return None
        return StageRules(
            name=name,
            stage=stage,
            policy=msgspec.json.decode(row.policy, type=StagePolicy),
            digest=row.digest,
            set_by=row.set_by,
            set_at=from_micros(row.set_at),
        )

    def keep_policy(self, kept: StageRules) -> None:
        """Set the policy of a stage."""
        new = {
            "policy": msgspec.json.encode(kept.policy, order="sorted"),
            "digest": kept.digest,
            "set_by": kept.set_by,
            "set_at": to_micros(kept.set_at) if kept.set_at is not None else 0,
        }
        insert = self._catalog.insert(policies).values(name=kept.name, stage=kept.stage, **new)
        self._run(insert.on_conflict_do_update(index_elements=[policies.c.name, policies.c.stage], set_=new))

    def _run(self, statement: sa.Executable) -> None:
        with self._catalog.connect() as connection:
            connection.execute(statement)

    def _all(self, query: sa.Select[Any]) -> list[ModelVersion]:
        with self._catalog.connect() as connection:
            return [_version(row) for row in connection.execute(query)]

    def _one(self, query: sa.Select[Any]) -> ModelVersion | None:
        found = self._all(query)
        return found[0] if found else None


def _of(name: str) -> sa.Select[Any]:
    return sa.select(versions).where(versions.c.name == name)


def _version(row: sa.Row[Any]) -> ModelVersion:
    return ModelVersion(
        name=row.name,
        number=row.number,
        digest=row.digest,
        stage=row.stage,
        created_at=from_micros(row.created_at),
        created_by=row.created_by,
        note=row.note,
        manifest=msgspec.json.decode(row.manifest, type=Manifest),
    )


def _attestation(row: sa.Row[Any]) -> Attestation:
    return Attestation(
        id=row.id,
        subject=row.subject,
        kind=row.kind,
        verdict=row.verdict,
        policy_digest=row.policy_digest,
        by=row.made_by,
        at=from_micros(row.made_at),
        reason=row.reason,
        evidence=msgspec.json.decode(row.evidence, type=dict[str, str]),
    )
