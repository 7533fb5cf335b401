"""MLflow's protocol byte by byte, to a server of its own on each database."""

import json
from collections.abc import Iterator
from contextlib import closing
from http.client import HTTPConnection
from typing import Any
from urllib.parse import urlsplit

import pytest

from tests.postgres import catalog_on
from tidegate.http.thread import serving
from tidegate.kernel.settings import Settings
from tidegate.workspace import open_local

Answer = tuple[int, Any]


class Client:
    """Speaks the protocol."""

    def __init__(self, url: str) -> None:
        self._host = urlsplit(url).netloc

    def raw(self, method: str, path: str, body: bytes = b"", **headers: str) -> tuple[int, dict[str, str], bytes]:
        """A request as it is."""
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        with closing(HTTPConnection(self._host, timeout=30)) as connection:
            connection.request(method, path, body or None, named)
            response = connection.getresponse()
            return response.status, {name.lower(): value for name, value in response.getheaders()}, response.read()

    def post(self, path: str, body: object, root: str = "/api/2.0/mlflow/") -> Answer:
        """A call with a body."""
        status, _, raw = self.raw("POST", root + path, json.dumps(body).encode(), content_type="application/json")
        return status, json.loads(raw)

    def get(self, path: str, root: str = "/api/2.0/mlflow/") -> Answer:
        """A call with a query."""
        status, _, raw = self.raw("GET", root + path)
        return status, json.loads(raw)

    def call(self, method: str, path: str, body: object, root: str = "/api/2.0/mlflow/") -> Answer:
        """A call with a body, by any method."""
        status, _, raw = self.raw(method, root + path, json.dumps(body).encode(), content_type="application/json")
        return status, json.loads(raw)

    def run(self, **given: object) -> str:
        """A new run of the default experiment."""
        status, answer = self.post("runs/create", {"experiment_id": "0", **given})
        assert status == 200, answer
        return str(answer["run"]["info"]["run_id"])


@pytest.fixture(scope="module", params=["sqlite", "postgres"])
def client(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Client]:
    """A client of a server of its own."""
    catalog = catalog_on(request.param, request)
    folder = tmp_path_factory.mktemp("home")
    with open_local(Settings(home=str(folder / "home"), catalog=catalog)) as workspace, serving(workspace) as url:
        yield Client(url)
