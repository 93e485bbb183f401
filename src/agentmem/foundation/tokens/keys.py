"""Keys that sign access tokens: Ed25519, named by their thumbprint (RFC 7638), told to others as JWKs (RFC 8037)."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

from joserfc.jwk import OKPKey

ALGORITHM: Final = "EdDSA"
CURVE: Final = "Ed25519"


@dataclass(frozen=True, kw_only=True, slots=True)
class PublicKey:
    """What checks a signature, and what others are told of it."""

    kid: str
    jwk: Mapping[str, str]
    key: OKPKey = field(repr=False, compare=False)


@dataclass(frozen=True, kw_only=True, slots=True)
class PrivateKey:
    """What makes a signature; its text is only ever stored sealed."""

    kid: str
    public: PublicKey
    key: OKPKey = field(repr=False, compare=False)

    def text(self) -> bytes:
        """Give the key whole, to be sealed."""
        return json.dumps(self.key.as_dict(private=True)).encode()


def new_private_key() -> PrivateKey:
    """Make a key from the system's random numbers."""
    return _private(OKPKey.generate_key(CURVE))


def read_private_key(text: bytes) -> PrivateKey:
    """Read a key that :meth:`PrivateKey.text` gave."""
    return _private(OKPKey.import_key(json.loads(text)))


def read_public_key(jwk: Mapping[str, str]) -> PublicKey:
    """Read the public half of a key, as it is told to others."""
    known = {name: jwk[name] for name in ("kty", "crv", "x")}
    key = OKPKey.import_key(dict(known))
    kid = key.thumbprint()
    return PublicKey(kid=kid, jwk={**known, "kid": kid, "alg": ALGORITHM, "use": "sig"}, key=key)


def _private(key: OKPKey) -> PrivateKey:
    told = {name: str(value) for name, value in key.as_dict(private=False).items()}
    public = read_public_key(told)
    return PrivateKey(kid=public.kid, public=public, key=key)
