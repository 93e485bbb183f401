"""Single sign-on: to an organization's provider, back with a code, and on like any other sign-in."""

from __future__ import annotations

import hashlib
import secrets
from base64 import urlsafe_b64encode
from dataclasses import dataclass
from datetime import timedelta
from typing import Final
from uuid import UUID, uuid4

from pydantic import BaseModel, ConfigDict, ValidationError

from agentmem.errors import (
    ConfigurationError,
    DecryptionFailed,
    KeyUnavailable,
    NotFound,
    PermissionDenied,
    Unauthenticated,
)
from agentmem.features.identity.accounts.service import AccountService
from agentmem.features.identity.factors.model import MULTIPLE
from agentmem.features.identity.federation.model import Identity, role_of
from agentmem.features.identity.federation.service import FederationService
from agentmem.features.organizations.members import MemberService
from agentmem.features.organizations.memberships import MembershipService
from agentmem.features.organizations.policies import PolicyService
from agentmem.foundation.authorization.caller import Caller, Permission, accounts_caller
from agentmem.foundation.authorization.platform import platform_id
from agentmem.foundation.database.database import Database
from agentmem.foundation.oidc.identity_token import Expected, Vouched, refused
from agentmem.foundation.oidc.provider import Exchange, Providers, authorization_url
from agentmem.foundation.state.port import PUBLIC, State
from agentmem.kit.clock import Clock
from agentmem.kit.ids import AccountId, OrganizationId, PrincipalId
from agentmem.pipelines.signing_in.factors import SSO, Where
from agentmem.pipelines.signing_in.pipeline import SigningIn
from agentmem.schemas.access import Role
from agentmem.schemas.accounts import NewAccount
from agentmem.schemas.memories import Origin
from agentmem.schemas.organizations import MemberKind, MemberPatch, NewMember
from agentmem.schemas.policies import PolicyKind, SsoPolicy
from agentmem.schemas.sessions import SignInOutcome
from agentmem.schemas.sso import SsoCallback

WITHIN: Final = timedelta(minutes=10)
"""How long somebody may take to sign in at the provider."""
CALLBACK: Final = "/v1/auth/sso/callback"
BY_SSO: Final = PrincipalId("sso")
_TABLE, _COLUMN = "sso", "begun"
_SECRET_BYTES: Final = 32
_LONGEST_NAME: Final = 255


class Begun(BaseModel):
    """A sign-in that has begun, as the browser that began it carries it, sealed."""

    model_config = ConfigDict(frozen=True)

    organization_id: UUID
    issuer: str
    nonce: str
    verifier: str
    began: float
    cookies: bool


@dataclass(frozen=True, slots=True)
class Sent:
    """Where somebody is sent, and what their browser brings back."""

    address: str
    cookie: str


@dataclass(frozen=True, kw_only=True)
class SingleSignOn:
    """Lets people in whom their organization's provider vouches for.

    Their accounts are made for it at their first sign-in and are known by issuer and subject within the organization:
    no account that exists is joined to them for its e-mail address, which a provider asserts as it likes.
    """

    signing_in: SigningIn
    policies: PolicyService
    federation: FederationService
    accounts: AccountService
    memberships: MembershipService
    members: MemberService
    providers: Providers
    database: Database
    state: State
    clock: Clock
    public_url: str | None

    async def start(self, organization_id: OrganizationId, *, cookies: bool) -> Sent:
        """Begin a sign-in; raises :class:`NotFound` for an organization that has no provider."""
        policy = await self._policy(organization_id)
        state, nonce, verifier = (secrets.token_urlsafe(_SECRET_BYTES) for _ in range(3))
        begun = Begun(
            organization_id=organization_id,
            issuer=policy.issuer or "",
            nonce=nonce,
            verifier=verifier,
            began=self.clock().timestamp(),
            cookies=cookies,
        )
        parameters = {
            "response_type": "code",
            "client_id": policy.client_id or "",
            "redirect_uri": self._redirect_uri(),
            "scope": "openid profile email",
            "state": state,
            "nonce": nonce,
            "code_challenge": _base64url(hashlib.sha256(verifier.encode()).digest()),
            "code_challenge_method": "S256",
        }
        if policy.acr_values:
            parameters["acr_values"] = " ".join(policy.acr_values)
        if policy.max_age_seconds is not None:
            parameters["max_age"] = str(policy.max_age_seconds)
        endpoint = await self.providers.authorization_endpoint(policy.issuer or "")
        keys = await self.database.keys(platform_id())
        sealed = keys.keyring.sealer(_TABLE, _COLUMN)(_row_of(state), 0, begun.model_dump_json().encode())
        return Sent(address=authorization_url(endpoint, parameters), cookie=_base64url(sealed))

    async def finish(self, back: SsoCallback, cookie: bytes | None, where: Where) -> tuple[SignInOutcome, bool]:
        """Go on when somebody comes back; says too whether they began with cookies.

        Raises :class:`Unauthenticated` for what does not hold, and :class:`PermissionDenied` for whom the organization
        gives no role.
        """
        begun = await self._begun(back.state, cookie)
        if back.iss not in {None, begun.issuer}:
            raise refused("it comes from another provider")
        if back.error is not None or back.code is None:
            raise refused("nobody signed in there")
        organization_id = OrganizationId(begun.organization_id)
        policy = await self._policy(organization_id)
        if policy.issuer != begun.issuer:
            raise refused("the organization has another provider now")
        caller = sso_caller(organization_id, where.request_id)
        exchange = Exchange(
            code=back.code,
            verifier=begun.verifier,
            client_secret=await self.federation.secret(caller),
            redirect_uri=self._redirect_uri(),
            expected=Expected(
                issuer=begun.issuer,
                client_id=policy.client_id or "",
                nonce=begun.nonce,
                acr_values=policy.acr_values,
                max_age_seconds=policy.max_age_seconds,
            ),
        )
        vouched = await self.providers.exchange(exchange, self.clock())
        account_id = await self._admit(caller, policy, vouched)
        methods = (SSO, MULTIPLE) if MULTIPLE in vouched.methods else (SSO,)
        return await self.signing_in.proceed(account_id, organization_id, methods, where), begun.cookies

    async def _begun(self, state: str, cookie: bytes | None) -> Begun:
        """Read what a browser began, once."""
        try:
            keys = await self.database.keys(platform_id())
            opened = keys.keyring.opener(_TABLE, _COLUMN)(_row_of(state), 0, cookie or b"")
            begun = Begun.model_validate_json(opened)
        except (DecryptionFailed, KeyUnavailable, NotFound, ValidationError):
            raise refused("this browser did not begin it (state)") from None
        if self.clock().timestamp() - begun.began > WITHIN.total_seconds():
            raise refused("it was begun too long ago")
        used = f"sso:{hashlib.sha256(state.encode()).hexdigest()}"
        if await self.state.once(PUBLIC, used, b"used", seconds=WITHIN.total_seconds() + 60) is not None:
            raise refused("it was used before")
        return begun

    async def _admit(self, caller: Caller, policy: SsoPolicy, vouched: Vouched) -> AccountId:
        """Give the account of whoever the provider vouches for, a member of the role that their groups give."""
        role = role_of(vouched.groups(policy.groups_claim), policy.roles, policy.default_role)
        identity = Identity(issuer=policy.issuer or "", subject=vouched.subject)
        account_id = await self.federation.account_of(caller, identity)
        if role is None:
            if account_id is not None:
                await self._put_out(caller, account_id)
            raise PermissionDenied("Your groups give you no role in the organization.", hint="Ask who administers it.")
        name = _name_of(vouched)
        if account_id is None:
            account_id = await self._new_account(caller, identity, name)
        elif (await self.accounts.get(accounts_caller(caller.request_id), account_id)).disabled_at is not None:
            raise Unauthenticated("The account is disabled.", hint="Ask whoever operates the installation.")
        await self._be_member(caller, account_id, name, role)
        return account_id

    async def _new_account(self, caller: Caller, identity: Identity, name: str) -> AccountId:
        # Nobody has this address: it is for those who find accounts by one, and no mail leads to it.
        new = NewAccount(email=f"{uuid4()}@sso.invalid", name=name)
        made = await self.accounts.create(accounts_caller(caller.request_id), new, None, verified=False)
        account_id = AccountId(made.id)
        await self.federation.link(caller, identity, account_id)
        return account_id

    async def _be_member(self, caller: Caller, account_id: AccountId, name: str, role: Role) -> None:
        member_id = await self._member_of(caller, account_id)
        if member_id is None:
            new = NewMember(name=name, role=role, kind=MemberKind.PERSON)
            await self.memberships.join(caller, new, account_id)
            return
        member = await self.members.get(caller, member_id)
        if member.disabled_at is not None:
            raise PermissionDenied("You are disabled in the organization.", hint="Ask who administers it.")
        if member.role not in {role, Role.OWNER}:  # an owner was made one here, and is not unmade there
            await self.members.update(caller, member_id, MemberPatch(role=role))

    async def _put_out(self, caller: Caller, account_id: AccountId) -> None:
        """Disable the member who has no role any more: their sessions end within a second."""
        member_id = await self._member_of(caller, account_id)
        if member_id is not None and (await self.members.get(caller, member_id)).role is not Role.OWNER:
            await self.members.disable(caller, member_id)

    async def _member_of(self, caller: Caller, account_id: AccountId) -> UUID | None:
        found = await self.memberships.of_account(account_id)
        return next((one.member_id for one in found if one.organization_id == caller.organization_id), None)

    async def _policy(self, organization_id: OrganizationId) -> SsoPolicy:
        (policy,) = await self.policies.of([organization_id], PolicyKind.SSO)
        if not isinstance(policy, SsoPolicy) or policy.issuer is None:
            raise NotFound("The organization has no provider to sign in at.")
        return policy

    def _redirect_uri(self) -> str:
        if self.public_url is None:
            raise ConfigurationError("Single sign-on needs AGENTMEM_PUBLIC_URL, where people are sent back to.")
        return f"{self.public_url.rstrip('/')}{CALLBACK}"


def sso_caller(organization_id: OrganizationId, request_id: str | None) -> Caller:
    """Make the caller that turns those whom a provider vouches for into members."""
    return Caller(
        organization_id=organization_id,
        principal_id=BY_SSO,
        origin=Origin.OPERATOR,
        permissions=frozenset({Permission.SSO_USE, Permission.MEMBER_READ, Permission.MEMBER_WRITE}),
        request_id=request_id,
    )


def _name_of(vouched: Vouched) -> str:
    for claim in ("name", "preferred_username", "email"):
        value = vouched.claims.get(claim)
        if isinstance(value, str) and value.strip() and "\x00" not in value:
            return value.strip()[:_LONGEST_NAME]
    return "somebody"


def _row_of(state: str) -> UUID:
    """Give the row that a sealed cookie belongs to: it opens with its own state alone."""
    return UUID(bytes=hashlib.sha256(state.encode()).digest()[:16])


def _base64url(value: bytes) -> str:
    return urlsafe_b64encode(value).rstrip(b"=").decode()
