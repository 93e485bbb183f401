"""The OpenAPI 3.1 document of the server: what the routes say of themselves, made whole."""

from __future__ import annotations

import json
from collections.abc import Iterator
from importlib.metadata import version
from typing import Any, Final

from fastapi import FastAPI
from fastapi.openapi.utils import get_openapi
from pydantic import JsonValue

from agentmem.entrypoints.api.etags import ETAG_PATTERN
from agentmem.entrypoints.api.examples import EXAMPLES, LINES
from agentmem.entrypoints.api.filter_schema import LARGEST, filter_schema
from agentmem.entrypoints.api.idempotency import KEY_PATTERN
from agentmem.entrypoints.api.lines import MEDIA_TYPE as LINES_TYPE
from agentmem.entrypoints.api.problems import MEDIA_TYPE as PROBLEM_TYPE
from agentmem.entrypoints.api.problems import Problem
from agentmem.schemas.base import NO_NUL

# The document is JSON of many shapes, read and completed in place.
Json = dict[str, Any]

DESCRIPTION: Final = """\
Memories for agents, over HTTP.

Every request carries an API key: `Authorization: Bearer amk_...`. Bodies are JSON in UTF-8, times are RFC 3339 in UTC,
ids are UUIDs. Lists come in pages: pass `next_cursor` on as `cursor`, or follow the header `Link`. A `POST` with an
`Idempotency-Key` is done once, however often it is sent; the report of a leaked key needs none. What has a version
answers with an `ETag`; send it as `If-Match` to change that version and no other. Errors are problems (RFC 9457) with a
stable `code`.
"""
TAGS: Final = {
    "search": "Finding memories.",
    "memories": "Remembering, reading, changing and forgetting.",
    "moving": "Memories in and out, as JSON Lines.",
    "usage": "What an organization uses.",
    "me": "Who is asking.",
    "signing in": "From a password to a session and its tokens.",
    "factors": "Second factors: one's own, and those that a sign-in asks for.",
    "sessions": "Where people have signed in.",
    "signing keys": "Keys that sign access tokens.",
    "organization": "The key's own organization.",
    "policies": "What the organization asks of those who sign in.",
    "members": "Who acts in the organization.",
    "registration": "Becoming somebody, and getting in again.",
    "account": "One's own account.",
    "invitations": "Who is asked to become a member.",
    "accounts": "All accounts, for operators.",
    "api keys": "Keys of the organization.",
    "leaks": "Reports of leaked keys.",
    "audit": "Who did what.",
    "encryption": "The keys by which data is sealed, and their rotation.",
    "jobs": "What is done in the background.",
    "privacy": "What is done about a person: erasing, restricting, holding.",
    "events": "What is done, as it happens.",
    "networks": "Where requests may come from.",
    "webhooks": "Where events are sent to.",
    "platform": "All organizations, for operators.",
    "maintenance": "Keeping a store healthy.",
    "health": "Whether the server is well.",
}
RESPONSES: Final = {
    "304": "What is asked for has not changed.",
    "400": "The request is not sound HTTP or JSON, or a header is malformed.",
    "401": "There is no valid API key, access token or proof of who signs in, or the sign-in is too long ago.",
    "403": "The key may not do this, the organization is suspended, or a limit of it is reached.",
    "404": "There is no such thing, or it belongs to somebody else.",
    "405": "The path does not take this method.",
    "408": "The body did not arrive in time.",
    "409": "The call contradicts the present state, or the same request is still running.",
    "410": "The events after that place are not kept any more.",
    "412": "What is to be changed is at another version.",
    "413": "The body or a content is too large.",
    "415": "The body is of another type than the route takes.",
    "422": "A field is at fault: `errors` names it.",
    "428": "The organization demands the version that is changed: `If-Match`, or `if_version` of each item.",
    "429": "A rate limit is used up; `Retry-After` says when to try again.",
    "431": "The headers are too large.",
    "500": "The server failed.",
    "503": "Something that the call needs does not answer now, or the server is busy.",
    "507": "The disk is full.",
}
_NAMES: Final = {"agentmem__schemas__access__Role": "Role", "agentmem__schemas__memories__Role": "MessageRole"}
_ALWAYS: Final = ("400", "405", "408", "413", "429", "431", "500", "503")
_RATE: Final[Json] = {
    "RateLimit": {"description": "What is left of the tightest limit.", "schema": {"type": "string"}},
    "RateLimit-Policy": {"description": "The limits of the request.", "schema": {"type": "string"}},
}
_COMMON: Final[Json] = {
    "X-Request-ID": {"description": "The request's id, as in the server's log.", "schema": {"type": "string"}}
}


def document(app: FastAPI) -> dict[str, JsonValue]:
    """Write the document of the application: every status, every header, and an example of everything."""
    public_url = app.state.served.app.settings.public_url
    written: Json = get_openapi(
        title=app.title,
        version=version("agentmem"),
        description=DESCRIPTION,
        servers=None if public_url is None else [{"url": public_url.rstrip("/")}],
        tags=[{"name": name, "description": text} for name, text in TAGS.items()],
        routes=app.routes,
        separate_input_output_schemas=False,
    )
    components: Json = written.setdefault("components", {})
    components["securitySchemes"] = {
        "apiKey": {"type": "http", "scheme": "bearer", "description": "An API key: `Authorization: Bearer amk_...`."},
        "accessToken": {
            "type": "http",
            "scheme": "bearer",
            "bearerFormat": "JWT",
            "description": "The access token of a person who has signed in.",
        },
    }
    components["responses"] = {status: _response(status, text) for status, text in RESPONSES.items()}
    components["schemas"] = _schemas(components.get("schemas", {}))
    for method, path, operation in operations(written):
        _complete(method, path, operation)
    text = json.dumps(written)
    for found, name in _NAMES.items():
        text = text.replace(found, name)
    renamed: dict[str, JsonValue] = json.loads(text)
    return renamed


def operations(written: Json) -> Iterator[tuple[str, str, Json]]:
    """Give every operation of a document: method, path, and what is said of it."""
    for path, item in written["paths"].items():
        for method, operation in item.items():
            yield method, path, operation


def _complete(method: str, path: str, operation: Json) -> None:
    text = " ".join(operation.get("description", "").split())
    operation["summary"] = text.partition(". ")[0].rstrip(".")
    operation["description"] = operation.get("description", "").strip()
    keyed = operation.get("x-agentmem-permission") is not None
    operation["security"] = [{"apiKey": []}, {"accessToken": []}] if keyed else []
    parameters = [_parameter(item) for item in operation.pop("parameters", [])]
    parameters += _headers_of(method, operation, keyed=keyed)
    if parameters:
        operation["parameters"] = parameters
    _complete_body(operation)
    _complete_answers(method, path, operation, keyed=keyed)


def _parameter(parameter: Json) -> Json:
    """Say of an optional parameter that it may be left out, not that it may be null."""
    schema = parameter["schema"]
    options = [option for option in schema.get("anyOf", []) if option.get("type") != "null"]
    if len(options) == 1:
        rest = {name: value for name, value in schema.items() if name != "anyOf"}
        parameter["schema"] = {**rest, **options[0]}
    if parameter["schema"].get("default", ...) is None:
        del parameter["schema"]["default"]
    return parameter


def _headers_of(method: str, operation: Json, *, keyed: bool) -> Iterator[Json]:
    if method == "post" and keyed:
        yield _header(
            "Idempotency-Key", "Names this request: sent again with the same key, it is not done again.", KEY_PATTERN
        )
    if operation.get("x-agentmem-if-match"):
        yield _header("If-Match", "The version that the change expects, as its ETag; `*` for any.", ETAG_PATTERN)
    if method == "get" and operation["operationId"] in _TAGGED:
        yield _header("If-None-Match", "The ETag that is known: answers 304 while it holds.")
    if operation["operationId"] == "events":
        yield _header("Last-Event-ID", "The `id` of the last event that was read; it goes before `after`.", "^[0-9]+$")


_VERSIONED_ITEMS: Final = frozenset({"update_many", "delete_many"})
"""Each item of these names the version it expects."""
_TAGGED: Final = frozenset({"get", "organization", "get_member", "get_api_key", "get_organization", "get_webhook"})


def _header(name: str, description: str, pattern: str | None = None) -> Json:
    schema: Json = {"type": "string"} if pattern is None else {"type": "string", "pattern": pattern}
    return {"name": name, "in": "header", "required": False, "description": description, "schema": schema}


def _complete_body(operation: Json) -> None:
    if operation["operationId"] == "import_":
        schema: Json = {
            "type": "string",
            "description": "JSON Lines: one text, message, memory or exported memory a line.",
        }
        content = {LINES_TYPE: {"schema": schema, "example": LINES["import_"]}}
        operation["requestBody"] = {"required": True, "content": content}
        return
    for media in operation.get("requestBody", {}).get("content", {}).values():
        media["example"] = EXAMPLES[_name_of(media["schema"])]


def _complete_answers(method: str, path: str, operation: Json, *, keyed: bool) -> None:
    answers: Json = {status: answer for status, answer in operation["responses"].items() if status.startswith("2")}
    for status, answer in answers.items():
        answer["description"] = _DONE[status]
        answer["headers"] = {**_COMMON, **(_RATE if keyed else {}), **_own_headers(method, operation, status)}
        _complete_content(operation, answer)
    refusals = set(_ALWAYS)
    if keyed or path.startswith("/v1/auth/"):
        refusals |= {"401", "403"}
    if "{" in path or method != "get":
        refusals.add("404")
    if operation.get("parameters") or "requestBody" in operation:
        refusals.add("422")
    if "requestBody" in operation:
        refusals.add("415")
    if method != "get":
        refusals |= {"409", "507"}
    if operation.get("x-agentmem-if-match") or operation["operationId"] in _VERSIONED_ITEMS:
        refusals |= {"412", "428"}
    if any(item["name"] == "If-None-Match" for item in operation.get("parameters", [])):
        refusals.add("304")
    refusals |= _REFUSALS_OF.get(operation["operationId"], frozenset())
    answers.update({status: {"$ref": f"#/components/responses/{status}"} for status in sorted(refusals)})
    operation["responses"] = answers


_REFUSALS_OF: Final = {
    "events": frozenset({"410"}),
    "report_leak": frozenset({"401"}),
}
_DONE: Final = {
    "200": "It is done.",
    "201": "It is stored.",
    "202": "It is taken.",
    "204": "It is done, and there is nothing to say.",
}


def _own_headers(method: str, operation: Json, status: str) -> Json:
    headers: Json = {}
    if operation.get("x-agentmem-if-match") or operation["operationId"] in _TAGGED:
        headers["ETag"] = {"description": "The version.", "schema": {"type": "string", "pattern": '^"[1-9][0-9]*"$'}}
    if method == "get" and any(item["name"] == "cursor" for item in operation.get("parameters", [])):
        headers["Link"] = {"description": "The next page, where there is one.", "schema": {"type": "string"}}
    if status == "201" and operation["operationId"] != "add":
        headers["Location"] = {"description": "Where it can be read.", "schema": {"type": "string"}}
    if any(item["name"] == "Idempotency-Key" for item in operation.get("parameters", [])):
        headers["Idempotency-Replayed"] = {
            "description": "`true` when this is the answer of an earlier request.",
            "schema": {"type": "string", "enum": ["true"]},
        }
    return headers


_STREAMED: Final = {"events": "text/event-stream", "metrics": "text/plain"}
"""What is neither JSON nor lines of it."""


def _complete_content(operation: Json, answer: Json) -> None:
    name = operation["operationId"]
    if name in LINES and name != "import_":
        media = _STREAMED.get(name, LINES_TYPE)
        answer["content"] = {media: {"schema": {"type": "string"}, "example": LINES[name]}}
        return
    for media in answer.get("content", {}).values():
        media["example"] = EXAMPLES[_name_of(media["schema"])]


def _name_of(schema: Json) -> str:
    reference = schema.get("$ref") or next(option["$ref"] for option in schema["anyOf"] if "$ref" in option)
    return str(reference).rsplit("/", 1)[-1]


def _response(status: str, text: str) -> Json:
    if status == "304":
        return {"description": text, "headers": {**_COMMON, "ETag": {"schema": {"type": "string"}}}}
    headers = dict(_COMMON)
    if status in {"408", "429", "503"}:
        headers["Retry-After"] = {"description": "Seconds to wait.", "schema": {"type": "integer", "minimum": 1}}
    if status == "401":
        headers["WWW-Authenticate"] = {"schema": {"type": "string"}}
    if status == "405":
        headers["Allow"] = {"schema": {"type": "string"}}
    reference: Json = {"$ref": "#/components/schemas/Problem"}
    return {
        "description": text,
        "headers": headers,
        "content": {PROBLEM_TYPE: {"schema": reference, "example": EXAMPLES["Problem"]}},
    }


def _schemas(found: Json) -> Json:
    """Complete the schemas: what a filter and free JSON may hold, and what a problem looks like."""
    schemas = {name: schema for name, schema in found.items() if name not in {"HTTPValidationError", "ValidationError"}}
    problem = Problem.model_json_schema(ref_template="#/components/schemas/{model}")
    schemas.update(problem.pop("$defs", {}))
    schemas["Problem"] = problem
    schemas["Filter"] = filter_schema("Filter")
    schemas["JsonValue"] = _JSON
    for schema_name, required in _ONE_OF.items():
        _demand_one(schemas[schema_name], required)
    for schema_name in _PATCHES:
        _refuse_null(schemas[schema_name], but=_MAY_GO)
    for schema in schemas.values():
        for name, field in schema.get("properties", {}).items():
            if name == "filters":
                field["anyOf"] = [{"$ref": "#/components/schemas/Filter"}, {"type": "null"}]
            if name == "metadata":
                _bound_names(field)
    return schemas


_ONE_OF: Final = {"AddRequest": ("content", "messages", "memories")}
_PATCHES: Final = ("ApiKeyPatch", "MemberPatch", "MemoryPatch", "OrganizationPatch", "PatchOf", "WebhookPatch")
_MAY_GO: Final = frozenset({"expires_at", "requests_per_minute", "unused_key_days", "if_version"})
"""What a patch may take away, by null."""


def _demand_one(schema: Json, names: tuple[str, ...]) -> None:
    """Say that one of these fields is given, and no other of them."""
    schema["oneOf"] = [{"required": [name]} for name in names]
    _refuse_null(schema, but=frozenset(schema["properties"]) - frozenset(names))


def _refuse_null(schema: Json, *, but: frozenset[str]) -> None:
    """Say that a field is left out or has a value; a memory's patch names at least one field."""
    for name, field in schema["properties"].items():
        options = [option for option in field.get("anyOf", []) if option.get("type") != "null"]
        if name not in but and options:
            del field["anyOf"]
            field.pop("default", None)
            field.update(options[0] if len(options) == 1 else {"anyOf": options})
    if "content" in schema["properties"] and "oneOf" not in schema:
        fields = [name for name in schema["properties"] if name not in {"id", "if_version"}]
        schema["anyOf"] = [{"required": [name]} for name in fields]


def _bound_names(field: Json) -> None:
    for option in (field, *field.get("anyOf", [])):
        if option.get("type") == "object":
            option["propertyNames"] = {"pattern": NO_NUL}


_JSON: Final[Json] = {
    "description": "Any JSON, up to 32 levels deep.",
    "anyOf": [
        {"type": "null"},
        {"type": "boolean"},
        {"type": "integer", "minimum": -LARGEST, "maximum": LARGEST},
        {"type": "number", "minimum": -LARGEST, "maximum": LARGEST},
        {"type": "string", "pattern": NO_NUL},
        {"type": "array", "items": {"$ref": "#/components/schemas/JsonValue"}},
        {
            "type": "object",
            "additionalProperties": {"$ref": "#/components/schemas/JsonValue"},
            "propertyNames": {"pattern": NO_NUL},
        },
    ],
}
