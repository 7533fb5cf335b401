"""The protocol's paths below ``/v2``, answered by the serving engine."""

from importlib.metadata import version
from typing import TYPE_CHECKING, Final

import msgspec
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route

from tidegate.compat.inference import records
from tidegate.compat.inference.tensors import check_outputs, metadata_of, outputs_of, rows_of
from tidegate.endpoints.admission import Admission
from tidegate.endpoints.asgi import failure, named
from tidegate.endpoints.body import UnsupportedMedia, read_body
from tidegate.endpoints.engine import ServingEngine
from tidegate.endpoints.pace import Pace
from tidegate.endpoints.routing import Route as Routed
from tidegate.endpoints.service import Endpoints
from tidegate.kernel import wire
from tidegate.kernel.errors import Invalid, NotFound, TidegateError
from tidegate.kernel.identity import Authenticator
from tidegate.kernel.json_text import check_keys

if TYPE_CHECKING:
    from tidegate.workspace import LocalWorkspace

ANY_METHOD: Final = ["GET", "POST", "PUT", "DELETE", "PATCH", "HEAD", "OPTIONS"]

_GET = next(one for one in Endpoints.operations() if one.name == "get")
_PREDICT = next(one for one in Endpoints.operations() if one.name == "predict")
_BODIES: Final = ("", "application/json", "application/octet-stream")


def inference_routes(workspace: "LocalWorkspace", authenticator: Authenticator) -> list[BaseRoute]:
    """Everything below ``/v2`` for a workspace."""
    admission = Admission(authenticator, workspace.dispatcher.authorise, workspace.storage.machine)
    body_bytes = workspace.settings.body_megabytes << 20
    return OpenInference(workspace.engine, admission, body_bytes).routes()


class OpenInference:
    """Answers the protocol's requests; every error, whatever it is, reads ``{"error": …}``.

    Server and readiness probes need no token; a model's metadata need what `endpoints.get` needs, and ``infer`` what
    `endpoints.predict` needs.
    """

    def __init__(self, engine: ServingEngine, admission: Admission, body_bytes: int) -> None:
        self._engine = engine
        self._admission = admission
        self._pace = Pace()
        self._body_bytes = body_bytes

    def routes(self) -> list[BaseRoute]:
        """One route for all paths, so that no error takes another form."""
        return [
            Route("/v2", self.handle, methods=ANY_METHOD),
            Route("/v2/{path:path}", self.handle, methods=ANY_METHOD),
        ]

    async def handle(self, request: Request) -> Response:
        """One request."""
        try:
            return await self._dispatch(request)
        except Exception as error:  # noqa: BLE001 - the edge: whatever fails is answered in one form
            return _error(named(error, f"{request.method} {request.url.path[:200]}"))

    async def _dispatch(self, request: Request) -> Response:
        match request.path_params.get("path", "").strip("/").split("/"):
            case [""]:
                return self._get(request, records.ServerMetadata("tidegate", version("tidegate"), []))
            case ["health", "live"]:
                return self._get(request, records.Live(True))
            case ["health", "ready"]:
                ready = self._engine.routing.ready
                return self._get(request, records.Ready(ready), 200 if ready else 503)
            case ["models", name, *rest] if name:
                return await self._model(request, name, rest)
        raise _nowhere(request)

    async def _model(self, request: Request, name: str, rest: list[str]) -> Response:
        number: str | None = None
        if len(rest) >= 2 and rest[0] == "versions":
            number, rest = rest[1], rest[2:]
        if rest == ["infer"]:
            _check_method(request, "POST")
            return await self._infer(request, name, number)
        if rest not in ([], ["ready"]):
            raise _nowhere(request)
        _check_method(request, "GET")
        await self._admission.admit(_GET, dict(request.headers))
        wanted = rest

        def describe() -> bytes:
            routed = self._routed(name, number)
            if wanted:
                return msgspec.json.encode(records.ModelReady(name, True))
            return msgspec.json.encode(metadata_of(routed.endpoint, routed.stable.signature, routed.stable.platform))

        return _json(await self._pace.answer(name, describe, quick=self._engine.predicts_quickly(name, 0)))

    async def _infer(self, request: Request, name: str, number: str | None) -> Response:
        headers = dict(request.headers)
        await self._admission.admit(_PREDICT, headers)
        kind = headers.get("content-type", "").partition(";")[0].strip().lower()
        if kind not in _BODIES or headers.get("content-encoding", "identity") != "identity":
            raise UnsupportedMedia(kind)
        if headers.get("inference-header-content-length", headers.get("content-length")) != headers.get(
            "content-length"
        ):
            raise Invalid("binary tensors are not taken yet: send the data of every input as JSON")
        body = await read_body(request.receive, headers, self._body_bytes)
        quick = self._engine.predicts_quickly(name, len(body))
        return _json(await self._pace.answer(name, lambda: self._answer(name, number, body), quick=quick))

    def _answer(self, name: str, number: str | None, body: bytes) -> bytes:
        asked: records.InferRequest = wire.decode(body, records.InferRequest)
        check_keys(body, records.keys_of(asked))
        routed = self._routed(name, number)
        signature = routed.stable.signature
        check_outputs(signature, asked.outputs)
        answers = self._engine.answer(routed, rows_of(asked, signature))
        outputs = outputs_of(answers, signature, asked.outputs)
        numbers = dict.fromkeys(answer.model.rpartition("/")[2] for answer in answers)
        return msgspec.json.encode(records.InferResponse(name, ",".join(numbers), outputs, asked.id))

    def _routed(self, name: str, number: str | None) -> Routed:
        routed = self._engine.routing.find(name)
        live = routed.stable.deployment.number
        if number is not None and number != str(live):
            raise NotFound(f"model {name!r} answers with version {live} only; version {number[:20]!r} is not served")
        return routed if number is None else Routed(routed.endpoint, routed.stable)  # no canary answers for a version

    def _get(self, request: Request, answer: msgspec.Struct, status: int = 200) -> Response:
        _check_method(request, "GET")
        return _json(msgspec.json.encode(answer), status)


class _WrongMethod(Invalid):
    status = 405

    def __init__(self, request: Request, method: str) -> None:
        self.allowed = "GET, HEAD" if method == "GET" else method
        super().__init__(f"{request.url.path[:200]} takes {self.allowed}, not {request.method}")


def _check_method(request: Request, method: str) -> None:
    if request.method != method and not (method == "GET" and request.method == "HEAD"):
        raise _WrongMethod(request, method)


def _nowhere(request: Request) -> NotFound:
    return NotFound(f"there is nothing at {request.url.path[:200]}; the paths are those of Open Inference v2 over REST")


def _json(body: bytes, status: int = 200) -> Response:
    return Response(body, status, media_type="application/json")


def _error(error: TidegateError) -> Response:
    status, headers, _ = failure(error)
    if isinstance(error, _WrongMethod):
        headers.append((b"allow", error.allowed.encode()))
    body = msgspec.json.encode(records.ErrorBody(error.message))
    return Response(body, status, {name.decode(): value.decode() for name, value in headers})
