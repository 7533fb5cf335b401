"""Artifacts in parts: each part is an object of its own, and what the client brings back of it is its digest.

So nothing has to be remembered between the calls: whichever process answers the last one puts the parts together, and
parts that nobody comes back for are collected like every object that nothing refers to.
"""

import hashlib
import itertools
from collections.abc import AsyncIterator, Callable
from typing import Any, Final
from urllib.parse import quote

from anyio import to_thread

from tidegate.compat.mlflow import records
from tidegate.compat.mlflow.artifacts import Place, check_name
from tidegate.endpoints.body import Uploads
from tidegate.kernel.errors import Invalid
from tidegate.kernel.objects import ObjectPlane, parse_digest
from tidegate.runs.records import Artifact

MULTIPART: Final = "mlflow-artifacts/mpu"
MOST_PARTS: Final = 10_000


class PartCalls:
    """Answers the calls under ``mlflow-artifacts/mpu``, whose paths name the folder that the file goes to."""

    def __init__(self, objects: ObjectPlane) -> None:
        self._objects = objects
        self._uploads = Uploads()

    def create(self, place: Place, asked: records.CreateParts, root: str, authorization: str) -> dict[str, Any]:
        """Where to put the parts. A part is put by whoever asked, so the client gets its own credentials back."""
        if not 1 <= asked.num_parts <= MOST_PARTS:
            raise Invalid(f"num_parts {asked.num_parts} is outside 1 to {MOST_PARTS:,}", field="num_parts")
        name = file_in(place, asked.path)
        place.keep()  # may they, before a byte is sent
        at = f"{root}/{MULTIPART}/part/{place.at}/{quote(name)}"
        headers = {"Authorization": authorization} if authorization else {}
        credentials = [
            {"url": f"{at}?part={number}", "part_number": number, "headers": headers}
            for number in range(1, asked.num_parts + 1)
        ]
        return {"upload_id": upload_of(place, name), "credentials": credentials}

    async def keep(self, place: Place, body: AsyncIterator[bytes], by: Callable[[Callable[[], Any]], Any]) -> str:
        """Keep a part; its digest. ``by`` runs a function as whoever asked."""
        await to_thread.run_sync(by, place.keep)
        return str((await self._uploads.receive(body, self._objects.put)).digest)

    def complete(self, place: Place, asked: records.CompleteParts) -> dict[str, Any]:
        """Put the parts together as an artifact."""
        name = file_in(place, asked.path)
        check_upload(place, name, asked.upload_id)
        parts = sorted(asked.parts, key=lambda part: part.part_number)
        if [part.part_number for part in parts] != list(range(1, len(parts) + 1)) or not 1 <= len(parts) <= MOST_PARTS:
            raise Invalid(f"parts are numbered from 1, each once, {MOST_PARTS:,} at most", field="parts")
        digests = [parse_digest(part.etag.strip('"'), f"etag of part {part.part_number}") for part in parts]
        place.keep()
        if len(digests) == 1:
            info = self._objects.stat(digests[0])
        else:
            info = self._objects.put(itertools.chain.from_iterable(map(self._objects.stream, digests)))
        place.keep(Artifact(name, info.digest, info.size))
        return {}

    def abort(self, place: Place, asked: records.AbortParts) -> dict[str, Any]:
        """Nothing refers to the parts."""
        check_upload(place, file_in(place, asked.path), asked.upload_id)
        place.keep()
        return {}


def file_in(place: Place, path: str) -> str:
    """The artifact's name: the folder of a place, and the last part of the path that the file has with the client."""
    last = path.replace("\\", "/").rpartition("/")[2]
    name = f"{place.path}/{last}" if place.path else last
    check_name(name)
    return name


def upload_of(place: Place, name: str) -> str:
    """What names an upload of this artifact."""
    return hashlib.blake2s(f"{place.at}/{name}".encode(), digest_size=16).hexdigest()


def check_upload(place: Place, name: str, upload_id: str) -> None:
    """Raises `Invalid` for an upload of something else."""
    if upload_id != upload_of(place, name):
        raise Invalid(
            f"upload_id {upload_id[:80]!r} is not one of an upload of {name!r} to this run", field="upload_id"
        )
