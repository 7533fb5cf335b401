"""The hash chain over sealed segments: how a link is computed, and how all of them are verified."""

from datetime import datetime

import blake3
import msgspec

from tidegate.kernel.clock import to_micros
from tidegate.kernel.errors import TidegateError
from tidegate.kernel.objects import ObjectPlane
from tidegate.storage.journal.index import SegmentIndex
from tidegate.storage.journal.records import GENESIS, ChainHead, SealedPart, SealedSegment

_PAGE = 500


class ChainFault(msgspec.Struct, frozen=True):
    """A link that does not hold."""

    sequence: int
    reason: str


class ChainReport(msgspec.Struct, frozen=True, kw_only=True):
    """What a verification found."""

    links: int
    head: ChainHead
    """The last link as computed from the rows."""
    faults: tuple[ChainFault, ...]

    @property
    def sound(self) -> bool:
        """Whether nothing was changed."""
        return not self.faults


def link_hash(previous_hash: str, sequence: int, part: SealedPart) -> str:
    """The hash of a link: BLAKE3 of its predecessor's hash and its own canonical form."""
    meta = {name: _plain(getattr(part, name)) for name in SealedPart.__struct_fields__}
    canonical = msgspec.json.encode({**meta, "sequence": sequence}, order="deterministic")
    return blake3.blake3(previous_hash.encode() + canonical).hexdigest()


def verify(index: SegmentIndex, objects: ObjectPlane | None = None, *, head: ChainHead | None = None) -> ChainReport:
    """Compute every link anew; with `objects`, read every object too. Damage is reported, never raised.

    Give a `head` noted earlier, elsewhere, to learn also whether the chain up to there was rewritten as a whole.
    """
    faults: list[ChainFault] = []
    noted = [index.head()] if head is None else [index.head(), head]
    computed = ChainHead(0, GENESIS)
    links = 0
    while page := index.list(after=computed.sequence, limit=_PAGE):
        for row in page:
            faults += _faults_of(row, computed, objects)
            if any(row.sequence == link.sequence and row.hash != link.hash for link in noted):
                faults.append(ChainFault(row.sequence, "is not the link that was noted as the head"))
            computed = ChainHead(row.sequence, row.hash)
            links += 1
    missing = max(link.sequence for link in noted)
    if missing > computed.sequence:
        faults.append(ChainFault(missing, f"the chain ends at {computed.sequence}, but once went on to here"))
    if computed.sequence > index.head().sequence:
        faults.append(ChainFault(computed.sequence, "stands behind the head of the chain: it was never sealed"))
    return ChainReport(links=links, head=computed, faults=tuple(faults))


def _faults_of(row: SealedSegment, before: ChainHead, objects: ObjectPlane | None) -> list[ChainFault]:
    reasons: list[str] = []
    if row.sequence != before.sequence + 1:
        reasons.append(f"follows {before.sequence}: rows in between are missing")
    if row.previous_hash != before.hash:
        reasons.append("does not name its predecessor's hash")
    if row.hash != link_hash(row.previous_hash, row.sequence, row):
        reasons.append("was changed: its hash does not match its content")
    if objects is not None:
        try:
            if len(objects.get(row.digest)) != row.size:
                reasons.append(f"object {row.digest} has another size")
        except TidegateError as error:
            reasons.append(error.message)
    return [ChainFault(row.sequence, reason) for reason in reasons]


def _plain(value: object) -> object:
    return to_micros(value) if isinstance(value, datetime) else value
