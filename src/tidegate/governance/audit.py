"""Reading the audit chain, and proving that nobody has changed it."""

from typing import Protocol

from tidegate.governance.records import AuditEntry, ChainReport
from tidegate.kernel.errors import Invalid
from tidegate.kernel.operation import Service, operation
from tidegate.kernel.pages import Page, decode_cursor, encode_cursor, page_size


class AuditSource(Protocol):
    """Where the chain is read."""

    def entries(self, filters: dict[str, str], before: int | None, limit: int) -> list[AuditEntry]:
        """Rows whose columns have these values, those before a position, newest first."""
        ...

    def verify(self) -> ChainReport:
        """Every hash recomputed from the beginning."""
        ...

    def holds(self, head: str) -> bool:
        """Whether a row of the chain has this hash."""
        ...


class AuditLog(Service):
    """Who did what: the audit chain, and the proof that nobody has changed it."""

    room = "audit"
    uses = ()

    def __init__(self, *, source: AuditSource) -> None:
        self._source = source

    @operation("GET /audit", role="auditor", audit="none")
    def list(
        self, *, actor: str = "", subject: str = "", operation: str = "", limit: int = 100, cursor: str = ""
    ) -> Page[AuditEntry]:
        """Rows of the chain, newest first; of one actor, subject or operation (`models.promote`) where given."""
        key = decode_cursor(cursor, (int,))
        asked = {"actor": actor, "subject": subject, "operation": operation}
        filters = {name: value for name, value in asked.items() if value}
        found = self._source.entries(filters, key[0] if key else None, page_size(limit) + 1)
        return Page(found[:limit], encode_cursor(found[limit - 1].position) if len(found) > limit else None)

    @operation("GET /audit/verification", role="auditor", audit="none")
    def verify(self, *, known_head: str = "") -> ChainReport:
        """Recompute every hash of the chain from the beginning.

        It finds rows that were changed, inserted, moved or removed. Who may write the whole catalog could write the
        chain anew: that is found with `known_head`, a head noted elsewhere after an earlier verification.
        """
        if known_head and len(known_head) != 64:
            raise Invalid(
                "known_head is a head that an earlier verification answered: 64 hex digits", field="known_head"
            )
        report = self._source.verify()
        if report.intact and known_head and not self._source.holds(known_head):
            return ChainReport(
                intact=False,
                rows=report.rows,
                head=report.head,
                message=f"every row holds, but none has the hash {known_head}: the chain was written anew",
            )
        return report
