"""ID tokens (OpenID Connect Core 1.0, section 3.1.3.7), checked over joserfc."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Final

from joserfc import jwt
from joserfc.errors import JoseError
from joserfc.jwk import KeySet

from agentmem.errors import Unauthenticated

ALGORITHMS: Final = ("RS256", "PS256", "ES256", "ES384", "Ed25519")
"""Signatures by a key pair of the provider's alone: never a shared secret, never none."""
LEEWAY: Final = 60
LONGEST: Final = 16 * 1024


@dataclass(frozen=True, kw_only=True, slots=True)
class Expected:
    """What a token must say: who made it, for whom, in answer to which request, and how well they signed in."""

    issuer: str
    client_id: str
    nonce: str = field(repr=False)
    acr_values: tuple[str, ...] = ()
    max_age_seconds: int | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class Vouched:
    """What a provider says of somebody: its claims, of which the subject is the one that names them."""

    subject: str = field(repr=False)
    methods: tuple[str, ...]
    claims: Mapping[str, object] = field(repr=False)

    def groups(self, claim: str) -> list[str]:
        """Give the groups of a claim: a list of texts, or one text."""
        value = self.claims.get(claim)
        listed = value if isinstance(value, list) else [value]
        return [item for item in listed if isinstance(item, str)]


def check_identity_token(text: str, keys: KeySet, expected: Expected, now: datetime) -> Vouched:
    """Read a token of a provider; raises :class:`Unauthenticated` that says what is wrong with it."""
    if len(text) > LONGEST:
        raise refused("it is too long")
    try:
        token = jwt.decode(text, keys, algorithms=list(ALGORITHMS))
        jwt.JWTClaimsRegistry(
            now=int(now.timestamp()),
            leeway=LEEWAY,
            iss={"essential": True, "value": expected.issuer},
            aud={"essential": True, "value": expected.client_id},
            nonce={"essential": True, "value": expected.nonce},
            sub={"essential": True},
            exp={"essential": True},
            iat={"essential": True},
        ).validate(token.claims)
    except (JoseError, ValueError, TypeError, KeyError, json.JSONDecodeError, RecursionError) as error:
        raise refused(f"{type(error).__name__}") from None
    claims = token.claims
    audience = claims["aud"]
    several = isinstance(audience, list) and len(audience) > 1
    if (several or "azp" in claims) and claims.get("azp") != expected.client_id:
        raise refused("it is for another client")
    if not isinstance(claims["sub"], str) or not 0 < len(claims["sub"]) <= 255:
        raise refused("its subject is none")
    _check_sign_in(claims, expected, now)
    methods = claims.get("amr")
    return Vouched(
        subject=claims["sub"],
        methods=tuple(item for item in methods if isinstance(item, str)) if isinstance(methods, list) else (),
        claims=claims,
    )


def refused(why: str) -> Unauthenticated:
    """Make the error for a sign-in at a provider that does not hold."""
    return Unauthenticated(f"The provider's answer is refused: {why}.", hint="Begin to sign in again.")


def _check_sign_in(claims: Mapping[str, object], expected: Expected, now: datetime) -> None:
    if expected.acr_values and claims.get("acr") not in expected.acr_values:
        raise refused("whoever signed in was not checked as well as the organization asks (acr)")
    if expected.max_age_seconds is not None:
        moment = claims.get("auth_time")
        if not isinstance(moment, int) or now.timestamp() - moment > expected.max_age_seconds + LEEWAY:
            raise refused("the sign-in at the provider was too long ago (auth_time)")
