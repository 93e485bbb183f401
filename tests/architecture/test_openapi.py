"""The OpenAPI document is whole, and the page that is kept of it is the present one."""

from __future__ import annotations

import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import jsonschema_rs
import pytest

from agentmem.entrypoints.api.application import create_routes
from agentmem.entrypoints.api.openapi import operations
from agentmem.settings import Settings

KEPT = Path(__file__).parents[2] / "docs" / "reference" / "openapi.json"


@pytest.fixture(scope="module")
def document() -> dict[str, Any]:
    """The document, made without a server."""
    served: Any = SimpleNamespace(app=SimpleNamespace(settings=Settings.load()))
    return create_routes(served).openapi()


def test_document_is_of_openapi_3_1(document: dict[str, Any]) -> None:
    assert document["openapi"].startswith("3.1")
    assert len(document["paths"]) > 40


def test_every_operation_has_a_name_a_summary_a_description_and_a_tag(document: dict[str, Any]) -> None:
    named = [operation["operationId"] for _, _, operation in operations(document)]
    assert len(named) == len(set(named))
    tags = {tag["name"] for tag in document["tags"]}
    for _, path, operation in operations(document):
        assert operation["summary"], path
        assert operation["description"], path
        assert set(operation["tags"]) <= tags, path


def test_every_operation_names_its_refusals_as_problems(document: dict[str, Any]) -> None:
    for method, path, operation in operations(document):
        refusals = {"400", "405", "429", "500", "503"} | ({"401", "403"} if operation["security"] else set())
        assert refusals <= set(operation["responses"]), (method, path)
    for status, answer in document["components"]["responses"].items():
        assert status == "304" or list(answer["content"]) == ["application/problem+json"], status


def test_every_change_of_one_thing_takes_the_version_it_expects(document: dict[str, Any]) -> None:
    changing = [one for one in operations(document) if one[0] in {"patch", "put", "delete"}]
    without = {
        operation["operationId"]
        for _, _, operation in changing
        if not any(parameter["name"] == "If-Match" for parameter in operation.get("parameters", []))
    }
    assert without == {"change_password", "delete_all", "revoke_invitation"}  # these have no version
    for _, path, operation in operations(document):
        demands = operation.get("x-agentmem-if-match") or "/batch/" in path
        assert ("428" in operation["responses"]) == bool(demands), path


def test_every_example_is_what_its_schema_admits(document: dict[str, Any]) -> None:
    checked = 0
    for method, path, operation in operations(document):
        contents = [operation.get("requestBody", {}).get("content", {})]
        contents += [answer.get("content", {}) for answer in operation["responses"].values()]
        for content in contents:
            for media in content.values():
                schema = {**media["schema"], "components": document["components"]}
                faults = list(jsonschema_rs.validator_for(schema).iter_errors(media["example"]))
                assert not faults, (method, path, str(faults[0]))
                checked += 1
    assert checked > 70


def test_page_of_the_document_is_up_to_date(document: dict[str, Any]) -> None:
    assert json.loads(KEPT.read_text(encoding="utf-8")) == document
