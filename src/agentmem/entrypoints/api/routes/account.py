"""One's own account, for a person who has signed in."""

from __future__ import annotations

from http import HTTPStatus

from starlette.requests import Request
from starlette.responses import Response

from agentmem.entrypoints.api.access import SENSITIVE, access
from agentmem.entrypoints.api.answers import answer, nothing
from agentmem.entrypoints.api.context import context_of
from agentmem.entrypoints.api.etags import not_modified
from agentmem.entrypoints.api.gate import app_of, caller_of, if_version_of, router
from agentmem.foundation.authorization.caller import Permission, own_account
from agentmem.schemas.accounts import Acceptance, Account, OwnAccountPatch, PasswordChange
from agentmem.schemas.organizations import Member
from agentmem.schemas.policies import PasswordRules

account_routes = router("account")
USE = Permission.ACCOUNT_USE


@account_routes.get("/account", response_model=Account, openapi_extra=access(USE))
async def get_account(request: Request) -> Response:
    """Read one's own account."""
    found = await app_of(request).accounts.service.own(own_account(caller_of(request)))
    return not_modified(request, found.version) or answer(found, version=found.version)


@account_routes.patch("/account", response_model=Account, openapi_extra=access(USE, if_match=True))
async def update_account(request: Request, patch: OwnAccountPatch) -> Response:
    """Change one's own name."""
    own = own_account(caller_of(request))
    changed = await app_of(request).accounts.service.rename(own, patch.name, if_version_of(request))
    return answer(changed, version=changed.version)


@account_routes.delete(
    "/account", status_code=HTTPStatus.NO_CONTENT, openapi_extra=access(USE, if_match=True, max_auth_age=SENSITIVE)
)
async def delete_own_account(request: Request) -> Response:
    """Delete one's own account; its memberships end with it."""
    await app_of(request).accounts.keeping.delete_own(caller_of(request), if_version_of(request))
    return nothing()


@account_routes.get("/account/password/rules", response_model=PasswordRules, openapi_extra=access(USE))
async def own_password_rules(request: Request) -> Response:
    """Read what one's own new password must be: the strictest that one's organizations ask for."""
    return answer(await app_of(request).accounts.keeping.rules(caller_of(request)))


# No POST: of those a digest is kept, by which a password could be guessed.
@account_routes.put(
    "/account/password", response_model=Account, openapi_extra=access(USE, cost=20, max_auth_age=SENSITIVE)
)
async def change_password(request: Request, change: PasswordChange) -> Response:
    """Change one's own password; all sessions end, this one too. A wrong present password counts as a guess."""
    changed = await app_of(request).accounts.keeping.change_password(
        caller_of(request),
        change.present.get_secret_value(),
        change.password.get_secret_value(),
        change.device,
        context_of(request.scope).address,
    )
    return answer(changed, version=changed.version)


@account_routes.post(
    "/account/invitations", response_model=Member, status_code=HTTPStatus.CREATED, openapi_extra=access(USE)
)
async def accept_own_invitation(request: Request, acceptance: Acceptance) -> Response:
    """Become a member of another organization, as an invitation to one's address says."""
    secret = acceptance.secret.get_secret_value()
    member = await app_of(request).accounts.registering.accept(caller_of(request), secret)
    return answer(member, HTTPStatus.CREATED)
