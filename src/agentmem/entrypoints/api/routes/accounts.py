"""Accounts as operators of the platform look after them, and invitations to the caller's organization."""

from __future__ import annotations

from http import HTTPStatus
from typing import Annotated
from uuid import UUID

from fastapi import Query
from starlette.requests import Request
from starlette.responses import Response

from agentmem.entrypoints.api.access import SENSITIVE, access
from agentmem.entrypoints.api.answers import answer, nothing
from agentmem.entrypoints.api.etags import not_modified
from agentmem.entrypoints.api.gate import app_of, caller_of, if_version_of, router
from agentmem.entrypoints.api.paging import page_answer
from agentmem.foundation.authorization.caller import Permission
from agentmem.kit.ids import AccountId
from agentmem.schemas.accounts import Account
from agentmem.schemas.invitations import Invitation, NewInvitation
from agentmem.schemas.memories import Page
from agentmem.schemas.queries import PageQuery

invitation_routes = router("invitations")
accounts_routes = router("accounts")
MANAGE = Permission.ACCOUNT_MANAGE
ACCOUNTS = "/admin/accounts"
OF_ONE = "/admin/accounts/{account_id}"
CHANGE = access(MANAGE, if_match=True, max_auth_age=SENSITIVE)


@invitation_routes.get("/invitations", response_model=Page[Invitation], openapi_extra=access(Permission.MEMBER_READ))
async def list_invitations(request: Request, query: Annotated[PageQuery, Query()]) -> Response:
    """List the invitations that nobody has accepted yet, a page at a time."""
    page = await app_of(request).accounts.invitations.page(caller_of(request), query.cursor, query.limit)
    return page_answer(request, page)


@invitation_routes.post(
    "/invitations",
    response_model=Invitation,
    status_code=HTTPStatus.CREATED,
    openapi_extra=access(Permission.MEMBER_WRITE, cost=5, max_auth_age=SENSITIVE),
)
async def invite(request: Request, new: NewInvitation) -> Response:
    """Invite a person by a mail; who accepts becomes a member."""
    made = await app_of(request).accounts.registering.invite(caller_of(request), new.email, new.role)
    return answer(made, HTTPStatus.CREATED)


@invitation_routes.delete(
    "/invitations/{invitation_id}",
    status_code=HTTPStatus.NO_CONTENT,
    openapi_extra=access(Permission.MEMBER_WRITE),
)
async def revoke_invitation(request: Request, invitation_id: UUID) -> Response:
    """Take an invitation back."""
    await app_of(request).accounts.invitations.revoke(caller_of(request), invitation_id)
    return nothing()


@accounts_routes.get(ACCOUNTS, response_model=Page[Account], openapi_extra=access(MANAGE))
async def list_accounts(request: Request, query: Annotated[PageQuery, Query()]) -> Response:
    """List the accounts, a page at a time."""
    return page_answer(
        request, await app_of(request).accounts.service.page(caller_of(request), query.cursor, query.limit)
    )


@accounts_routes.get(OF_ONE, response_model=Account, openapi_extra=access(MANAGE))
async def view_account(request: Request, account_id: UUID) -> Response:
    """Read one account."""
    found = await app_of(request).accounts.service.get(caller_of(request), AccountId(account_id))
    return not_modified(request, found.version) or answer(found, version=found.version)


@accounts_routes.post(f"{OF_ONE}/disable", response_model=Account, openapi_extra=CHANGE)
async def disable_account(request: Request, account_id: UUID) -> Response:
    """Let an account sign in no more; its sessions end everywhere within a second."""
    changed = await app_of(request).accounts.keeping.disable(
        caller_of(request), AccountId(account_id), if_version_of(request)
    )
    return answer(changed, version=changed.version)


@accounts_routes.post(f"{OF_ONE}/enable", response_model=Account, openapi_extra=CHANGE)
async def enable_account(request: Request, account_id: UUID) -> Response:
    """Let a disabled account sign in again."""
    changed = await app_of(request).accounts.service.enable(
        caller_of(request), AccountId(account_id), if_version_of(request)
    )
    return answer(changed, version=changed.version)


@accounts_routes.post(f"{OF_ONE}/unlock", response_model=Account, openapi_extra=access(MANAGE, max_auth_age=SENSITIVE))
async def unlock_account(request: Request, account_id: UUID) -> Response:
    """Forgive all guesses at an account's password; one that they had ended works again."""
    found = await app_of(request).accounts.service.unlock(caller_of(request), AccountId(account_id))
    return answer(found, version=found.version)


@accounts_routes.delete(OF_ONE, status_code=HTTPStatus.NO_CONTENT, openapi_extra=CHANGE)
async def delete_account(request: Request, account_id: UUID) -> Response:
    """Delete an account; its memberships end with it."""
    await app_of(request).accounts.keeping.delete(caller_of(request), AccountId(account_id), if_version_of(request))
    return nothing()
