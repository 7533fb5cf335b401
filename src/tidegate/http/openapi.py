"""The OpenAPI 3.1 document, derived from the declared operations."""

import re
from collections.abc import Mapping
from typing import Any

import msgspec

from tidegate.http.routes import PREFIX
from tidegate.kernel.errors import BY_CODE, WireError
from tidegate.kernel.objects import ObjectInfo
from tidegate.kernel.operation import Operation, Service
from tidegate.kernel.real import Real

_GENERIC = re.compile(r"Page_(\w+?)_\Z")
_REAL = {"anyOf": [{"type": "number"}, {"enum": ["NaN", "Infinity", "-Infinity"]}]}


def openapi(services: Mapping[str, type[Service]], version: str) -> dict[str, Any]:
    """The document for these services. Schema names are clean and stable: clients are generated from them."""
    operations = [operation for service in services.values() for operation in service.operations()]
    kinds: list[Any] = [WireError, ObjectInfo]
    for operation in operations:
        kinds += [operation.request, operation.returns]
    schemas, components = msgspec.json.schema_components(
        kinds, schema_hook=_schema, ref_template="#/components/schemas/{name}"
    )
    by_operation = dict(zip([op.room + "." + op.name for op in operations], _pairs(schemas[2:]), strict=True))
    paths: dict[str, Any] = {}
    for operation in operations:
        request, answer = by_operation[f"{operation.room}.{operation.name}"]
        path = paths.setdefault(PREFIX + operation.path, {})
        path[operation.method.lower()] = _describe(operation, components[_name(request)], answer)
    requests = {operation.request.__name__ for operation in operations}
    used = {name: schema for name, schema in components.items() if name not in requests}
    document = {
        "openapi": "3.1.0",
        "info": {
            "title": "Tidegate",
            "version": version,
            "license": {"name": "Apache-2.0", "identifier": "Apache-2.0"},
        },
        "paths": paths | _object_paths(),
        "components": {
            "schemas": used,
            "securitySchemes": {"token": {"type": "http", "scheme": "bearer"}},
            "responses": {
                "Error": {"description": _errors(), "content": _json({"$ref": "#/components/schemas/WireError"})}
            },
        },
        "security": [{"token": []}, {}],
        "tags": [{"name": room, "description": service.__doc__ or ""} for room, service in services.items()],
    }
    return _clean(document)


def _describe(operation: Operation, request: dict[str, Any], answer: Any) -> dict[str, Any]:
    summary, _, rest = operation.doc.partition("\n")
    described: dict[str, Any] = {
        "operationId": f"{operation.room}_{operation.name}",
        "tags": [operation.room],
        "summary": summary,
        "x-role": operation.role,
        "x-audit": operation.audit,
        "responses": {
            "200": {"description": "The answer.", "content": _json(answer)},
            "default": {"$ref": "#/components/responses/Error"},
        },
    }
    if rest.strip():
        described["description"] = rest.strip()
    properties: dict[str, Any] = request.get("properties", {})
    required = set(request.get("required", ()))
    in_path = set(operation.path_fields)
    in_query = set() if operation.writes else set(properties) - in_path
    parameters = [
        {
            "name": name,
            "in": "path" if name in in_path else "query",
            "required": name in in_path or name in required,
            "schema": schema,
        }
        for name, schema in properties.items()
        if name in in_path | in_query
    ]
    if parameters:
        described["parameters"] = parameters
    body = {name: schema for name, schema in properties.items() if name not in in_path | in_query}
    if operation.writes:
        schema = {"type": "object", "properties": body, "additionalProperties": False}
        if required - in_path:
            schema["required"] = sorted(required - in_path)
        described["requestBody"] = {"required": bool(required - in_path), "content": _json(schema)}
        described["parameters"] = [*parameters, _IDEMPOTENCY]
    return described


_IDEMPOTENCY = {
    "name": "Idempotency-Key",
    "in": "header",
    "required": False,
    "schema": {"type": "string", "maxLength": 128},
}


def _object_paths() -> dict[str, Any]:
    digest = {
        "name": "digest",
        "in": "path",
        "required": True,
        "schema": {"type": "string", "pattern": "^[0-9a-f]{64}$"},
    }
    error = {"$ref": "#/components/responses/Error"}
    bytes_ = {"application/octet-stream": {"schema": {"type": "string", "format": "binary"}}}
    return {
        PREFIX + "/objects/{digest}": {
            "get": {
                "operationId": "objects_get",
                "tags": ["objects"],
                "summary": "The bytes of an object, whole or in a range.",
                "parameters": [
                    digest,
                    {"name": "Range", "in": "header", "required": False, "schema": {"type": "string"}},
                ],
                "responses": {
                    "200": {"description": "All bytes.", "content": bytes_},
                    "206": {"description": "The range.", "content": bytes_},
                    "default": error,
                },
            },
            "put": {
                "operationId": "objects_put",
                "tags": ["objects"],
                "summary": "Store bytes under their own digest; refused when they do not match it.",
                "parameters": [digest],
                "requestBody": {"required": True, "content": bytes_},
                "responses": {
                    "200": {
                        "description": "What is stored.",
                        "content": _json({"$ref": "#/components/schemas/ObjectInfo"}),
                    },
                    "default": error,
                },
            },
        }
    }


def _schema(kind: type) -> dict[str, Any]:
    if kind is Real:
        return dict(_REAL)
    if kind is object:
        return {"description": "Any JSON value."}
    raise NotImplementedError(kind)


def _pairs(flat: tuple[Any, ...]) -> list[tuple[Any, Any]]:
    return list(zip(flat[::2], flat[1::2], strict=True))


def _name(reference: dict[str, str]) -> str:
    return reference["$ref"].rpartition("/")[2]


def _json(schema: Any) -> dict[str, Any]:
    return {"application/json": {"schema": schema}}


def _errors() -> str:
    return "An error: " + ", ".join(f"`{code}` ({error.status})" for code, error in BY_CODE.items()) + "."


def _clean_name(name: str) -> str:
    """`Page_Run_` becomes `RunPage`; where two rooms have a record of one name, `data.records.X` is `DataX`."""
    match = _GENERIC.match(name)
    if match:
        return f"{match[1]}Page"
    if "." in name:
        _, room, *_, last = name.split(".")
        return f"{room.capitalize()}{last}"
    return name


def _clean(document: dict[str, Any]) -> dict[str, Any]:
    """Clean names of schemas, everywhere."""
    text = msgspec.json.encode(document).decode()
    for name in document["components"]["schemas"]:
        clean = _clean_name(name)
        text = text.replace(f'"{name}"', f'"{clean}"').replace(f'schemas/{name}"', f'schemas/{clean}"')
    cleaned: dict[str, Any] = msgspec.json.decode(text)
    for name, schema in cleaned["components"]["schemas"].items():
        schema["title"] = name
    return cleaned
