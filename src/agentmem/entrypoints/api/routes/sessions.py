"""Sessions of people: one's own, and those of any account for operators."""

from __future__ import annotations

from uuid import UUID

from starlette.requests import Request
from starlette.responses import Response

from agentmem.entrypoints.api.access import SENSITIVE, access
from agentmem.entrypoints.api.answers import answer, nothing
from agentmem.entrypoints.api.gate import app_of, caller_of, router
from agentmem.foundation.authorization.caller import Permission
from agentmem.kit.ids import AccountId
from agentmem.schemas.sessions import EndedSessions, Session
from agentmem.schemas.views import Items

own_sessions = router("sessions")


@own_sessions.get("/account/sessions", response_model=Items[Session], openapi_extra=access(Permission.ACCOUNT_USE))
async def list_sessions(request: Request) -> Response:
    """List the open sessions of whoever has signed in, and where each was opened from."""
    return answer(Items(items=await app_of(request).signing_in.own(caller_of(request))))


@own_sessions.delete("/account/sessions", response_model=EndedSessions, openapi_extra=access(Permission.ACCOUNT_USE))
async def end_other_sessions(request: Request) -> Response:
    """End all sessions of whoever has signed in but the one that asks."""
    return answer(EndedSessions(ended=await app_of(request).signing_in.end_others(caller_of(request))))


@own_sessions.delete("/account/sessions/{session_id}", status_code=204, openapi_extra=access(Permission.ACCOUNT_USE))
async def end_session(request: Request, session_id: UUID) -> Response:
    """End one session of whoever has signed in, on every server within a second."""
    await app_of(request).signing_in.end_own(caller_of(request), session_id)
    return nothing()


@own_sessions.get(
    "/admin/accounts/{account_id}/sessions",
    response_model=Items[Session],
    openapi_extra=access(Permission.ACCOUNT_MANAGE),
)
async def list_sessions_of_account(request: Request, account_id: UUID) -> Response:
    """List the open sessions of an account."""
    found = await app_of(request).signing_in.sessions.of_account(caller_of(request), AccountId(account_id))
    return answer(Items(items=found))


@own_sessions.delete(
    "/admin/accounts/{account_id}/sessions",
    response_model=EndedSessions,
    openapi_extra=access(Permission.ACCOUNT_MANAGE, max_auth_age=SENSITIVE),
)
async def end_sessions_of_account(request: Request, account_id: UUID) -> Response:
    """End all sessions of an account."""
    ended = await app_of(request).signing_in.end_of_account(caller_of(request), AccountId(account_id))
    return answer(EndedSessions(ended=ended))


@own_sessions.delete(
    "/admin/accounts/{account_id}/sessions/{session_id}",
    status_code=204,
    openapi_extra=access(Permission.ACCOUNT_MANAGE, max_auth_age=SENSITIVE),
)
async def end_session_of_account(request: Request, account_id: UUID, session_id: UUID) -> Response:
    """End one session of an account."""
    await app_of(request).signing_in.end_of_account(caller_of(request), AccountId(account_id), session_id)
    return nothing()
