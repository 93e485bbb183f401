"""The keys that sign access tokens: their public halves for all, the rest for operators."""

from __future__ import annotations

from typing import Final

from starlette.requests import Request
from starlette.responses import Response

from agentmem.entrypoints.api.access import PUBLIC, SENSITIVE, access
from agentmem.entrypoints.api.answers import answer
from agentmem.entrypoints.api.gate import app_of, caller_of, public_router, router
from agentmem.foundation.authorization.caller import Permission
from agentmem.schemas.sessions import JsonWebKey, JsonWebKeys, Rotate, SigningKey
from agentmem.schemas.views import Items

well_known = public_router("/.well-known", "signing keys")
signing_keys = router("signing keys")
KEPT_SECONDS: Final = 300
"""How long others may keep the list; a new key is on it for an hour before it signs."""


@well_known.get("/jwks.json", response_model=JsonWebKeys, openapi_extra=access(PUBLIC))
async def json_web_keys(request: Request) -> Response:
    """List the public keys that check access tokens (RFC 7517)."""
    keys = (await app_of(request).admission.people.keys.public()).values()
    listed = JsonWebKeys(keys=[JsonWebKey.model_validate(dict(key.jwk)) for key in keys])
    return answer(listed, headers={"Cache-Control": f"public, max-age={KEPT_SECONDS}"})


@signing_keys.get(
    "/admin/signing-keys", response_model=Items[SigningKey], openapi_extra=access(Permission.ACCOUNT_MANAGE)
)
async def list_signing_keys(request: Request) -> Response:
    """List the keys that check access tokens, and from when to when each is used."""
    return answer(Items(items=await app_of(request).admission.people.keys.service.every(caller_of(request))))


@signing_keys.post(
    "/admin/signing-keys/rotate",
    response_model=Items[SigningKey],
    openapi_extra=access(Permission.ACCOUNT_MANAGE, max_auth_age=SENSITIVE),
)
async def rotate_signing_keys(request: Request, asked: Rotate) -> Response:
    """Make the next key that signs access tokens: after an hour, or at once where the present one may be known."""
    listed = await app_of(request).admission.people.keys.service.rotate(caller_of(request), at_once=asked.at_once)
    return answer(Items(items=listed))
