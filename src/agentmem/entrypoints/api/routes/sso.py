"""Single sign-on, and the secret of it."""

from __future__ import annotations

import binascii
from base64 import urlsafe_b64decode
from http import HTTPStatus
from typing import Annotated, Final
from uuid import UUID

from fastapi import Query
from starlette.requests import Request
from starlette.responses import Response

from agentmem.entrypoints.api.access import PUBLIC, SENSITIVE, access
from agentmem.entrypoints.api.answers import nothing
from agentmem.entrypoints.api.gate import app_of, caller_of, router
from agentmem.entrypoints.api.routes.signing_in import signed_in, where_of
from agentmem.foundation.authorization.caller import Permission
from agentmem.kit.ids import OrganizationId
from agentmem.pipelines.signing_in.single import WITHIN
from agentmem.schemas.sessions import SignInAnswer
from agentmem.schemas.sso import SsoCallback, SsoSecret, SsoStart

sso_routes = router("signing in")
BEGUN: Final = "__Host-agentmem-sso"


@sso_routes.get("/auth/sso/{organization_id}/start", status_code=HTTPStatus.SEE_OTHER, openapi_extra=access(PUBLIC))
async def start_sso(request: Request, organization_id: UUID, query: Annotated[SsoStart, Query()]) -> Response:
    """Send somebody to their organization's OpenID provider, from where they come back to the callback."""
    sent = await app_of(request).single.start(OrganizationId(organization_id), cookies=query.cookies)
    response = Response(status_code=int(HTTPStatus.SEE_OTHER), headers={"Location": sent.address})
    # Lax: the provider's page leads back here, which strict cookies do not follow.
    response.set_cookie(
        BEGUN, sent.cookie, max_age=int(WITHIN.total_seconds()), path="/", secure=True, httponly=True, samesite="lax"
    )
    return response


@sso_routes.get("/auth/sso/callback", response_model=SignInAnswer, openapi_extra=access(PUBLIC))
async def finish_sso(request: Request, query: Annotated[SsoCallback, Query()]) -> Response:
    """Take somebody back from their provider, in the browser that began it: the answer is that of a sign-in."""
    outcome, cookies = await app_of(request).single.finish(query, _cookie_of(request), await where_of(request))
    response = signed_in(outcome, cookies=cookies)
    response.delete_cookie(BEGUN, path="/", secure=True, httponly=True, samesite="lax")
    return response


@sso_routes.put(
    "/organization/sso-secret",
    status_code=HTTPStatus.NO_CONTENT,
    openapi_extra=access(Permission.ORGANIZATION_WRITE, max_auth_age=SENSITIVE),
)
async def set_sso_secret(request: Request, new: SsoSecret) -> Response:
    """Keep the secret by which the organization's provider knows this installation; it is never shown again."""
    secret = None if new.client_secret is None else new.client_secret.get_secret_value()
    await app_of(request).single.federation.set_secret(caller_of(request), secret)
    return nothing()


def _cookie_of(request: Request) -> bytes | None:
    try:
        text = request.cookies.get(BEGUN, "")
        return urlsafe_b64decode(text + "=" * (-len(text) % 4)) or None
    except (binascii.Error, ValueError):
        return None
