"""Keys that sign the requests of an API key."""

from __future__ import annotations

from http import HTTPStatus
from typing import Annotated

from fastapi import Path
from starlette.requests import Request
from starlette.responses import Response

from agentmem.entrypoints.api.access import SENSITIVE, access
from agentmem.entrypoints.api.answers import answer
from agentmem.entrypoints.api.gate import app_of, caller_of, router
from agentmem.entrypoints.api.routes.keys import KeyNumber
from agentmem.foundation.authorization.caller import Permission
from agentmem.schemas.request_keys import IssuedRequestKey, NewRequestKey, RequestKey
from agentmem.schemas.views import Items

request_key_routes = router("api keys")
OF_KEY = "/api-keys/{key_id}/signing-keys"
SignerNumber = Annotated[
    str, Path(pattern="^[0-9A-Za-z]{12}$", description="The id of a signing key: the `keyid` of its signatures.")
]


@request_key_routes.get(OF_KEY, response_model=Items[RequestKey], openapi_extra=access(Permission.KEY_READ))
async def list_request_keys(request: Request, key_id: KeyNumber) -> Response:
    """List the keys that sign the requests of an API key, and those that did, without their secrets."""
    return answer(Items(items=await app_of(request).issuing.signers.list(caller_of(request), key_id)))


@request_key_routes.post(
    OF_KEY,
    response_model=IssuedRequestKey,
    status_code=HTTPStatus.CREATED,
    openapi_extra=access(Permission.KEY_WRITE, secret=True, max_auth_age=SENSITIVE),
)
async def create_request_key(request: Request, key_id: KeyNumber, new: NewRequestKey) -> Response:
    """Make a key that signs the requests of an API key; its text is shown this once."""
    issued = await app_of(request).issuing.add_signer(caller_of(request), key_id, new)
    return answer(issued, HTTPStatus.CREATED)


@request_key_routes.delete(
    f"{OF_KEY}/{{request_key_id}}", response_model=RequestKey, openapi_extra=access(Permission.KEY_WRITE)
)
async def revoke_request_key(request: Request, key_id: KeyNumber, request_key_id: SignerNumber) -> Response:
    """Revoke a key that signs, for good; every server refuses its signatures within a second."""
    return answer(await app_of(request).issuing.revoke_signer(caller_of(request), key_id, request_key_id))
