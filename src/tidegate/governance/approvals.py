"""Four eyes: a person other than the author approves or rejects a version."""

from tidegate.kernel.operation import Service, operation
from tidegate.models import rules
from tidegate.models.records import APPROVAL, Attestation, ModelVersion, Verdict
from tidegate.models.service import Models


class Approvals(Service):
    """Four eyes: a person other than the author approves or rejects a version.

    Laws:

    1. **Author.** The author of a version (`created_by`) can never approve it, whatever roles they have.
    2. **Once.** A person counts once: their newest word replaces the earlier ones.
    3. **Block.** A rejection blocks, whoever else approves, until the same person withdraws it or approves.
    4. **Bytes.** A word binds to the digest of the version, so to its name, files, signature and training rows.
    """

    room = "approvals"
    uses = ("models",)
    _models: Models

    @operation("POST /approvals", role="approver", audit="change")
    def approve(self, reference: str | ModelVersion, *, reason: str) -> Attestation:
        """Approve a version, in your own name, with a reason. Its author never can."""
        return self._say(reference, "pass", reason)

    @operation("POST /approvals/rejections", role="approver", audit="change")
    def reject(self, reference: str | ModelVersion, *, reason: str) -> Attestation:
        """Reject a version: no approval helps it until you withdraw this or approve."""
        return self._say(reference, "fail", reason)

    @operation("POST /approvals/withdrawals", role="approver", audit="change")
    def withdraw(self, reference: str | ModelVersion, *, reason: str) -> Attestation:
        """Take back your approval or rejection of a version."""
        return self._say(reference, "withdrawn", reason)

    @operation("GET /approvals", role="viewer", audit="none")
    def standing(self, reference: str) -> tuple[Attestation, ...]:
        """What each person last said of a version and has not withdrawn, by person."""
        version = self._models.resolve(reference)
        cursor, found = "", []
        while True:
            page = self._models.attestations(version.name, version.number, limit=1000, cursor=cursor)
            found += page.items
            if page.next is None:
                break
            cursor = page.next
        return tuple(said for _, said in sorted(rules.standing_approvals(found).items()))

    def _say(self, reference: str | ModelVersion, verdict: Verdict, reason: str) -> Attestation:
        text = reference if isinstance(reference, str) else reference.reference
        version = self._models.resolve(text)
        return self._models.attest(version.name, version.number, kind=APPROVAL, verdict=verdict, reason=reason)
