"""A home behind a real server, with one endpoint in it, and everything that it keeps laid open for comparison."""

import hashlib
import http.client
import json
from pathlib import Path
from typing import Any, NamedTuple

from tests.contract.models.kept_models import kept
from tidegate.models.records import StagePolicy
from tidegate.storage.schema import metadata
from tidegate.workspace import LocalWorkspace, Workspace

ENDPOINT = "late"
JSON = {"content-type": "application/json"}
EVERY_ROW = " UNION ALL ".join(f'SELECT \'{name}\', "{name}"::text FROM "{name}"' for name in metadata.tables)


class Reply(NamedTuple):
    """What a server answered; names of headers are in lower case."""

    status: int
    headers: dict[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.body)


class ServedHome:
    """The inside of a home and the address of the server over it."""

    def __init__(self, workspace: LocalWorkspace, url: str) -> None:
        self.inside = workspace
        self.url = url
        self.port = int(url.rpartition(":")[2])
        self._folder = Path(workspace.settings.home)

    def ask(self, method: str, path: str, body: bytes | None = None, headers: dict[str, str] | None = None) -> Reply:
        """One request on a connection of its own; a body is JSON unless the headers say otherwise."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=30)
        given = headers if headers is not None else (JSON if body is not None else {})
        try:
            connection.request(method, path, body, given)
            response = connection.getresponse()
            return Reply(response.status, {k.lower(): v for k, v in response.getheaders()}, response.read())
        finally:
            connection.close()

    def post(self, path: str, value: object) -> Reply:
        """POST a value as JSON."""
        return self.ask("POST", path, json.dumps(value).encode())

    def kept(self) -> dict[str, str]:
        """A digest of every table of the catalog, of every file of the journal, and the names of all objects."""
        rows = self._rows()
        found = {
            f"table {name}": hashlib.sha256(repr(sorted(all_)).encode()).hexdigest() for name, all_ in rows.items()
        }
        for path in sorted((self._folder / "journal").rglob("*")):
            if path.is_file():
                found[f"journal {path.name}"] = hashlib.sha256(path.read_bytes()).hexdigest()
        found["objects"] = " ".join(sorted(self.inside.storage.objects.list()))
        return found

    def _rows(self) -> dict[str, list[str]]:
        """Every row of every table, as a text. From a server all tables come with one question."""
        rows: dict[str, list[str]] = {name: [] for name in metadata.tables}
        with self.inside.storage.catalog.connect() as reader:
            cursor = reader.connection.cursor()
            if reader.dialect.name == "postgresql":
                cursor.execute(EVERY_ROW)
                for name, row in cursor.fetchall():
                    rows[name].append(row)
            else:
                for name, found in rows.items():
                    cursor.execute(f'SELECT * FROM "{name}"')
                    found += map(repr, cursor.fetchall())
            cursor.close()
        return rows

    def leftovers(self) -> list[str]:
        """Files below the objects that are no objects: what an upload that broke off would leave."""
        known = set(self.inside.storage.objects.list())
        files = [path for path in (self._folder / "objects").rglob("*") if path.is_file()]
        return [str(path) for path in files if path.name not in known]


def log_version(workspace: Workspace, name: str, recipe: str = "linear, no nulls") -> str:
    """The reference of a version of this name, made of a model of `fitted_models`, in stage production."""
    version = kept(recipe).log(name, workspace.models, workspace.objects)
    workspace.models.set_policy(name, "production", policy=StagePolicy())
    return workspace.models.promote(name, version.number, to="production").reference
