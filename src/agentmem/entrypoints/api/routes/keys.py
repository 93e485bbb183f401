"""API keys."""

from __future__ import annotations

from http import HTTPStatus
from typing import Annotated

from fastapi import Path, Query
from starlette.requests import Request
from starlette.responses import Response

from agentmem.entrypoints.api.access import SENSITIVE, access
from agentmem.entrypoints.api.answers import answer
from agentmem.entrypoints.api.etags import not_modified
from agentmem.entrypoints.api.gate import address_of, app_of, caller_of, if_version_of, router
from agentmem.entrypoints.api.paging import page_answer
from agentmem.foundation.authorization.caller import Permission
from agentmem.schemas.keys import ApiKey, ApiKeyPatch, IssuedKey, NewApiKey, Rotation
from agentmem.schemas.memories import Page
from agentmem.schemas.queries import DaysQuery, PageQuery, RevocationQuery
from agentmem.schemas.usage import UsageDay
from agentmem.schemas.views import Items

keys = router("api keys")
KeyNumber = Annotated[str, Path(pattern="^[0-9A-Za-z]{12}$", description="The id of an API key: part of its text.")]


@keys.get("/api-keys", response_model=Page[ApiKey], openapi_extra=access(Permission.KEY_READ))
async def list_api_keys(request: Request, query: Annotated[PageQuery, Query()]) -> Response:
    """List the organization's API keys, without their secrets, a page at a time."""
    return page_answer(request, await app_of(request).keys.page(caller_of(request), query.cursor, query.limit))


@keys.post(
    "/api-keys",
    response_model=IssuedKey,
    status_code=HTTPStatus.CREATED,
    openapi_extra=access(Permission.KEY_WRITE, secret=True, max_auth_age=SENSITIVE),
)
async def create_api_key(request: Request, new: NewApiKey) -> Response:
    """Create an API key, which may never do more than the one it is created with; its text is shown this once."""
    issued = await app_of(request).issuing.create(caller_of(request), new)
    headers = {"Location": address_of(request, f"/v1/api-keys/{issued.api_key.id}")}
    return answer(issued, HTTPStatus.CREATED, version=issued.api_key.version, headers=headers)


@keys.get("/api-keys/{key_id}", response_model=ApiKey, openapi_extra=access(Permission.KEY_READ))
async def get_api_key(request: Request, key_id: KeyNumber) -> Response:
    """Read one API key, without its secret."""
    key = await app_of(request).keys.get(caller_of(request), key_id)
    return not_modified(request, key.version) or answer(key, version=key.version)


@keys.patch(
    "/api-keys/{key_id}",
    response_model=ApiKey,
    openapi_extra=access(Permission.KEY_WRITE, if_match=True, max_auth_age=SENSITIVE),
)
async def update_api_key(request: Request, key_id: KeyNumber, patch: ApiKeyPatch) -> Response:
    """Change an API key's name, scopes, networks or rate; what is not given stays as it is."""
    key = await app_of(request).issuing.update(caller_of(request), key_id, patch, if_version_of(request))
    return answer(key, version=key.version)


@keys.delete("/api-keys/{key_id}", response_model=ApiKey, openapi_extra=access(Permission.KEY_WRITE, if_match=True))
async def revoke_api_key(request: Request, key_id: KeyNumber, query: Annotated[RevocationQuery, Query()]) -> Response:
    """Revoke an API key for good; `descendants` revokes the keys that were made with it too."""
    key = await app_of(request).issuing.revoke(
        caller_of(request), key_id, query.reason, if_version_of(request), descendants=query.descendants
    )
    return answer(key, version=key.version)


@keys.post(
    "/api-keys/{key_id}/rotate",
    response_model=IssuedKey,
    status_code=HTTPStatus.CREATED,
    openapi_extra=access(Permission.KEY_WRITE, secret=True, max_auth_age=SENSITIVE),
)
async def rotate_api_key(request: Request, key_id: KeyNumber, rotation: Rotation) -> Response:
    """Make a successor of an API key; the old one stays good for the overlap, at most seven days."""
    issued = await app_of(request).issuing.rotate(caller_of(request), key_id, rotation.overlap_seconds)
    headers = {"Location": address_of(request, f"/v1/api-keys/{issued.api_key.id}")}
    return answer(issued, HTTPStatus.CREATED, version=issued.api_key.version, headers=headers)


@keys.get("/api-keys/{key_id}/usage", response_model=Items[UsageDay], openapi_extra=access(Permission.USAGE_READ))
async def api_key_usage(request: Request, key_id: KeyNumber, query: Annotated[DaysQuery, Query()]) -> Response:
    """Count an API key's requests on each day (UTC), both days included."""
    days = await app_of(request).key_usage.of_key(caller_of(request), key_id, *query.span())
    return answer(Items(items=list(days)))
