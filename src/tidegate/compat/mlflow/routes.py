"""The protocol's paths at the server's root: ``/api`` and ``/ajax-api``, versions 2.0 and 3.0."""

import asyncio
import re
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from functools import cache
from typing import TYPE_CHECKING, Any, Final, NamedTuple, TypeVar, get_origin, get_type_hints

import msgspec
from anyio import to_thread
from starlette.requests import Request
from starlette.responses import Response, StreamingResponse

from tidegate.compat.mlflow import records
from tidegate.compat.mlflow.artifacts import ArtifactCalls
from tidegate.compat.mlflow.errors import NoSuchEndpoint, NotOffered, told
from tidegate.compat.mlflow.experiments import ExperimentCalls
from tidegate.compat.mlflow.model_routes import model_routes, templated
from tidegate.compat.mlflow.multipart import MULTIPART, PartCalls
from tidegate.compat.mlflow.rules import said
from tidegate.compat.mlflow.runs import RunCalls
from tidegate.endpoints.asgi import named, text_headers
from tidegate.endpoints.body import AsgiApp, Receive, Scope, Send, check_json, is_small, read_body
from tidegate.kernel import wire
from tidegate.kernel.context import Call, current
from tidegate.kernel.errors import NotFound
from tidegate.kernel.identity import Authenticator

if TYPE_CHECKING:
    from tidegate.workspace import LocalWorkspace

T = TypeVar("T")
S = TypeVar("S", bound=msgspec.Struct)

PROXY: Final = "mlflow-artifacts/artifacts"
PRESIGNED: Final = "mlflow-artifacts/presigned"
JSON: Final = "application/json"

THREADS: Final = 40
"""Calls that may run at once; further ones wait for a thread."""

BRIEF: Final = frozenset(f"mlflow/runs/{name}" for name in ("log-metric", "log-parameter", "set-tag"))
"""Calls that write a row or two and do little else: the way to a thread and back is a third of what they cost."""

MOST_BRIEF_BYTES: Final = 8 << 10
"""Of the body of such a call, where it is to run on the event loop."""

_ROOT: Final = re.compile(r"/(?:ajax-)?api/[23]\.0/")


class _Known(NamedTuple):
    """A path that is answered: by whom, and what it reads."""

    answer: Callable[[Any], dict[str, Any]]
    request: type[msgspec.Struct]


class _Nothing(msgspec.Struct, frozen=True):
    """A request without fields."""


class MlflowRest:
    """Answers the protocol's requests, and hands everything else on.

    A raw ASGI callable: what a framework does around a request costs a good part of what it takes to keep a metric.
    Every error, whatever it is, reads ``{"error_code": …, "message": …}``; whatever is not answered is
    ``ENDPOINT_NOT_FOUND``. Roles are those of the operations behind a call.
    """

    def __init__(self, workspace: "LocalWorkspace", authenticator: Authenticator, next_app: AsgiApp) -> None:
        self._next = next_app
        self._threads = ThreadPoolExecutor(THREADS, thread_name_prefix="mlflow-call")
        self._authenticator = authenticator
        self._body_bytes = workspace.settings.body_megabytes << 20
        self._artifacts = ArtifactCalls(workspace.runs, workspace.models, workspace.drafts, workspace.objects)
        self._parts = PartCalls(workspace.objects)
        self._known = _known(workspace)
        self._catalog = workspace.storage.catalog

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """One ASGI connection."""
        root = _ROOT.match(scope["path"]) if scope["type"] == "http" else None
        if root is None:
            await self._next(scope, receive, send)
            return
        request = Request(scope, receive)
        try:
            response = await self._answer(request, scope["path"][root.end() :])
        except Exception as error:  # noqa: BLE001 - the edge: whatever fails is answered in one form
            status, body = told(named(error, f"{request.method} {request.url.path[:200]}"))
            response = Response(body, status, media_type=JSON)
        await response(scope, receive, send)

    async def _answer(self, request: Request, path: str) -> Response:
        if path == PROXY or path.startswith(PROXY + "/"):
            call = await to_thread.run_sync(self._authenticator.identify, request.headers)
            return await self._artifact(request, call, path[len(PROXY) + 1 :])
        if path.startswith(MULTIPART + "/"):
            call = await to_thread.run_sync(self._authenticator.identify, request.headers)
            return await self._part(request, call, *path[len(MULTIPART) + 1 :].split("/", 1))
        identify, reads = self._authenticator.identify, request.method in ("GET", "HEAD")
        headers = text_headers(request.scope)
        known_caller: Call | None = None
        if not reads and not is_small(headers):  # a large body is read of those alone who are known
            known_caller = await to_thread.run_sync(identify, headers)
        raw = b"" if reads else await read_body(request.receive, headers, self._body_bytes)

        def work() -> bytes:
            return _run(known_caller or identify(headers), lambda: self._told(request, headers, path, raw))

        if path in BRIEF and len(raw) <= MOST_BRIEF_BYTES:
            with self._catalog.at_once() as free:  # else it would keep the event loop waiting for others' writes
                if free:
                    return Response(work(), media_type=JSON)
        return Response(await asyncio.get_running_loop().run_in_executor(self._threads, work), media_type=JSON)

    def _told(self, request: Request, headers: Mapping[str, str], path: str, raw: bytes) -> bytes:
        """The answer of a call."""
        path, named_in_path = templated(path)
        known = self._known.get((request.method, path))
        if known is None:
            if path.startswith(PRESIGNED + "/"):
                raise NotOffered("Multipart download is not supported for the current artifact repository")
            raise _unanswered(request)
        if raw:
            check_json(headers)
        given = wire.decode_plain(raw, dict[str, Any]) if raw else _query(request, known.request)
        return msgspec.json.encode(known.answer(_converted(given | named_in_path, known.request)))

    async def _artifact(self, request: Request, call: Call, path: str) -> Response:
        check_slashes(request)
        artifacts = self._artifacts
        if request.method == "PUT":
            place = await to_thread.run_sync(_run, call, lambda: artifacts.place(path))
            await artifacts.keep(place, aiter(request.stream()), lambda work: _run(call, work))
            return Response(b"{}", media_type=JSON)
        if request.method == "DELETE":
            await to_thread.run_sync(_run, call, lambda: artifacts.delete(artifacts.place(path)))
            return Response(b"{}", media_type=JSON)
        if request.method != "GET":
            raise _unanswered(request)
        if path:
            headers, pieces = await to_thread.run_sync(_run, call, lambda: artifacts.read(artifacts.place(path)))
            return StreamingResponse(pieces, headers=headers, media_type="application/octet-stream")
        at = request.query_params.get("path", "")
        files = await to_thread.run_sync(_run, call, lambda: artifacts.list(artifacts.place(at)))
        return Response(msgspec.json.encode({"files": files}), media_type=JSON)

    async def _part(self, request: Request, call: Call, verb: str, path: str = "") -> Response:
        check_slashes(request)
        parts = self._parts
        if (request.method, verb) == ("PUT", "part"):
            place = await to_thread.run_sync(_run, call, lambda: self._artifacts.place(path))
            digest = await parts.keep(place, aiter(request.stream()), lambda work: _run(call, work))
            return Response(b"{}", headers={"etag": f'"{digest}"'}, media_type=JSON)
        if request.method != "POST" or verb not in ("create", "complete", "abort"):
            raise _unanswered(request)
        raw = await read_body(request.receive, request.headers, self._body_bytes)
        check_json(request.headers)
        root = str(request.base_url) + "api/2.0"

        def work() -> dict[str, Any]:
            place, given = self._artifacts.place(path), wire.decode(raw, dict[str, Any])
            match verb:
                case "create":
                    created = _converted(given, records.CreateParts)
                    return parts.create(place, created, root, request.headers.get("authorization", ""))
                case "complete":
                    return parts.complete(place, _converted(given, records.CompleteParts))
            return parts.abort(place, _converted(given, records.AbortParts))

        return Response(msgspec.json.encode(await to_thread.run_sync(_run, call, work)), media_type=JSON)


def check_slashes(request: Request) -> None:
    """Raises `NotFound` for a path with an escaped slash or backslash."""
    raw = request.scope["raw_path"].lower()
    if b"%2f" in raw or b"%5c" in raw:
        raise NotFound("no artifact's name holds an escaped slash")


def _unanswered(request: Request) -> NoSuchEndpoint:
    return NoSuchEndpoint(f"{request.method} {request.url.path[:200]} is not answered by this server")


def _run(call: Call, work: Callable[[], T]) -> T:
    """Do something as whoever calls."""
    token = current.set(call)
    try:
        return work()
    finally:
        current.reset(token)


def _query(request: Request, kind: type[msgspec.Struct]) -> dict[str, Any]:
    lists = _lists(kind)
    given: dict[str, Any] = {}
    for name in request.query_params:
        values = request.query_params.getlist(name)
        given[name] = values if name in lists else values[-1]
    return given


@cache
def _lists(kind: type[msgspec.Struct]) -> frozenset[str]:
    """The fields of a request that hold several values."""
    return frozenset(name for name, hint in get_type_hints(kind).items() if get_origin(hint) is list)


@cache
def _required(kind: type[msgspec.Struct]) -> tuple[str, ...]:
    return tuple(field.name for field in msgspec.structs.fields(kind) if field.required)


def _converted(given: dict[str, Any], kind: type[S]) -> S:
    """Leniently, as MLflow reads: numbers may be texts. Absent required fields are named as MLflow names them."""
    said(given, _required(kind))
    there = {name: value for name, value in given.items() if value is not None}
    converted: S = wire.convert(there, kind, "request", strict=False)
    return converted


def _server_info(_asked: _Nothing) -> dict[str, Any]:
    """What the client asks first: what this server has beside the protocol's core."""
    return {
        "store_type": "SqlStore",
        "workspaces_enabled": False,
        "trace_archival_enabled": False,
        "multipart_uploads_enabled": True,
        "multipart_downloads_enabled": False,
        "presigned_upload_run_id_supported": False,
        "presigned_upload_model_id_supported": False,
        "features_enabled": [],
    }


def _known(workspace: "LocalWorkspace") -> dict[tuple[str, str], _Known]:
    """Everything that is answered, by method and path."""
    runs = RunCalls(workspace.runs, workspace.experiments)
    found = _tracking(ExperimentCalls(workspace.experiments), runs)
    found |= {place: _Known(*each) for place, each in model_routes(workspace, runs).items()}
    return {(method, f"mlflow/{path}"): each for (method, path), each in found.items()}


def _tracking(experiments: ExperimentCalls, runs: RunCalls) -> dict[tuple[str, str], _Known]:
    posts: dict[str, _Known] = {
        "experiments/create": _Known(experiments.create, records.CreateExperiment),
        "experiments/search": _Known(experiments.search, records.SearchExperiments),
        "experiments/update": _Known(experiments.update, records.UpdateExperiment),
        "experiments/delete": _Known(experiments.delete, records.ByExperiment),
        "experiments/restore": _Known(experiments.restore, records.ByExperiment),
        "experiments/set-experiment-tag": _Known(experiments.set_tag, records.ExperimentTag),
        "experiments/delete-experiment-tag": _Known(experiments.delete_tag, records.ExperimentTag),
        "runs/create": _Known(runs.create, records.CreateRun),
        "runs/search": _Known(runs.search, records.SearchRuns),
        "runs/update": _Known(runs.update, records.UpdateRun),
        "runs/delete": _Known(runs.delete, records.ByRun),
        "runs/restore": _Known(runs.restore, records.ByRun),
        "runs/set-tag": _Known(runs.set_tag, records.RunTag),
        "runs/delete-tag": _Known(runs.delete_tag, records.RunTag),
        "runs/log-parameter": _Known(runs.log_parameter, records.RunTag),
        "runs/log-metric": _Known(runs.log_metric, records.RunMetric),
        "runs/log-inputs": _Known(runs.log_inputs, records.LogInputs),
        "runs/log-batch": _Known(runs.log_batch, records.LogBatch),
        "artifacts/presigned-upload-url": _Known(runs.presigned, records.Presigned),
        "artifacts/presigned-download-url": _Known(runs.presigned, records.Presigned),
    }
    gets: dict[str, _Known] = {
        "experiments/get": _Known(experiments.get, records.ByExperiment),
        "experiments/get-by-name": _Known(experiments.get_by_name, records.ByExperimentName),
        "experiments/search": _Known(experiments.search, records.SearchExperiments),
        "runs/get": _Known(runs.get, records.ByRun),
        "metrics/get-history": _Known(runs.history, records.MetricHistory),
        "metrics/get-history-bulk": _Known(runs.histories, records.BulkHistory),
        "metrics/get-history-bulk-interval": _Known(runs.intervals, records.IntervalHistory),
        "artifacts/list": _Known(runs.list_artifacts, records.ListArtifacts),
        "server-info": _Known(_server_info, _Nothing),
    }
    known = {("POST", path): each for path, each in posts.items()}
    return known | {("GET", path): each for path, each in gets.items()}
