"""Who lets the code of a directory run: a decision on one digest, which can be taken back."""

from tidegate.kernel.errors import Conflict, Invalid, Refused
from tidegate.kernel.operation import operation
from tidegate.models.evidence import ALL, Evidence
from tidegate.models.records import PYFUNC, TRUST, Attestation, ModelVersion, Verdict
from tidegate.models.rules import digest_of


class Trust(Evidence):
    """The operations on trust in directories that run what their author wrote.

    Laws:

    1. **Asked for.** Without a trust that stands, nothing of such a version is written to a disk, imported or run.
    2. **Bytes.** It binds to the digest of the version, so to its name, its files and its signature.
    3. **Taken back.** Whoever withdraws it stops what is running, within seconds, in every process.
    """

    room = "models"

    @operation("POST /models/{name}/versions/{number}/trust", role="admin", audit="change")
    def trust(self, name: str, number: int, *, reason: str) -> Attestation:
        """Let the code of an MLflow directory run, in a process of its own, in your own name, with a reason.

        It runs as the person who runs Tidegate: what they may read, it may read. Another version needs another word.
        """
        return self._word(name, number, "pass", reason)

    @operation("POST /models/{name}/versions/{number}/trust/withdrawal", role="maintainer", audit="change")
    def distrust(self, name: str, number: int, *, reason: str) -> Attestation:
        """Take back the trust in a version, whoever gave it: what runs of it is ended."""
        return self._word(name, number, "withdrawn", reason)

    @operation("GET /models/{name}/versions/{number}/trust", role="viewer", audit="none")
    def trusted(self, name: str, number: int) -> Attestation:
        """The trust that stands in a version. Raises `Refused` where there is none."""
        version = self._numbered(name, number)
        standing = self._trust_in(version)
        if standing is None:
            raise Refused(
                f"nobody lets {version.reference} run: its files may do whatever their author wrote; a person with the "
                f"role admin who has read them says 'tidegate models trust {name} {number} --reason TEXT'",
                version=version.reference,
                digest=version.digest,
            )
        return standing

    def require_trust(self, version: ModelVersion) -> None:
        """Raise `Refused` unless exactly this version is trusted, and is what it says that it is."""
        found = self.trusted(version.name, version.number)
        if found.subject != version.digest or digest_of(version.manifest) != version.digest:
            raise Refused(f"{version.reference} is another version than the one that is trusted: resolve it anew")

    def _word(self, name: str, number: int, verdict: Verdict, reason: str) -> Attestation:
        self._store.claim()
        version = self._numbered(name, number)
        if version.runtime != PYFUNC:
            raise Invalid(
                f"{version.reference} runs no code of its own, so nobody need trust it"
                if version.runtime
                else f"{version.reference} has no signature{version.unsigned}, so no process answers for it: make a "
                f"version with one, drafts.adopt({name!r}, version={version.reference!r}, signature=…)",
                version=version.reference,
            )
        if not reason.strip():
            raise Invalid("say why: a trust, or its withdrawal, needs a reason", field="reason")
        if verdict == "withdrawn" and self._trust_in(version) is None:
            raise Conflict(f"nobody trusts {version.reference}: there is nothing to withdraw")
        return self._attest(version, TRUST, verdict, reason)

    def _trust_in(self, version: ModelVersion) -> Attestation | None:
        words = (one for one in self._store.attestations(version.digest, "", ALL) if one.kind == TRUST)
        newest = next(words, None)
        return newest if newest is not None and newest.verdict == "pass" else None
