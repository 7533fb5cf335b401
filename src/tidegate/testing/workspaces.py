"""One home seen in four ways, so that a service's tests run locally, over the wire, over HTTP, and on PostgreSQL."""

import contextlib
from pathlib import Path
from typing import Literal

import msgspec

from tidegate.http.thread import serving
from tidegate.kernel.settings import Settings
from tidegate.testing.catalogs import place_catalog
from tidegate.workspace import Workspace, open_local, open_workspace

Way = Literal["local", "wire", "http"]


class Home:
    """A home for tests. ``way`` says how its rooms are reached; ``acting`` opens it as somebody else."""

    def __init__(
        self, folder: Path, way: Way, catalog: str = "", simulated_clock: bool | None = None, *, objects: str = ""
    ) -> None:
        self.settings = Settings(home=str(folder), catalog=catalog, objects=objects)
        self.way = way
        if not catalog:
            place_catalog(folder)
        self._exit = contextlib.ExitStack()
        self.inside = self._exit.enter_context(
            contextlib.closing(open_local(self.settings, simulated_clock=simulated_clock))
        )
        self._tokens: dict[str, str] = {}
        self._url = self._exit.enter_context(serving(self.inside)) if way == "http" else ""
        self.workspace = self.acting("local")

    def acting(self, actor: str) -> Workspace:
        """The same home as this person sees it. Over HTTP that takes a token, which is made on the way."""
        if self.way == "http":
            token = "" if actor == "local" else self._token(actor)
            return self._exit.enter_context(contextlib.closing(open_workspace(self._url, token=token)))
        if actor == "local":
            return self.inside.wire if self.way == "wire" else self.inside
        mine = open_local(msgspec.structs.replace(self.settings, actor=actor))
        self._exit.callback(mine.close)
        return mine.wire if self.way == "wire" else mine

    def _token(self, actor: str) -> str:
        if actor not in self._tokens:
            self._tokens[actor] = self.inside.people.new_token(actor).token
        return self._tokens[actor]

    def close(self) -> None:
        """Stop the server, close everything that was opened."""
        self._exit.close()
