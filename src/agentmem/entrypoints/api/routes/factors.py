"""Second factors: one's own, those that a sign-in asks for, and those that an operator resets."""

from __future__ import annotations

from http import HTTPStatus
from typing import Annotated
from uuid import UUID

from fastapi import Query
from starlette.requests import Request
from starlette.responses import Response

from agentmem.entrypoints.api.access import PUBLIC, SENSITIVE, access
from agentmem.entrypoints.api.answers import answer, nothing
from agentmem.entrypoints.api.context import context_of
from agentmem.entrypoints.api.cookies import require_own_page
from agentmem.entrypoints.api.gate import address_of, app_of, caller_of, router
from agentmem.entrypoints.api.routes.signing_in import signed_in, where_of
from agentmem.foundation.authorization.caller import Permission, own_account
from agentmem.kit.ids import AccountId
from agentmem.schemas.factors import (
    Ceremony,
    FactorBegun,
    FactorChoice,
    FactorCode,
    FactorKind,
    FactorProof,
    FactorRemoval,
    FactorReset,
    Factors,
    NewPasskey,
    NewReceiver,
    Passkey,
    PasskeySignIn,
    ReceiverCode,
    RecoveryCodes,
    TotpEnrolment,
)
from agentmem.schemas.sessions import SignInAnswer

own_factors = router("factors")
OF_ACCOUNT = "/admin/accounts/{account_id}/factors"
OWN = access(Permission.ACCOUNT_USE)
CHANGE = access(Permission.ACCOUNT_USE, max_auth_age=SENSITIVE)
SHOWN_ONCE = access(Permission.ACCOUNT_USE, max_auth_age=SENSITIVE, secret=True)


@own_factors.get("/account/factors", response_model=Factors, openapi_extra=OWN)
async def get_factors(request: Request) -> Response:
    """Read the second factors of whoever has signed in."""
    return answer(await app_of(request).factors.secondary.factors.get(own_account(caller_of(request))))


@own_factors.post("/account/factors/totp", response_model=TotpEnrolment, openapi_extra=SHOWN_ONCE)
async def enrol_totp(request: Request) -> Response:
    """Make a secret for an authenticator app, shown this once, with a QR code; a code of the app makes it work."""
    return answer(await app_of(request).factors.secondary.factors.enrol_totp(own_account(caller_of(request))))


@own_factors.post("/account/factors/totp/confirm", response_model=Factors, openapi_extra=CHANGE)
async def confirm_totp(request: Request, given: FactorCode) -> Response:
    """Let the new authenticator app work, by a code of it."""
    return answer(await app_of(request).factors.confirm_totp(caller_of(request), given))


@own_factors.post("/account/factors/receivers", status_code=HTTPStatus.NO_CONTENT, openapi_extra=CHANGE)
async def enrol_receiver(request: Request, new: NewReceiver) -> Response:
    """Have codes sent by mail to the account's address, or by SMS; the first one makes it work. Off by default."""
    await app_of(request).factors.secondary.codes.enrol(own_account(caller_of(request)), new.kind, new.receiver)
    return nothing()


@own_factors.post("/account/factors/receivers/confirm", response_model=Factors, openapi_extra=CHANGE)
async def confirm_receiver(request: Request, given: ReceiverCode) -> Response:
    """Let a new receiver of codes work, by the code that was sent there."""
    address = context_of(request.scope).address
    return answer(await app_of(request).factors.confirm_receiver(caller_of(request), given, address))


@own_factors.delete("/account/factors/{factor_kind}", status_code=HTTPStatus.NO_CONTENT, openapi_extra=CHANGE)
async def remove_factor(
    request: Request, factor_kind: FactorKind, query: Annotated[FactorRemoval, Query()]
) -> Response:
    """Remove all factors of a kind; whoever needs one adds another at the next sign-in."""
    await app_of(request).factors.remove(caller_of(request), factor_kind, end_other_sessions=query.end_other_sessions)
    return nothing()


@own_factors.post("/account/recovery-codes", response_model=RecoveryCodes, openapi_extra=SHOWN_ONCE)
async def make_recovery_codes(request: Request) -> Response:
    """Make ten recovery codes, shown this once, each good for one sign-in; those made before work no more."""
    return answer(await app_of(request).factors.secondary.factors.make_recovery_codes(own_account(caller_of(request))))


@own_factors.post("/account/passkeys/options", response_model=Ceremony, openapi_extra=CHANGE)
async def ask_for_passkey(request: Request) -> Response:
    """Give what a browser needs to make a passkey: hand it to `navigator.credentials.create` within five minutes."""
    return answer(await app_of(request).factors.secondary.passkeys.ask_for_new(own_account(caller_of(request))))


@own_factors.post("/account/passkeys", response_model=Passkey, status_code=HTTPStatus.CREATED, openapi_extra=CHANGE)
async def add_passkey(request: Request, new: NewPasskey) -> Response:
    """Add the passkey that the browser made."""
    made = await app_of(request).factors.add_passkey(caller_of(request), new)
    return answer(made, HTTPStatus.CREATED, headers={"Location": address_of(request, "/v1/account/factors")})


@own_factors.delete("/account/passkeys/{passkey_id}", status_code=HTTPStatus.NO_CONTENT, openapi_extra=CHANGE)
async def remove_passkey(request: Request, passkey_id: UUID, query: Annotated[FactorRemoval, Query()]) -> Response:
    """Remove a passkey."""
    await app_of(request).factors.remove_passkey(
        caller_of(request), passkey_id, end_other_sessions=query.end_other_sessions
    )
    return nothing()


@own_factors.post("/auth/sign-in/factor/begin", response_model=FactorBegun, openapi_extra=access(PUBLIC))
async def begin_factor(request: Request, choice: FactorChoice) -> Response:
    """Prepare a factor of a sign-in: ask for a passkey, send a code, or enrol what the account owes.

    An authenticator app and recovery codes that are there need no preparing.
    """
    begun = await app_of(request).factors.secondary.begin(choice, context_of(request.scope).request_id)
    return answer(begun)


@own_factors.post("/auth/sign-in/factor", response_model=SignInAnswer, openapi_extra=access(PUBLIC))
async def show_factor(request: Request, proof: FactorProof) -> Response:
    """Go on with a sign-in by a factor: get the tokens of its session, or the challenge of what it needs besides."""
    app = app_of(request)
    if proof.cookies:
        require_own_page(request, app.settings)
    where, address = await where_of(request), context_of(request.scope).address
    return signed_in(await app.factors.show(proof, address, where), cookies=proof.cookies)


@own_factors.post("/auth/passkey/options", response_model=Ceremony, openapi_extra=access(PUBLIC))
async def ask_for_any_passkey(request: Request) -> Response:
    """Give what a browser needs to sign in by a passkey alone: hand it to `navigator.credentials.get`."""
    return answer(await app_of(request).factors.secondary.passkeys.ask_anybody())


@own_factors.post("/auth/passkey", response_model=SignInAnswer, openapi_extra=access(PUBLIC))
async def sign_in_by_passkey(request: Request, asked: PasskeySignIn) -> Response:
    """Sign in by a passkey alone, whose user was verified; every refusal is the same."""
    app = app_of(request)
    if asked.cookies:
        require_own_page(request, app.settings)
    return signed_in(await app.factors.by_passkey(asked, await where_of(request)), cookies=asked.cookies)


@own_factors.get(OF_ACCOUNT, response_model=Factors, openapi_extra=access(Permission.ACCOUNT_MANAGE))
async def get_factors_of_account(request: Request, account_id: UUID) -> Response:
    """Read the second factors of an account."""
    found = await app_of(request).factors.secondary.factors.of_account(caller_of(request), AccountId(account_id))
    return answer(found)


@own_factors.delete(
    OF_ACCOUNT,
    status_code=HTTPStatus.NO_CONTENT,
    openapi_extra=access(Permission.ACCOUNT_MANAGE, max_auth_age=SENSITIVE),
)
async def reset_factors(request: Request, account_id: UUID, query: Annotated[FactorReset, Query()]) -> Response:
    """Remove the factors of a person who lost them, all or those of a kind, and end their sessions.

    The password is still asked for, and so is every factor of another kind.
    """
    await app_of(request).factors.reset(caller_of(request), AccountId(account_id), query.factor)
    return nothing()
