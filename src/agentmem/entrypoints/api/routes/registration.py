"""What people may ask before they have signed in: nothing here tells whether an account exists."""

from __future__ import annotations

from http import HTTPStatus

from starlette.requests import Request
from starlette.responses import Response

from agentmem.entrypoints.api.access import PUBLIC, access
from agentmem.entrypoints.api.answers import answer, nothing
from agentmem.entrypoints.api.context import context_of
from agentmem.entrypoints.api.gate import app_of, router
from agentmem.features.identity.accounts.model import MailPurpose
from agentmem.schemas.accounts import Accepted, Account, AddressRequest, PasswordReset, Registration, Unlocking
from agentmem.schemas.policies import PasswordRules

registration_routes = router("registration")
_MAILING = access(PUBLIC, cost=2)


@registration_routes.post(
    "/auth/register", response_model=Accepted, status_code=HTTPStatus.ACCEPTED, openapi_extra=_MAILING
)
async def register(request: Request, asked: AddressRequest) -> Response:
    """Have a mail sent with which an account is registered; where registration is open."""
    await app_of(request).accounts.registering.ask(asked.email, context_of(request.scope).address)
    return answer(Accepted(), HTTPStatus.ACCEPTED)


@registration_routes.post(
    "/auth/verify-email", response_model=Account, status_code=HTTPStatus.CREATED, openapi_extra=_MAILING
)
async def verify_email(request: Request, registration: Registration) -> Response:
    """Make the account of whoever has the secret of the mail, which proves that the address is theirs."""
    made = await app_of(request).accounts.registering.register(
        registration.secret.get_secret_value(), registration.name, registration.password.get_secret_value()
    )
    return answer(made, HTTPStatus.CREATED)


@registration_routes.post(
    "/auth/accept-invitation", response_model=Account, status_code=HTTPStatus.CREATED, openapi_extra=_MAILING
)
async def accept_invitation(request: Request, registration: Registration) -> Response:
    """Make the account of somebody who was invited, and a member of it."""
    made = await app_of(request).accounts.registering.accept_new(
        registration.secret.get_secret_value(), registration.name, registration.password.get_secret_value()
    )
    return answer(made, HTTPStatus.CREATED)


@registration_routes.post(
    "/auth/password/forgot", response_model=Accepted, status_code=HTTPStatus.ACCEPTED, openapi_extra=_MAILING
)
async def forgot_password(request: Request, asked: AddressRequest) -> Response:
    """Have a mail sent with which a password is reset."""
    await app_of(request).accounts.asking.ask(MailPurpose.RESET, asked.email, context_of(request.scope).address)
    return answer(Accepted(), HTTPStatus.ACCEPTED)


@registration_routes.post("/auth/password/reset", status_code=HTTPStatus.NO_CONTENT, openapi_extra=_MAILING)
async def reset_password(request: Request, reset: PasswordReset) -> Response:
    """Choose another password with the secret of the mail; all sessions of the account end."""
    await app_of(request).accounts.keeping.reset(reset.secret.get_secret_value(), reset.password.get_secret_value())
    return nothing()


@registration_routes.get("/auth/password/rules", response_model=PasswordRules, openapi_extra=access(PUBLIC))
async def password_rules(request: Request) -> Response:
    """Read what a new password must be, where no organization asks for more."""
    return answer(await app_of(request).accounts.choosing.rules())


@registration_routes.post(
    "/auth/unlock/request", response_model=Accepted, status_code=HTTPStatus.ACCEPTED, openapi_extra=_MAILING
)
async def ask_to_unlock(request: Request, asked: AddressRequest) -> Response:
    """Have a mail sent with which the delays after many guesses are ended."""
    await app_of(request).accounts.asking.ask(MailPurpose.UNLOCK, asked.email, context_of(request.scope).address)
    return answer(Accepted(), HTTPStatus.ACCEPTED)


@registration_routes.post("/auth/unlock", status_code=HTTPStatus.NO_CONTENT, openapi_extra=_MAILING)
async def unlock(request: Request, unlocking: Unlocking) -> Response:
    """End the delays of an account with the secret of the mail."""
    await app_of(request).accounts.keeping.unlock_by_mail(unlocking.secret.get_secret_value())
    return nothing()
