"""Sessions of people who have signed in, and the tokens that they are given."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Literal
from uuid import UUID

from pydantic import Field, RootModel, StrictBool

from agentmem.schemas.accounts import EmailAddress, Password
from agentmem.schemas.base import Schema, Text
from agentmem.schemas.factors import Challenge, FactorRequired
from agentmem.schemas.policies import PasswordRules

Token = Annotated[Text, Field(min_length=1, max_length=4096)]


class Session(Schema):
    """A session as it stands: who signed in from where, and for how long it lasts.

    `methods` are how (RFC 8176: `pwd`, `otp`, `hwk`), `level` how sure it is: `aal1`, or `aal2` with a second factor.
    `idle_until` moves on while the session is used, up to `expires_at`.
    """

    id: UUID
    account_id: UUID
    organization_id: UUID
    member_id: UUID
    current: bool = False
    methods: list[str]
    level: str
    address: str | None = None
    agent: str | None = None
    authenticated_at: datetime
    last_seen_at: datetime
    idle_until: datetime
    expires_at: datetime


class Tokens(Schema):
    """What a person acts with: an access token for some minutes, and the refresh token that gets the next one.

    In the browser's flow both are cookies, and neither is here.
    """

    status: Literal["signed_in"] = "signed_in"
    access_token: Annotated[str | None, Field(repr=False)] = None
    token_type: Literal["Bearer"] = "Bearer"  # noqa: S105  # the name of a scheme
    expires_in: int
    refresh_token: Annotated[str | None, Field(repr=False)] = None
    device: Annotated[str | None, Field(repr=False)] = None
    session_id: UUID
    organization_id: UUID


class SignIn(Schema):
    """An address and a password; `organization_id` is where to act, by default the first that the account is in.

    `device` is what the last sign-in from here gave: it keeps guesses from elsewhere from locking this device out. With
    `cookies` the tokens are not in the answer but in cookies that no script of a page can read.
    """

    email: EmailAddress = Field(repr=False)
    password: Password
    organization_id: UUID | None = None
    device: Token | None = Field(default=None, repr=False)
    cookies: StrictBool = False


class PasswordExpired(Schema):
    """A sign-in whose password is too old: another one is chosen within ten minutes, under this challenge."""

    status: Literal["password_expired"] = "password_expired"  # the name of a status
    challenge: Annotated[str, Field(repr=False)]
    rules: PasswordRules
    organization_id: UUID


class ExpiredPassword(Schema):
    """Another password in place of one that is too old; the rest is as at the sign-in."""

    challenge: Annotated[Challenge, Field(repr=False)]
    password: Password
    cookies: StrictBool = False


SignInOutcome = Tokens | FactorRequired | PasswordExpired
"""What a sign-in gives: tokens, or what is asked for besides."""


class RefreshRequest(Schema):
    """A refresh token to use; in the browser's flow its cookie takes its place."""

    refresh_token: Token | None = Field(default=None, repr=False)


class RevocationRequest(Schema):
    """A token that is to work no more (RFC 7009): a refresh token, or an access token with its session."""

    token: Token = Field(repr=False)
    token_type_hint: Annotated[Text, Field(max_length=64)] | None = None


class IntrospectionRequest(Schema):
    """A token that somebody else has shown (RFC 7662)."""

    token: Token = Field(repr=False)
    token_type_hint: Annotated[Text, Field(max_length=64)] | None = None


class Introspection(Schema):
    """What a token stands for; of one that is not good nothing is said but that."""

    active: StrictBool
    token_type: str | None = None
    sub: UUID | None = None
    org: UUID | None = None
    sid: UUID | None = None
    iss: str | None = None
    aud: str | None = None
    jti: UUID | None = None
    iat: int | None = None
    exp: int | None = None
    auth_time: int | None = None
    amr: list[str] | None = None
    acr: str | None = None


class SignInAnswer(RootModel[Annotated[SignInOutcome, Field(discriminator="status")]]):
    """What a sign-in gives: tokens, or what is asked for besides: a factor, or another password."""


class Revoked(Schema):
    """The answer to a revocation, the same whether the token was known or not."""

    revoked: Literal[True] = True


class Rotate(Schema):
    """Whether the next key signs at once, and the others check nothing any more; else it takes over in an hour."""

    at_once: StrictBool = False


class EndedSessions(Schema):
    """How many sessions were ended."""

    ended: int


class SigningKey(Schema):
    """A key that signs access tokens, without its secret.

    It is published from `created_at`, signs from `signs_from`, and what it signed is good until `checks_until`.
    """

    id: UUID
    kid: str
    created_at: datetime
    signs_from: datetime
    checks_until: datetime | None = None


class JsonWebKey(Schema):
    """A public key as others read it (RFC 7517, RFC 8037)."""

    kty: str
    crv: str
    x: str
    kid: str
    alg: str
    use: str


class JsonWebKeys(Schema):
    """The keys that check access tokens."""

    keys: list[JsonWebKey]
