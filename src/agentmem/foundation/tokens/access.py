"""Access tokens (RFC 9068): JSON Web Tokens of one type and one algorithm, made and checked over joserfc.

The check is strict where the standards leave room: the header is exactly ours, the key is one that we know by its
name, and the text is the only one of its bytes.
"""

from __future__ import annotations

import base64
import binascii
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Final
from uuid import UUID

from joserfc import jws, jwt
from joserfc.errors import JoseError, UnsupportedAlgorithmError
from joserfc.jws import JWSAlgModel, JWSRegistry  # type: ignore[attr-defined]  # it does not list the first

from agentmem.foundation.tokens.keys import ALGORITHM, PrivateKey, PublicKey
from agentmem.kit.ids import AccountId, OrganizationId, SessionId

TYPE: Final = "at+jwt"
LEEWAY: Final = 5
"""Seconds by which the clocks of servers may differ."""
LONGEST: Final = 4096
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_TEXT: Final = re.compile(r"[A-Za-z0-9_-]+\.[A-Za-z0-9_-]+\.[A-Za-z0-9_-]+")


@dataclass(frozen=True, kw_only=True, slots=True)
class Issuer:
    """Who makes access tokens, and for whom: the claims ``iss`` and ``aud``."""

    name: str
    audience: str


@dataclass(frozen=True, kw_only=True, slots=True)
class AccessClaims:
    """What an access token says: who signed in, when and how, and where they act."""

    account_id: AccountId
    organization_id: OrganizationId
    session_id: SessionId
    token_id: UUID
    methods: tuple[str, ...]
    level: str
    authenticated_at: datetime
    issued_at: datetime
    expires_at: datetime


class _OneAlgorithm(JWSRegistry):
    """Knows one algorithm, whatever a header asks for.

    joserfc warns of the name EdDSA, which also stands for Ed448: here the key says that it is Ed25519.
    """

    def get_alg(self, name: str) -> JWSAlgModel:
        """Give the algorithm, or refuse the name of any other."""
        if name != ALGORITHM:
            raise UnsupportedAlgorithmError(f"the algorithm is not {ALGORITHM}")
        return self.algorithms[name]


_REGISTRY: Final = _OneAlgorithm()


def sign_token(claims: AccessClaims, issuer: Issuer, key: PrivateKey) -> str:
    """Make the text of a token; its times are cut to whole seconds."""
    values = {
        "iss": issuer.name,
        "aud": issuer.audience,
        "sub": str(claims.account_id),
        "org": str(claims.organization_id),
        "sid": str(claims.session_id),
        "jti": str(claims.token_id),
        "amr": list(claims.methods),
        "acr": claims.level,
        "auth_time": int(claims.authenticated_at.timestamp()),
        "iat": int(claims.issued_at.timestamp()),
        "exp": int(claims.expires_at.timestamp()),
    }
    header = {"alg": ALGORITHM, "typ": TYPE, "kid": key.kid}
    return jwt.encode(header, values, key.key, registry=_REGISTRY)


def key_of_token(text: str) -> str | None:
    """Give the name of the key that a text says it is signed by, if it has the form of a token; nothing is checked."""
    if len(text) > LONGEST or _TEXT.fullmatch(text) is None or not _is_only_spelling(text):
        return None
    try:
        kid = jws.extract_compact(text.encode(), registry=_REGISTRY).headers().get("kid")
    except (JoseError, ValueError, TypeError, RecursionError):
        return None
    return kid if isinstance(kid, str) else None


def check_token(text: str, key: PublicKey, issuer: Issuer, now: datetime) -> AccessClaims | None:
    """Read a token that a key has signed if everything about it is right, else ``None``."""
    payload = signed_payload(text, key)
    if payload is None:
        return None
    try:
        values = json.loads(payload)
        if not isinstance(values, dict):
            return None
        _required(issuer, now).validate(values)
        return _claims(values)
    except (JoseError, ValueError, TypeError, KeyError, OverflowError, RecursionError):
        return None


def signed_payload(text: str, key: PublicKey) -> bytes | None:
    """Give what the signature of a text of the form of a token covers if the key has made it, else ``None``."""
    if len(text) > LONGEST or _TEXT.fullmatch(text) is None or not _is_only_spelling(text):
        return None
    try:
        signed = jws.extract_compact(text.encode(), registry=_REGISTRY)
        if signed.headers() != {"alg": ALGORITHM, "typ": TYPE, "kid": key.kid}:
            return None
        good = jws.validate_compact(signed, key.key, registry=_REGISTRY)
    except (JoseError, ValueError, TypeError, RecursionError):
        return None
    return signed.payload if good else None


def _is_only_spelling(text: str) -> bool:
    """Tell whether no other text means the same bytes: the last character of a part carries no stray bits."""
    for part in text.split("."):
        try:
            raw = base64.urlsafe_b64decode(part + "=" * (-len(part) % 4))
        except binascii.Error:
            return False
        if base64.urlsafe_b64encode(raw).rstrip(b"=").decode() != part:
            return False
    return True


def _required(issuer: Issuer, now: datetime) -> jwt.JWTClaimsRegistry:
    # All other claims must be there because they are read; their times are checked here.
    return jwt.JWTClaimsRegistry(
        now=int(now.timestamp()),
        leeway=LEEWAY,
        iss={"essential": True, "value": issuer.name},
        aud={"value": issuer.audience},
    )


def _claims(values: Mapping[str, object]) -> AccessClaims:
    """Give claims their types; raises ``ValueError`` for one of another type, ``KeyError`` for one that is missing."""
    methods = values["amr"]
    if not isinstance(methods, list) or not isinstance(values["aud"], str):
        raise ValueError("a claim is of another type")  # noqa: TRY004  # what is caught is named in one place
    return AccessClaims(
        account_id=AccountId(_uuid(values["sub"])),
        organization_id=OrganizationId(_uuid(values["org"])),
        session_id=SessionId(_uuid(values["sid"])),
        token_id=_uuid(values["jti"]),
        methods=tuple(map(_text, methods)),
        level=_text(values["acr"]),
        authenticated_at=_moment(values["auth_time"]),
        issued_at=_moment(values["iat"]),
        expires_at=_moment(values["exp"]),
    )


def _text(value: object) -> str:
    if not isinstance(value, str):
        raise ValueError("a claim is no text")  # noqa: TRY004  # as above
    return value


def _uuid(value: object) -> UUID:
    found = UUID(_text(value))
    if str(found) != value:
        raise ValueError("an id is not spelt as we do")
    return found


def _moment(value: object) -> datetime:
    if type(value) is not int:
        raise ValueError("a time is no whole number of seconds")
    return _EPOCH + timedelta(seconds=value)
