"""Versions of models and the stage that each has reached: logging, loading, attesting, promoting."""

from collections.abc import Iterator, Mapping
from types import MappingProxyType
from typing import Any, Protocol

import msgspec

from tidegate.events.records import Facts
from tidegate.kernel.clock import BusinessClock
from tidegate.kernel.context import actor
from tidegate.kernel.errors import Conflict, Invalid, NotFound
from tidegate.kernel.ids import IdFactory, parse_id
from tidegate.kernel.names import check_name, parse_reference
from tidegate.kernel.objects import ObjectPlane
from tidegate.kernel.operation import Service, operation
from tidegate.kernel.pages import Page, decode_cursor, encode_cursor, page_size
from tidegate.lineage.records import Edge, Graph, Node
from tidegate.models import rules
from tidegate.models.loading import LoadedModel, load_model
from tidegate.models.logging import manifest_of
from tidegate.models.records import (
    APPROVAL,
    OVERRIDE,
    Alias,
    Attestation,
    Inputs,
    Manifest,
    ModelSummary,
    ModelVersion,
    Stage,
    StagePolicy,
    StageRules,
    Verdict,
)
from tidegate.models.signature import Policy


class ModelStore(Protocol):
    """Where versions, attestations, aliases and policies are kept.

    Laws:

    1. **Turns.** From `claim` to the end of the ambient transaction nobody else passes `claim`: what was read after
       it still holds at the commit.
    2. **Numbers.** Versions of a name are numbered 1, 2, 3, … in the order of their commits, without gaps.
    3. **Newest first.** Versions and attestations come in the reverse order of their commits.
    """

    def claim(self) -> None:
        """Wait for this transaction's turn."""
        ...

    def add(self, version: ModelVersion) -> None:
        """Add a version."""
        ...

    def latest(self, name: str) -> ModelVersion | None:
        """The version with the greatest number."""
        ...

    def numbered(self, name: str, number: int) -> ModelVersion | None:
        """The version of that number."""
        ...

    def aliased(self, name: str, alias: str) -> ModelVersion | None:
        """The version that the alias points at."""
        ...

    def with_digest(self, prefix: str, name: str | None = None) -> list[ModelVersion]:
        """At most two versions whose digest begins so."""
        ...

    def versions(self, name: str, before: int, limit: int) -> list[ModelVersion]:
        """Versions with a smaller number."""
        ...

    def summaries(self, after: str, limit: int) -> list[ModelSummary]:
        """Models by name, those after this one."""
        ...

    def move(self, version: ModelVersion, to: Stage) -> None:
        """Move a version to another stage."""
        ...

    def attest(self, attestation: Attestation) -> None:
        """Add an attestation."""
        ...

    def attestations(self, subject: str, before: str, limit: int) -> list[Attestation]:
        """Attestations of a digest with a smaller id (empty: all)."""
        ...

    def aliases(self, name: str) -> list[Alias]:
        """Every alias of a model, by alias."""
        ...

    def point(self, alias: Alias) -> None:
        """Set an alias, new or known."""
        ...

    def policy(self, name: str, stage: Stage) -> StageRules | None:
        """The policy that somebody set for a stage."""
        ...

    def keep_policy(self, kept: StageRules) -> None:
        """Set the policy of a stage."""
        ...


ALL = 100_000
"""More attestations than a version ever has: promotion reads them all."""


class Models(Service):
    """Versions of models, and the stage that each has reached."""

    room = "models"
    _objects: ObjectPlane

    def __init__(
        self,
        *,
        store: ModelStore,
        objects: ObjectPlane,
        clock: BusinessClock,
        ids: IdFactory,
        facts: Facts,
        graph: Graph,
    ) -> None:
        self._store = store
        self._objects = objects
        self._clock = clock
        self._ids = ids
        self._facts = facts
        self._graph = graph

    def log(
        self,
        name: str,
        model: object,
        *,
        inputs: Inputs,
        run: Any = None,
        note: str = "",
        unknown_category: Policy = "null",
        missing_feature: Policy = "null",
    ) -> ModelVersion:
        """Keep a fitted model as a version of this name.

        ``inputs`` are its training rows: they give the signature, the example, the rows on which ONNX is verified,
        and the lineage. ``run`` is the run that made it, or its id. The same files from the same rows and run give the
        version that exists. Raises `Refused` for a model that no format keeps safely.
        """
        check_name(name, "model")
        manifest = manifest_of(
            name,
            model,
            inputs=inputs,
            run_id=None if run is None else str(getattr(run, "id", run)),
            policies=(unknown_category, missing_feature),
            put=lambda content: self._objects.put(content).digest,
        )
        return self.register(name, manifest, note=note)

    def load(self, reference: str | ModelVersion) -> LoadedModel:
        """A version in memory, ready to predict. Raises `NotFound`, and `Unavailable` when its runtime is missing."""
        version = reference if isinstance(reference, ModelVersion) else self.resolve(reference)
        return load_model(version, self._objects.get)

    @operation("POST /models/{name}/versions", role="contributor", audit="change")
    def register(self, name: str, manifest: Manifest, *, note: str = "") -> ModelVersion:
        """Make a version of files that are kept already.

        The same manifest again answers the version that it made the first time.
        """
        check_name(name, "model")
        rules.check_manifest(name, manifest)
        if manifest.run_id is not None:
            parse_id(manifest.run_id, "run_id")
        digest = rules.digest_of(manifest)
        self._store.claim()
        known = self._store.with_digest(digest, name)
        if known:
            return known[0]
        absent = sorted(file for file, content in manifest.files.items() if not self._objects.exists(content))
        if absent:
            raise Invalid(f"the object of {', '.join(absent)} is not kept here: put it first", field="manifest.files")
        latest = self._store.latest(name)
        version = ModelVersion(
            name=name,
            number=1 if latest is None else latest.number + 1,
            digest=digest,
            stage=rules.FIRST_STAGE,
            created_at=self._clock.now(),
            created_by=actor(),
            note=note,
            manifest=manifest,
        )
        self._store.add(version)
        for edge in _origins(version):
            self._graph.add(edge)
        self._facts.append("tidegate.models.registered", version.reference, digest=digest, run=manifest.run_id)
        return version

    @operation("GET /models/versions", role="viewer", audit="none")
    def resolve(self, reference: str) -> ModelVersion:
        """The version that a reference means: `name` (the latest), `name/7`, `name@alias` or a digest's prefix."""
        asked = parse_reference(reference)
        if asked.number is not None:
            return self._numbered(asked.name, asked.number)
        if asked.alias is not None:
            aliased = self._store.aliased(asked.name, asked.alias)
            if aliased is None:
                raise NotFound(f"model {asked.name!r} has no alias {asked.alias!r}", reference=reference)
            return aliased
        found = self._store.latest(asked.name)
        if found is not None:
            return found
        matches = self._store.with_digest(asked.digest) if asked.digest is not None else []
        if len(matches) > 1:
            raise Invalid(
                f"more than one version's digest begins with {reference}: give more digits", field="reference"
            )
        if not matches:
            raise NotFound(f"there is no model {reference!r}; 'tidegate models list' shows those there are")
        return matches[0]

    @operation("GET /models/{name}/versions/{number}", role="viewer", audit="none")
    def get(self, name: str, number: int) -> ModelVersion:
        """One version."""
        return self._numbered(name, number)

    @operation("GET /models/{name}/versions", role="viewer", audit="none")
    def versions(self, name: str, *, limit: int = 100, cursor: str = "") -> Page[ModelVersion]:
        """The versions of a model, newest first."""
        key = decode_cursor(cursor, (int,))
        found = self._store.versions(name, key[0] if key else 2**31 - 1, page_size(limit) + 1)
        if not found and key is None:
            raise NotFound(f"there is no model {name!r}; 'tidegate models list' shows those there are")
        return Page(found[:limit], encode_cursor(found[limit - 1].number) if len(found) > limit else None)

    @operation("GET /models", role="viewer", audit="none")
    def list(self, *, limit: int = 100, cursor: str = "") -> Page[ModelSummary]:
        """Models, by name."""
        key = decode_cursor(cursor, (str,))
        found = self._store.summaries(key[0] if key else "", page_size(limit) + 1)
        return Page(found[:limit], encode_cursor(found[limit - 1].name) if len(found) > limit else None)

    @operation("POST /models/{name}/versions/{number}/stage", role="maintainer", audit="change")
    def promote(self, name: str, number: int, *, to: Stage) -> ModelVersion:
        """Move a version to another stage, if it has all that the stage's policy asks for.

        Raises `Refused` naming everything that is missing, each with its remedy, and `Conflict` when the version
        stands there already.
        """
        self._store.claim()
        version = self._numbered(name, number)
        rules.check_move(version, to)
        asked = self._policy(name, to)
        attested = self._store.attestations(version.digest, "", ALL)
        rules.refuse_missing(version, to, rules.missing_for(asked.policy, version, attested, to))
        self._store.move(version, to)
        self._facts.append(
            "tidegate.models.promoted",
            version.reference,
            before=version.stage,
            to=to,
            policy=asked.digest,
            approvers=rules.approvers(version, attested),
        )
        return msgspec.structs.replace(version, stage=to)

    @operation("POST /models/{name}/versions/{number}/attestations", role="approver", audit="change")
    def attest(
        self,
        name: str,
        number: int,
        *,
        kind: str,
        verdict: Verdict,
        policy_digest: str = "",
        reason: str = "",
        evidence: dict[str, str] = {},  # noqa: B006 - never changed; msgspec copies it
    ) -> Attestation:
        """Note what was found of a version: a gate's verdict, or an approval.

        The author of a version can never approve it. The newest verdict of a gate, and the newest word of a person,
        replace the earlier ones.
        """
        self._store.claim()
        version = self._numbered(name, number)
        by = actor()
        rules.check_attestation(version, kind, verdict, by)
        if kind == APPROVAL and not reason.strip():
            raise Invalid("say why: an approval, a rejection or a withdrawal needs a reason", field="reason")
        if verdict == "withdrawn":
            rules.check_withdrawal(
                version, rules.standing_approvals(self._store.attestations(version.digest, "", ALL)), by
            )
        return self._attest(version, kind, verdict, reason, policy_digest=policy_digest, evidence=evidence)

    @operation("POST /models/{name}/versions/{number}/overrides", role="admin", audit="change")
    def override(self, name: str, number: int, *, gate: str, reason: str) -> Attestation:
        """Let a version pass without a gate, in your own name, with a reason that stays beside it.

        The author of a version never can. Approvals are asked for all the same, and whoever asks `why` sees it.
        """
        self._store.claim()
        version = self._numbered(name, number)
        rules.check_override(version, gate, reason, actor())
        return self._attest(version, OVERRIDE + gate, "pass", reason)

    @operation("GET /models/{name}/versions/{number}/attestations", role="viewer", audit="none")
    def attestations(self, name: str, number: int, *, limit: int = 100, cursor: str = "") -> Page[Attestation]:
        """What was attested of a version, newest first."""
        key = decode_cursor(cursor, (str,))
        version = self._numbered(name, number)
        found = self._store.attestations(version.digest, key[0] if key else "", page_size(limit) + 1)
        return Page(found[:limit], encode_cursor(found[limit - 1].id) if len(found) > limit else None)

    @operation("PUT /models/{name}/aliases/{alias}", role="maintainer", audit="change")
    def set_alias(self, name: str, alias: str, *, number: int, expected: int | None = None) -> Alias:
        """Point an alias at a version.

        With ``expected``, only if it points at that version now (0: at none); otherwise `Conflict` is raised.
        """
        check_name(alias, "alias")
        self._store.claim()
        version = self._numbered(name, number)
        current = self._store.aliased(name, alias)
        stands = 0 if current is None else current.number
        if expected is not None and expected != stands:
            at = f"{name}/{stands}" if stands else "no version"
            raise Conflict(f"{name}@{alias} points at {at}, not at {expected}: nothing was changed", current=stands)
        pointed = Alias(name=name, alias=alias, number=number, moved_at=self._clock.now(), moved_by=actor())
        if stands != number:
            self._store.point(pointed)
            self._facts.append(
                "tidegate.models.aliased", version.reference, alias=alias, before=stands, digest=version.digest
            )
        return pointed

    @operation("GET /models/{name}/aliases", role="viewer", audit="none")
    def aliases(self, name: str) -> tuple[Alias, ...]:
        """The aliases of a model, by alias."""
        return tuple(self._store.aliases(name))

    @operation("GET /models/{name}/policies/{stage}", role="viewer", audit="none")
    def policy(self, name: str, stage: Stage) -> StageRules:
        """What a version must show before it may move to a stage."""
        return self._policy(name, stage)

    @operation("PUT /models/{name}/policies/{stage}", role="admin", audit="change")
    def set_policy(self, name: str, stage: Stage, *, policy: StagePolicy) -> StageRules:
        """Decide what a version must show before it may move to a stage; versions that stand there stay."""
        check_name(name, "model")
        rules.check_policy(policy)
        self._store.claim()
        kept = StageRules(
            name=name,
            stage=stage,
            policy=policy,
            digest=rules.digest_of(policy),
            set_by=actor(),
            set_at=self._clock.now(),
        )
        before = self._policy(name, stage).digest
        self._store.keep_policy(kept)
        self._facts.append("tidegate.models.policy_set", name, stage=stage, policy=kept.digest, before=before)
        return kept

    def _attest(
        self,
        version: ModelVersion,
        kind: str,
        verdict: Verdict,
        reason: str,
        *,
        policy_digest: str = "",
        evidence: Mapping[str, str] = MappingProxyType({}),
    ) -> Attestation:
        now = self._clock.now()
        attestation = Attestation(
            id=self._ids.new(now),
            subject=version.digest,
            kind=kind,
            verdict=verdict,
            policy_digest=policy_digest,
            by=actor(),
            at=now,
            reason=reason.strip(),
            evidence=dict(evidence),
        )
        self._store.attest(attestation)
        self._facts.append(
            "tidegate.models.attested", version.reference, attestation=attestation.id, kind=kind, verdict=verdict
        )
        return attestation

    def _numbered(self, name: str, number: int) -> ModelVersion:
        found = self._store.numbered(name, number)
        if found is None:
            raise NotFound(
                f"there is no version {name}/{number}; 'tidegate models versions {name}' shows those there are"
            )
        return found

    def _policy(self, name: str, stage: Stage) -> StageRules:
        kept = self._store.policy(name, stage)
        if kept is not None:
            return kept
        policy = rules.default_policy(stage)
        return StageRules(name=name, stage=stage, policy=policy, digest=rules.digest_of(policy))


def _origins(version: ModelVersion) -> Iterator[Edge]:
    """What went into a version: its rows' datasets, and its run."""
    node = Node("model", version.digest, version.reference)
    for origin in version.manifest.origins:
        yield Edge(Node("dataset", origin.digest, origin.label), node, "training")
    if version.run_id is not None:
        yield Edge(Node("run", version.run_id, version.run_id), node, "produced")
