"""The tables of versions: their tags, attestations, aliases and policies."""

from collections.abc import Mapping, Sequence
from typing import Any, Final

import msgspec
import sqlalchemy as sa

from tidegate.kernel.clock import from_micros, to_micros
from tidegate.models.records import (
    Alias,
    Attestation,
    Manifest,
    ModelVersion,
    Stage,
    StagePolicy,
    StageRules,
)
from tidegate.storage.catalog import Catalog
from tidegate.storage.released import Claims, Released
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
    sa.Column("updated_at", Micros, nullable=True),  # never null: a column that came later
    sa.Column("run_id", sa.String(32), nullable=True),
    sa.Column("draft_id", sa.String(32), nullable=True),
    sa.Index("ix_model_version_stage", "name", "stage", "number"),
    sa.Index("ix_model_version_run_id", "run_id"),
    sa.Index("ix_model_version_draft_id", "draft_id"),
    room="models",
)

tags = table(
    "model_tag",
    sa.Column("name", sa.String(128), primary_key=True),
    sa.Column("number", sa.Integer, primary_key=True, autoincrement=False),
    sa.Column("tag", sa.String(250), primary_key=True),
    sa.Column("text", sa.Text, nullable=False),
    room="models",
)

OF_MODEL: Final = 0
"""The number under which the tags of a model itself are kept, beside those of its versions."""

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


class SqlVersions:
    """Versions in the catalog. Keeps the laws of `VersionStore`."""

    def __init__(self, catalog: Catalog) -> None:
        self._catalog = catalog
        self._claims, self._released = Claims(catalog), Released(catalog)
        name, number = sa.bindparam("name", type_=sa.String), sa.bindparam("number", type_=sa.Integer)
        own = versions.c.name == name
        self._insert = catalog.prepared(versions.insert())
        self._numbered = catalog.queries(
            sa.select(versions).where(own, versions.c.number == number),
            sa.select(tags).where(tags.c.name == name, tags.c.number == number).order_by(tags.c.tag),
        )
        self._same = catalog.query(sa.select(versions.c.number).where(own, versions.c.digest == sa.bindparam("digest")))

    def claim(self) -> None:
        """Wait for this transaction's turn."""
        self._catalog.serialise()

    def add(self, version: ModelVersion) -> None:
        """Add a version, and hold its files."""
        self._claims.hold(version.manifest.files.values())
        self._insert.soon(
            name=version.name,
            number=version.number,
            digest=version.digest,
            stage=version.stage,
            created_at=to_micros(version.created_at),
            created_by=version.created_by,
            note=version.note,
            manifest=msgspec.json.encode(version.manifest, order="sorted"),
            updated_at=to_micros(version.updated_at),
            run_id=version.run_id,
            draft_id=version.draft_id,
        )

    def latest(self, name: str) -> ModelVersion | None:
        """The version with the greatest number."""
        return self._one(_of(name).order_by(versions.c.number.desc()).limit(1))

    def numbered(self, name: str, number: int) -> ModelVersion | None:
        """The version of that number."""
        if not 0 < number < 2**31:
            return None
        found, tagged = self._numbered(name=name, number=number)
        return _version(found[0], {row.tag: row.text for row in tagged}) if found else None

    def aliased(self, name: str, alias: str) -> ModelVersion | None:
        """The version that the alias points at."""
        number = sa.select(aliases.c.number).where(aliases.c.name == name, aliases.c.alias == alias)
        return self._one(_of(name).where(versions.c.number == number.scalar_subquery()))

    def with_digest(self, prefix: str) -> list[ModelVersion]:
        """At most two versions whose digest begins so."""
        return self._all(
            sa.select(versions).where(versions.c.digest >= prefix, versions.c.digest < prefix + "g").limit(2)
        )

    def same(self, name: str, digest: str) -> ModelVersion | None:
        """The version of a model that has this digest."""
        found = self._same(name=name, digest=digest)
        return self.numbered(name, found[0].number) if found else None

    def versions(self, name: str, before: int, limit: int) -> list[ModelVersion]:
        """Versions with a smaller number, newest first."""
        return self._all(_of(name).where(versions.c.number < before).order_by(versions.c.number.desc()).limit(limit))

    def standing(self, name: str, stage: Stage) -> list[ModelVersion]:
        """The versions of a model that stand in a stage, newest first."""
        return self._all(_of(name).where(versions.c.stage == stage).order_by(versions.c.number.desc()))

    def write(self, version: ModelVersion) -> None:
        """Write stage, note and moment of a version that is there."""
        self._run(
            versions.update()
            .where(versions.c.name == version.name, versions.c.number == version.number)
            .values(stage=version.stage, note=version.note, updated_at=to_micros(version.updated_at))
        )

    def remove(self, version: ModelVersion) -> None:
        """Remove a version, with its tags, its aliases and what was attested of it; its files are released."""
        self._released.add(version.manifest.files.values())
        for each in (versions, tags, aliases):
            self._run(each.delete().where(each.c.name == version.name, each.c.number == version.number))
        self._run(attestations.delete().where(attestations.c.subject == version.digest))

    def set_tags(self, version: ModelVersion, given: Mapping[str, str]) -> None:
        """Set tags of a version."""
        with self._catalog.connect() as connection:
            put_tags(connection, self._catalog, version.name, version.number, given)

    def delete_tag(self, version: ModelVersion, tag: str) -> bool:
        """Delete a tag of a version; whether it was there."""
        with self._catalog.connect() as connection:
            return drop_tag(connection, version.name, version.number, tag)

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

    def unpoint(self, name: str, alias: str) -> None:
        """Remove an alias."""
        self._run(aliases.delete().where(aliases.c.name == name, aliases.c.alias == alias))

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
            return read_versions(connection, query)

    def _one(self, query: sa.Select[Any]) -> ModelVersion | None:
        found = self._all(query)
        return found[0] if found else None


def _of(name: str) -> sa.Select[Any]:
    return sa.select(versions).where(versions.c.name == name)


def read_versions(connection: sa.Connection, query: sa.Select[Any]) -> list[ModelVersion]:
    """The versions of a query over `versions`, with their tags."""
    rows = connection.execute(query).all()
    found = read_tags(connection, [(row.name, row.number) for row in rows])
    return [_version(row, found.get((row.name, row.number), {})) for row in rows]


def read_tags(connection: sa.Connection, keys: Sequence[tuple[str, int]]) -> dict[tuple[str, int], dict[str, str]]:
    """The tags of models (number `OF_MODEL`) and of versions."""
    found: dict[tuple[str, int], dict[str, str]] = {}
    if keys:
        query = sa.select(tags).where(sa.tuple_(tags.c.name, tags.c.number).in_(keys)).order_by(tags.c.tag)
        for row in connection.execute(query):
            found.setdefault((row.name, row.number), {})[row.tag] = row.text
    return found


def put_tags(connection: sa.Connection, catalog: Catalog, name: str, number: int, given: Mapping[str, str]) -> None:
    """Set tags of a version, or of a model."""
    rows = [{"name": name, "number": number, "tag": tag, "text": text} for tag, text in given.items()]
    if rows:
        insert = catalog.insert(tags)
        keys = [tags.c.name, tags.c.number, tags.c.tag]
        connection.execute(insert.on_conflict_do_update(index_elements=keys, set_={"text": insert.excluded.text}), rows)


def drop_tag(connection: sa.Connection, name: str, number: int, tag: str) -> bool:
    """Delete a tag of a version, or of a model; whether it was there."""
    own = sa.and_(tags.c.name == name, tags.c.number == number, tags.c.tag == tag)
    return connection.execute(tags.delete().where(own)).rowcount > 0


def _version(row: Any, tagged: dict[str, str]) -> ModelVersion:
    return ModelVersion(
        name=row.name,
        number=row.number,
        digest=row.digest,
        stage=row.stage,
        created_at=from_micros(row.created_at),
        created_by=row.created_by,
        note=row.note,
        manifest=msgspec.json.decode(row.manifest, type=Manifest),
        tags=tagged,
        updated_at=from_micros(row.updated_at),
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
