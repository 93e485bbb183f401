"""Signing in and out, and the tokens of a session."""

from __future__ import annotations

from typing import Final

from starlette.requests import Request
from starlette.responses import Response

from agentmem.entrypoints.api.access import ANY_KEY, PUBLIC, access
from agentmem.entrypoints.api.answers import answer, nothing
from agentmem.entrypoints.api.context import context_of
from agentmem.entrypoints.api.cookies import (
    authorization_of,
    hidden,
    refresh_token_of,
    require_own_page,
    with_cookies,
    without_cookies,
)
from agentmem.entrypoints.api.gate import app_of, caller_of, router
from agentmem.errors import InvalidGrant
from agentmem.features.identity.sessions.model import Device
from agentmem.foundation.authorization.caller import Permission
from agentmem.kit.ids import SessionId
from agentmem.pipelines.admission.people import token_in
from agentmem.pipelines.admission.standing import PersonHolder
from agentmem.pipelines.signing_in.factors import Where
from agentmem.pipelines.signing_in.pipeline import session_of
from agentmem.schemas.policies import DAY
from agentmem.schemas.sessions import (
    ExpiredPassword,
    Introspection,
    IntrospectionRequest,
    RefreshRequest,
    RevocationRequest,
    Revoked,
    SignIn,
    SignInAnswer,
    SignInOutcome,
    Tokens,
)

signing_in = router("signing in")
LONGEST_AGENT: Final = 256
COOKIE_SECONDS: Final = 90 * DAY
"""How long a browser keeps a refresh token at most; the server says when it ends."""


@signing_in.post("/auth/sign-in", response_model=SignInAnswer, openapi_extra=access(PUBLIC))
async def sign_in(request: Request, asked: SignIn) -> Response:
    """Sign in with an e-mail address and a password: get an access token for some minutes, and a refresh token.

    Every refusal is the same. Where a second factor is asked for, or the password is too old, the answer names the
    challenge to go on with. Sent with the access token of a session, the new session takes its place.
    """
    app = app_of(request)
    if asked.cookies:
        require_own_page(request, app.settings)
    return signed_in(await app.signing_in.sign_in(asked, await where_of(request)), cookies=asked.cookies)


@signing_in.post("/auth/sign-in/password", response_model=SignInAnswer, openapi_extra=access(PUBLIC, cost=2))
async def choose_password(request: Request, chosen: ExpiredPassword) -> Response:
    """Go on with a sign-in whose password is too old, by another password; all sessions of before end."""
    app = app_of(request)
    if chosen.cookies:
        require_own_page(request, app.settings)
    return signed_in(await app.signing_in.choose_password(chosen, await where_of(request)), cookies=chosen.cookies)


@signing_in.post("/auth/refresh", response_model=Tokens, openapi_extra=access(PUBLIC))
async def refresh(request: Request, asked: RefreshRequest) -> Response:
    """Exchange a refresh token, in the body or in its cookie, for the next tokens of the session; it works once.

    For the seconds of grace it may be sent again, as after an answer that was lost. Whoever sends it later ends the
    session.
    """
    app = app_of(request)
    cookie = None if asked.refresh_token is not None else refresh_token_of(request, app.settings)
    text = asked.refresh_token or cookie
    if text is None:
        raise InvalidGrant("The request carries no refresh token.", hint="Sign in.")
    tokens = await app.signing_in.refresh(text, context_of(request.scope).request_id)
    return signed_in(tokens, cookies=cookie is not None)


@signing_in.post("/auth/sign-out", status_code=204, openapi_extra=access(Permission.ACCOUNT_USE))
async def sign_out(request: Request) -> Response:
    """End the session that asks, on every server within a second, and take its cookies back."""
    caller = caller_of(request)
    await app_of(request).signing_in.end_own(caller, session_of(caller))
    return without_cookies(nothing())


@signing_in.post("/auth/revoke", response_model=Revoked, openapi_extra=access(PUBLIC, form=True))
async def revoke(request: Request, asked: RevocationRequest) -> Response:
    """End the session of a token (RFC 7009); the answer is the same for what is no token of ours.

    The body may be a form, as that standard has it, or JSON.
    """
    await app_of(request).signing_in.revoke(asked.token, context_of(request.scope).request_id)
    return answer(Revoked())


@signing_in.post("/auth/introspect", response_model=Introspection, openapi_extra=access(ANY_KEY, form=True))
async def introspect(request: Request, asked: IntrospectionRequest) -> Response:
    """Tell what an access token of the caller's organization stands for (RFC 7662); operators may ask of any.

    The body may be a form, as that standard has it, or JSON. Of a token that is not good nothing is said but that.
    """
    return answer(await app_of(request).admission.people.introspect(caller_of(request), asked.token))


async def where_of(request: Request) -> Where:
    """Give where a sign-in comes from, and the session that it was sent from."""
    app, context = app_of(request), context_of(request.scope)
    text = token_in(authorization_of(request, app.settings))
    holder = None if text is None else await app.admission.people.holder(text)
    agent = request.headers.get("user-agent")
    return Where(
        device=Device(address=str(context.address), agent=None if agent is None else agent[:LONGEST_AGENT]),
        address=context.address,
        replaces=SessionId(holder.session.session_id) if isinstance(holder, PersonHolder) else None,
        request_id=context.request_id,
    )


def signed_in(outcome: SignInOutcome, *, cookies: bool) -> Response:
    """Answer a sign-in; with ``cookies`` the tokens are in them alone."""
    if not cookies or not isinstance(outcome, Tokens):
        return answer(outcome)
    return with_cookies(answer(hidden(outcome)), outcome, COOKIE_SECONDS)
