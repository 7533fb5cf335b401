"""Runs that were made elsewhere: their journals, taken in entry by entry, any number of times with one result."""

from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar, Protocol

from tidegate.kernel.errors import Conflict, Invalid
from tidegate.kernel.ids import parse_id
from tidegate.kernel.objects import ObjectPlane
from tidegate.kernel.operation import Service, operation
from tidegate.runs.offline.entries import Appended, Entry, gathered

if TYPE_CHECKING:
    from tidegate.runs.offline.entries import UploadedRun


class UploadStore(Protocol):
    """How much of each journal the home has."""

    def held(self, run_id: str) -> int:
        """How many entries of a run's journal are written, and stays so until the transaction ends; 0 at first."""
        ...

    def advance(self, run_id: str, entries: int) -> None:
        """Note that so many are written."""
        ...


class RunUploads(Service):
    """How a run that was made elsewhere comes here.

    Laws:

    1. **One result.** Sent whole, in pieces, again, or by several at once, each entry is written once, in its order.
    2. **Resumed.** Whatever was cut off goes on at the first entry that the home does not have.
    3. **Never before its time.** An entry is written only after all those before it.
    """

    room: ClassVar[str] = "runs"
    _uploads: UploadStore
    _objects: ObjectPlane

    @operation("POST /runs/{run_id}/entries", role="contributor", audit="change")
    def append(self, run_id: str, *, first: int = 0, entries: tuple[Entry, ...] = ()) -> Appended:
        """Write entries of an offline run's journal, of which ``first`` is the number of the first.

        Those that the home has are passed over. The answer says how many it has now, and so which is the next.
        Raises `Conflict` when entries are missing before these, and for what `log` refuses, `NotFound` when the run was
        purged.
        """
        parse_id(run_id, "run")
        known = self._uploads.held(run_id)
        if not 0 <= first <= known:
            raise Conflict(f"run {run_id} has {known} entries: send those from number {known} on", next=known)
        new = entries[known - first :]
        for number, entry in enumerate(new, known):
            if (number == 0) != (entry.begun is not None):
                raise Invalid(
                    f"entry {number} of run {run_id}: the first entry says how the run began, and no other does",
                    field="entries",
                )
        self._take_in(run_id, gathered(new), begun=known > 0)
        have = max(known, first + len(entries))
        self._uploads.advance(run_id, have)
        return Appended(run_id, have, have - known)

    def upload(self, folder: str | Path = "") -> "list[UploadedRun]":
        """Bring the offline runs of a folder here (``tidegate-offline`` unless it is named), with their objects.

        What is here already is not sent again; a run that still goes on is brought as far as it is. A run that the
        home refuses does not hinder the others: its reason is in its ``error``. Raises `NotFound` where the folder
        has no journal, `Unavailable` when the home does not answer; then call again to go on.
        """
        from tidegate.runs.offline.journal import FOLDER
        from tidegate.runs.offline.uploading import upload

        return upload(Path(folder or FOLDER), self.append, self._objects)

    def _take_in(self, run_id: str, entries: Iterable[Entry], *, begun: bool) -> None:
        """Write entries, inside the ambient transaction. Raises `NotFound` for a run that begun, and was purged."""
        raise NotImplementedError
