"""House rule: the committed openapi.json is what the operations say, is valid, and names everything cleanly."""

import json
import re

from openapi_spec_validator import validate

from tests.house.source import ROOT
from tidegate.workspace import SERVICES
from tools.openapi import generated

SCHEMA_NAME = re.compile(r"[A-Z][A-Za-z0-9]*")


def test_the_committed_document_is_what_the_operations_say() -> None:
    committed = (ROOT / "openapi.json").read_text(encoding="utf-8")
    assert committed == generated(), "the contract changed: where that is meant, run make openapi"


def test_the_document_is_valid_and_whole() -> None:
    document = json.loads(generated())
    validate(document)
    described = {route["operationId"] for path in document["paths"].values() for route in path.values()}
    declared = {f"{room}_{one.name}" for room, service in SERVICES.items() for one in service.operations()}
    assert declared
    assert declared <= described


def test_schema_names_are_clean() -> None:
    names = json.loads(generated())["components"]["schemas"]
    assert not [name for name in names if not SCHEMA_NAME.fullmatch(name)]
    assert not [name for name in names if name.endswith(("_", "1", "2"))]
