"""The protocol's artifact proxy: bytes of runs, by ``EXPERIMENT/RUN/artifacts/NAME``.

A path names a run of ours and an artifact of it, and nothing else: there is no file behind it that ``..`` or a scheme
could lead to.
"""

from collections.abc import AsyncIterator, Callable, Iterator
from typing import Any, Final, NamedTuple
from urllib.parse import quote, unquote

from anyio import to_thread

from tidegate.endpoints.body import Uploads
from tidegate.kernel.errors import Invalid, NotFound
from tidegate.kernel.objects import ObjectPlane
from tidegate.runs.records import Artifact, Run
from tidegate.runs.rules import check_artifact_name
from tidegate.runs.service import Runs

PATH: Final = "EXPERIMENT_ID/RUN_ID/artifacts/NAME"

HEADERS: Final = {"x-content-type-options": "nosniff", "content-security-policy": "sandbox; default-src 'none'"}
"""What an artifact holds is somebody's: a browser must neither guess what it is nor run it."""


class Place(NamedTuple):
    """A run, and the path of an artifact or of a folder in it; empty for all of them."""

    run: Run
    path: str


class ArtifactCalls:
    """Keeps, hands out and lists artifacts. Every method but `keep` may read the catalog: call it in a thread."""

    def __init__(self, runs: Runs, objects: ObjectPlane) -> None:
        self._runs = runs
        self._objects = objects
        self._uploads = Uploads()

    def place(self, path: str) -> Place:
        """What a path of the proxy names. Raises `NotFound` where that is no run, `Invalid` for no relative path."""
        if path.startswith("/"):
            raise Invalid(f"{path[:200]!r} is an absolute path: a path reads {PATH}", field="path")
        experiment, _, rest = path.rstrip("/").partition("/")
        run_id, _, rest = rest.partition("/")
        folder, _, name = rest.partition("/")
        if name:
            check_name(name)
        run = self._runs.get(run_id) if run_id else None
        if run is None or run.experiment_id != experiment or folder != "artifacts":
            raise NotFound(f"there are no artifacts at {path[:200]!r}: a path reads {PATH}")
        return Place(run, name)

    async def keep(self, place: Place, body: AsyncIterator[bytes], by: Callable[[Callable[[], Any]], Any]) -> None:
        """Keep the bytes of a body as an artifact; ``by`` runs a function as whoever asked."""
        if not place.path:
            raise NotFound(f"an artifact needs a name: {PATH}")
        await to_thread.run_sync(by, lambda: self._runs.log(place.run.id, late=True))  # may they, before a byte is kept
        info = await self._uploads.receive(body, self._objects.put)
        artifact = Artifact(place.path, info.digest, info.size)
        await to_thread.run_sync(by, lambda: self._runs.log(place.run.id, artifacts=(artifact,), late=True))

    def read(self, place: Place) -> tuple[dict[str, str], Iterator[bytes]]:
        """The headers and the pieces of an artifact."""
        artifact = next((one for one in place.run.artifacts if one.name == place.path), None)
        if artifact is None:
            raise NotFound(f"run {place.run.id} has no artifact {place.path[:200]!r}")
        name = quote(artifact.name.rpartition("/")[2])
        headers = {"content-length": str(artifact.bytes), "content-disposition": f"attachment; filename*=UTF-8''{name}"}
        return headers | HEADERS, self._objects.stream(artifact.digest)

    def delete(self, place: Place) -> None:
        """Delete an artifact, or all that lies in a folder."""
        if not place.path:
            raise NotFound(f"what is to be deleted needs a name: {PATH}")
        self._runs.delete_artifacts(place.run.id, name=place.path)

    def list(self, place: Place) -> list[dict[str, Any]]:
        """Files and folders at a path, one level, each with its name there."""
        return [one | {"path": one["path"].rpartition("/")[2]} for one in listed(place.run, place.path)]


def check_name(name: str) -> None:
    """Raises `Invalid` for a name that is no relative path, also once somebody decodes it again."""
    check_artifact_name(name)
    if "\ufffd" in name:
        raise Invalid(f"artifact {name!r}: a name is UTF-8", field="name")
    while (plain := unquote(name)) != name:
        check_artifact_name(plain)
        name = plain


def listed(run: Run, path: str) -> list[dict[str, Any]]:
    """Files and folders at a path of a run's artifacts, one level, each with its whole path."""
    prefix = f"{path.strip('/')}/" if path.strip("/") else ""
    found: dict[str, dict[str, Any]] = {}
    for artifact in run.artifacts:
        if artifact.name.startswith(prefix):
            first, _, rest = artifact.name[len(prefix) :].partition("/")
            size = {} if rest else {"file_size": artifact.bytes}
            found[prefix + first] = {"path": prefix + first, "is_dir": bool(rest), **size}
    return [found[name] for name in sorted(found)]
