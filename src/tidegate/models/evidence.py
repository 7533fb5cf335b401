"""What was found of versions, and what stages ask for: attestations, overrides, policies."""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Final

from tidegate.kernel.context import actor
from tidegate.kernel.errors import Invalid
from tidegate.kernel.names import check_model_name
from tidegate.kernel.operation import operation
from tidegate.kernel.pages import Page, decode_cursor, encode_cursor, page_size
from tidegate.models import rules
from tidegate.models.records import (
    APPROVAL,
    OVERRIDE,
    Attestation,
    ModelVersion,
    Stage,
    StagePolicy,
    StageRules,
    Verdict,
)
from tidegate.models.room import ModelRoom

ALL: Final = 100_000
"""More attestations than a version ever has: promotion reads them all."""


class Evidence(ModelRoom):
    """The operations on what was attested of versions, and on the policies that read it."""

    room = "models"

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

    @operation("GET /models/{name}/policies/{stage}", role="viewer", audit="none")
    def policy(self, name: str, stage: Stage) -> StageRules:
        """What a version must show before it may move to a stage."""
        return self._policy(name, stage)

    @operation("PUT /models/{name}/policies/{stage}", role="admin", audit="change")
    def set_policy(self, name: str, stage: Stage, *, policy: StagePolicy) -> StageRules:
        """Decide what a version must show before it may move to a stage; versions that stand there stay."""
        check_model_name(name)
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

    def _policy(self, name: str, stage: Stage) -> StageRules:
        kept = self._store.policy(name, stage)
        if kept is not None:
            return kept
        policy = rules.default_policy(stage)
        return StageRules(name=name, stage=stage, policy=policy, digest=rules.digest_of(policy))
