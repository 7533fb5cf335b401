"""The protocol's artifact proxy: bytes of runs, of logged models and of versions, each by a path of its own.

A path names one of these and an artifact of it, and nothing else: there is no file behind it that ``..`` or a scheme
could lead to.
"""

from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from functools import partial
from typing import Any, Final, NamedTuple
from urllib.parse import quote, unquote

from anyio import to_thread

from tidegate.endpoints.body import Uploads
from tidegate.kernel.errors import Conflict, Invalid, NotFound
from tidegate.kernel.objects import ObjectPlane
from tidegate.models.drafts import Drafts
from tidegate.models.service import Models
from tidegate.runs.records import Artifact, Run
from tidegate.runs.rules import check_artifact_name
from tidegate.runs.service import Runs

PATH: Final = "EXPERIMENT_ID/RUN_ID/artifacts/NAME, EXPERIMENT_ID/models/m-ID/artifacts/NAME or models/NAME/NUMBER/NAME"

HEADERS: Final = {"x-content-type-options": "nosniff", "content-security-policy": "sandbox; default-src 'none'"}
"""What an artifact holds is somebody's: a browser must neither guess what it is nor run it."""


class Place(NamedTuple):
    """What holds artifacts, where, those that it has, and the path of one of them or of a folder; empty for all.

    ``add`` keeps some more, ``remove`` deletes those at a path; None where that cannot be.
    """

    holder: str
    at: str
    files: Sequence[Artifact]
    path: str
    add: Callable[[tuple[Artifact, ...]], object] | None = None
    remove: Callable[[str], object] | None = None

    def keep(self, *files: Artifact) -> None:
        """Keep some more; without any, whoever calls may. Raises `Conflict` where artifacts never change."""
        if self.add is None:
            raise Conflict(f"{self.holder} keeps the files that it has: log a new version", holder=self.holder)
        self.add(files)


class ArtifactCalls:
    """Keeps, hands out and lists artifacts. Every method but `keep` may read the catalog: call it in a thread."""

    def __init__(self, runs: Runs, models: Models, drafts: Drafts, objects: ObjectPlane) -> None:
        self._runs = runs
        self._models = models
        self._drafts = drafts
        self._objects = objects
        self._uploads = Uploads()

    def place(self, path: str) -> Place:
        """What a path of the proxy names. Raises `NotFound` where that is nothing, `Invalid` for no relative path."""
        if path.startswith("/"):
            raise Invalid(f"{path[:200]!r} is an absolute path: a path reads {PATH}", field="path")
        match path.rstrip("/").split("/"):
            case ["models", name, number, *rest] if number.isascii() and number.isdigit() and len(number) < 10:
                return self._of_version(name, int(number), _relative(rest))
            case [experiment, "models", model, "artifacts", *rest] if model.startswith("m-"):
                draft = self._drafts.get(model[2:])
                if draft.experiment_id == experiment:
                    at, add = f"{experiment}/models/{model}/artifacts", partial(self._add_to_draft, draft.id)
                    return Place(f"logged model {model}", at, draft.files, _relative(rest), add)
            case [experiment, run_id, "artifacts", *rest]:
                run = self._runs.get(run_id)
                if run.experiment_id == experiment:
                    return self._of_run(run, _relative(rest))
        raise NotFound(f"there are no artifacts at {path[:200]!r}: a path reads {PATH}")

    async def keep(self, place: Place, body: AsyncIterator[bytes], by: Callable[[Callable[[], Any]], Any]) -> None:
        """Keep the bytes of a body as an artifact; ``by`` runs a function as whoever asked."""
        if not place.path:
            raise NotFound(f"an artifact needs a name: {PATH}")
        await to_thread.run_sync(by, place.keep)  # may they, before a byte is kept
        info = await self._uploads.receive(body, self._objects.put)
        artifact = Artifact(place.path, info.digest, info.size)
        await to_thread.run_sync(by, lambda: place.keep(artifact))

    def read(self, place: Place) -> tuple[dict[str, str], Iterator[bytes]]:
        """The headers and the pieces of an artifact."""
        artifact = next((one for one in place.files if one.name == place.path), None)
        if artifact is None:
            raise NotFound(f"{place.holder} has no artifact {place.path[:200]!r}")
        name = quote(artifact.name.rpartition("/")[2])
        headers = {"content-length": str(artifact.bytes), "content-disposition": f"attachment; filename*=UTF-8''{name}"}
        return headers | HEADERS, self._objects.stream(artifact.digest)

    def delete(self, place: Place) -> None:
        """Delete an artifact, or all that lies in a folder."""
        if not place.path:
            raise NotFound(f"what is to be deleted needs a name: {PATH}")
        if place.remove is None:
            raise Conflict(f"{place.holder} keeps the files that it has, as long as it is there", holder=place.holder)
        place.remove(place.path)

    def list(self, place: Place) -> list[dict[str, Any]]:
        """Files and folders at a path, one level, each with its name there."""
        return [one | {"path": one["path"].rpartition("/")[2]} for one in listed_files(place.files, place.path)]

    def _add_to_run(self, run_id: str, files: tuple[Artifact, ...]) -> object:
        return self._runs.log(run_id, artifacts=files, late=True)

    def _add_to_draft(self, draft_id: str, files: tuple[Artifact, ...]) -> object:
        return self._drafts.log(draft_id, files=files)

    def _of_version(self, name: str, number: int, path: str) -> Place:
        """The files of a version, as the model's client wrote them."""
        version = self._models.get(name, number)
        files = [
            Artifact(file, digest, self._objects.stat(digest).size) for file, digest in version.manifest.files.items()
        ]
        return Place(f"version {version.reference}", f"models/{name}/{number}", files, path)

    def _of_run(self, run: Run, path: str) -> Place:
        at, add, remove = f"{run.experiment_id}/{run.id}/artifacts", self._add_to_run, self._remove_from_run
        return Place(f"run {run.id}", at, run.artifacts, path, partial(add, run.id), partial(remove, run.id))

    def _remove_from_run(self, run_id: str, path: str) -> object:
        return self._runs.delete_artifacts(run_id, name=path)


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
    return listed_files(run.artifacts, path)


def listed_files(files: Sequence[Artifact], path: str) -> list[dict[str, Any]]:
    """Files and folders at a path, one level, each with its whole path."""
    prefix = f"{path.strip('/')}/" if path.strip("/") else ""
    found: dict[str, dict[str, Any]] = {}
    for artifact in files:
        if artifact.name.startswith(prefix):
            first, _, rest = artifact.name[len(prefix) :].partition("/")
            size = {} if rest else {"file_size": artifact.bytes}
            found[prefix + first] = {"path": prefix + first, "is_dir": bool(rest), **size}
    return [found[name] for name in sorted(found)]


def _relative(parts: Sequence[str]) -> str:
    """The rest of a path. Raises `Invalid` unless it stays where it is."""
    path = "/".join(parts)
    if path:
        check_name(path)
    return path
