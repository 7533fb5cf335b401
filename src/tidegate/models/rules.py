"""The rules of versions and stages, as pure functions: what a stage asks for, what is missing, who may attest what."""

from collections.abc import Iterable, Sequence
from typing import Final

import blake3
import msgspec

from tidegate.kernel.errors import Conflict, Invalid, Refused
from tidegate.kernel.names import check_name
from tidegate.kernel.objects import parse_digest
from tidegate.models.records import (
    APPROVAL,
    CHAMPION,
    OVERRIDE,
    PYFUNC,
    Attestation,
    Manifest,
    ModelVersion,
    Stage,
    StagePolicy,
    Verdict,
)
from tidegate.runs.rules import check_artifact_name

FIRST_STAGE: Final[Stage] = "development"

MOST_APPROVALS: Final = 20
MOST_NOTE: Final = 100_000
"""Characters of a note."""

_FREE = StagePolicy()
_GUARDED = StagePolicy(gates=("gate:quality",), approvals=1)


class Missing(msgspec.Struct, frozen=True):
    """Something that a stage asks for and a version does not have, and the way to get it."""

    what: str
    remedy: str


def digest_of(record: msgspec.Struct) -> str:
    """The BLAKE3 digest of a record's canonical JSON (keys sorted), as 64 hex digits."""
    return blake3.blake3(msgspec.json.encode(record, order="sorted")).hexdigest()


def default_policy(stage: Stage) -> StagePolicy:
    """What a stage asks for until somebody decides otherwise: only `production` is guarded."""
    return _GUARDED if stage == "production" else _FREE


def check_policy(policy: StagePolicy) -> None:
    """Raise `Invalid` naming what is wrong with a policy."""
    if not 0 <= policy.approvals <= MOST_APPROVALS:
        raise Invalid(f"approvals must be from 0 to {MOST_APPROVALS}, not {policy.approvals}", field="approvals")
    for kind in policy.gates:
        check_gate_kind(kind)
    for kind, digest in policy.pinned.items():
        if kind not in policy.gates:
            raise Invalid(f"pinned names {kind!r}, which is not among the gates: add it there", field="pinned")
        parse_digest(digest, f"pinned policy of {kind}")


def check_gate_kind(kind: str) -> None:
    """Raise `Invalid` unless the kind reads like ``gate:quality``."""
    prefix, _, name = kind.partition(":")
    if prefix != "gate" or not name:
        raise Invalid(f"{kind[:140]!r} is no gate: gates read like 'gate:quality'", field="gates")
    check_name(name, "gate")


def check_manifest(name: str, manifest: Manifest) -> None:
    """Raise `Invalid` naming what is wrong with a manifest that is to become a version of this name."""
    if manifest.name != name:
        raise Invalid(f"the manifest is of {manifest.name!r} and was sent to {name!r}", field="manifest.name")
    if not manifest.files:
        raise Invalid("a version needs at least one file", field="manifest.files")
    if bool(manifest.runtime) != (manifest.signature is not None):
        raise Invalid(
            "a runtime answers by a signature: give both, or, for files that no server may load, neither",
            field="manifest.runtime",
        )
    for file, digest in manifest.files.items():
        if manifest.runtime and manifest.runtime != PYFUNC:
            check_name(file, "file in the manifest")
        else:
            check_artifact_name(file)
        parse_digest(digest, f"file {file}")


def check_note(note: str) -> None:
    """Raise `Invalid` for a note that is too long."""
    if len(note) > MOST_NOTE:
        raise Invalid(f"the note has {len(note):,} characters, at most {MOST_NOTE:,} are kept", field="note")


def needs_of(version: ModelVersion, deployments: Sequence[str]) -> list[str]:
    """Why a version cannot go: that it is in production, and that endpoints answered with it."""
    needs = []
    if version.stage == "production":
        needs.append(f"{version.reference} is in production (move it to archived first)")
    if deployments:
        at = ", ".join(sorted(set(deployments)))
        needs.append(f"{version.reference} was deployed behind {at}, and its predictions lead back to it")
    return needs


def refuse_needed(what: str, needs: Sequence[str]) -> None:
    """Raise `Refused` where something needs what is to go."""
    if needs:
        raise Refused(f"{what}: {'; '.join(needs[:5])}{' and others' * (len(needs) > 5)}", needs=list(needs[:100]))


def refuse_unpointing(version: ModelVersion, alias: str, deployments: Sequence[str]) -> None:
    """Raise `Refused` where the alias is the champion's, and the version was deployed."""
    if alias == CHAMPION and deployments:
        raise Refused(
            f"{version.name}@{alias} says which version serves and others are measured against ({version.reference}, "
            f"behind {', '.join(sorted(set(deployments)))}): deploy another version, which moves it",
            version=version.reference,
        )


def check_attestation(version: ModelVersion, kind: str, verdict: Verdict, by: str) -> None:
    """Raise unless this person may attest this: the author of a version never approves it, whatever roles they have."""
    if kind != APPROVAL:
        check_gate_kind(kind)
        if verdict == "withdrawn":
            raise Invalid(
                f"only an approval or a rejection is withdrawn, not {kind}: run the gate again", field="verdict"
            )
        return
    if verdict == "not_enough_data":
        raise Invalid("a person approves ('pass') or rejects ('fail')", field="verdict")
    if verdict == "pass" and by == version.created_by:
        raise Refused(
            f"{by} logged {version.reference}, and the author of a version can never approve it: "
            "ask another person with the role approver",
            version=version.reference,
            author=version.created_by,
        )


def check_override(version: ModelVersion, gate: str, reason: str, by: str) -> None:
    """Raise unless this person may let this version pass without this gate: its author never may."""
    check_gate_kind(gate)
    if not reason.strip():
        raise Invalid("say why: an override needs a reason", field="reason")
    if by == version.created_by:
        raise Refused(
            f"{by} logged {version.reference}, and the author of a version can never override its gates: "
            "ask another person with the role admin",
            version=version.reference,
            author=version.created_by,
        )


def check_withdrawal(version: ModelVersion, standing: dict[str, Attestation], by: str) -> None:
    """Raise `Conflict` when this person has nothing that could be withdrawn."""
    if by not in standing:
        raise Conflict(f"{by} has neither approved nor rejected {version.reference}: there is nothing to withdraw")


def standing_approvals(attestations: Iterable[Attestation]) -> dict[str, Attestation]:
    """What each person last said of a version, by person; withdrawn words are left out.

    The newest word of a person replaces the earlier ones, so one person counts once. Attestations come newest first.
    """
    last: dict[str, Attestation] = {}
    for one in attestations:
        if one.kind == APPROVAL:
            last.setdefault(one.by, one)
    return {person: one for person, one in last.items() if one.verdict != "withdrawn"}


def approvers(version: ModelVersion, attestations: Iterable[Attestation]) -> list[str]:
    """The people other than the author whose approval stands, in order of name."""
    standing = standing_approvals(attestations)
    return sorted(person for person, one in standing.items() if one.verdict == "pass" and person != version.created_by)


def missing_for(
    policy: StagePolicy, version: ModelVersion, attestations: Sequence[Attestation], stage: Stage
) -> list[Missing]:
    """Everything that the version lacks for a stage; empty when it may move there. Attestations come newest first."""
    missing = [gap for kind in policy.gates if (gap := _gate_gap(kind, policy, version, attestations)) is not None]
    if not policy.approvals:
        return missing
    for person, one in sorted(standing_approvals(attestations).items()):
        if one.verdict == "fail":
            remedy = f"{person} withdraws it: tidegate approvals withdraw {version.reference}"
            missing.append(Missing(f"{person} rejected it ({one.reason})", remedy))
    have = approvers(version, attestations)
    if len(have) < policy.approvals:
        remedy = (
            f"a person with the role approver, other than the author {version.created_by}, approves: "
            f"tidegate approvals approve {version.reference} --reason TEXT"
        )
        missing.append(Missing(f"{stage} asks for {policy.approvals} approval(s), there are {len(have)}", remedy))
    return missing


def refuse_missing(version: ModelVersion, stage: Stage, missing: Sequence[Missing]) -> None:
    """Raise `Refused` naming everything that is missing, each with its remedy."""
    if not missing:
        return
    listed = "; ".join(f"({number}) {gap.what}. {gap.remedy}" for number, gap in enumerate(missing, 1))
    raise Refused(
        f"{version.reference} may not move to {stage}: {listed}",
        version=version.reference,
        stage=stage,
        missing=[msgspec.structs.asdict(gap) for gap in missing],
    )


def check_move(version: ModelVersion, to: Stage) -> None:
    """Raise `Conflict` when the version stands there already. Every other move is a matter of policy."""
    if version.stage == to:
        raise Conflict(f"{version.reference} is in {to} already: nothing was changed", version=version.reference)


def refuse_serving(version: ModelVersion) -> None:
    """Raise `Refused` unless the version's stage permits serving, which only `production` does."""
    if version.stage != "production":
        remedy = f"tidegate models promote {version.name} {version.number} --to production"
        raise Refused(
            f"{version.reference} is in {version.stage} and may not serve: promote it first, {remedy}",
            version=version.reference,
            stage=version.stage,
        )


def _gate_gap(
    kind: str, policy: StagePolicy, version: ModelVersion, attestations: Sequence[Attestation]
) -> Missing | None:
    if any(one.kind == OVERRIDE + kind for one in attestations):
        return None
    pinned = policy.pinned.get(kind)
    remedy = f"run the gate: workspace.gates.check('{version.reference}', on=rows)"
    counted = [one for one in attestations if one.kind == kind and pinned in (None, one.policy_digest)]
    if counted:
        if counted[0].verdict == "pass":
            return None
        found = counted[0].verdict.replace("_", " ")
        return Missing(f"{kind} says {found} ({counted[0].reason})", f"{remedy} on more rows, or log a better version")
    if pinned is not None:
        return Missing(f"{kind} was not run under the policy {pinned[:12]} that the stage pins", remedy)
    return Missing(f"{kind} was not run", remedy)
