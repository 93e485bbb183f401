"""Requests that the client signs (RFC 9421), so that nobody on their way can change or repeat them."""

from __future__ import annotations

import secrets
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Final

import httpx

from agentmem.errors import ConfigurationError
from agentmem.schemas.request_keys import (
    ALWAYS_COVERED,
    COVERED_IF_SENT,
    SKEW_SECONDS,
    TAG,
    SignatureAlgorithm,
    read_key,
)

if TYPE_CHECKING:
    from http_message_signatures import HTTPMessageSigner

_LABEL: Final = "agentmem"
_NONCE_BYTES: Final = 16


class RequestSigner:
    """Signs with one key; each signature is made once, and good for five minutes."""

    def __init__(self, text: str) -> None:
        """Read a key; raises :class:`ConfigurationError` for what is none, or where nothing can sign."""
        try:
            algorithm, self._key_id, secret = read_key(text)
        except ValueError:
            raise ConfigurationError(
                "signing_key is not a key that signs requests.", hint="They begin with ams_ed25519_ or ams_hmac_."
            ) from None
        self._signer = _signer(algorithm, self._key_id, secret)

    def sign(self, request: httpx.Request, body: bytes | None) -> None:
        """Sign a request that is ready to be sent, with the digest of its body."""
        created = datetime.now(UTC)
        self._signer.sign(
            request,
            key_id=self._key_id,
            created=created,
            expires=created + timedelta(seconds=SKEW_SECONDS),
            nonce=secrets.token_urlsafe(_NONCE_BYTES),
            label=_LABEL,
            tag=TAG,
            covered_component_ids=(*ALWAYS_COVERED, *(name for name in COVERED_IF_SENT if name in request.headers)),
            body=body,
        )

    def __repr__(self) -> str:
        return f"RequestSigner({self._key_id}, ***)"


def _signer(algorithm: SignatureAlgorithm, key_id: str, secret: bytes) -> HTTPMessageSigner:
    try:
        from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey  # noqa: PLC0415
        from http_message_signatures import HTTPMessageSigner, MappingKeyResolver, algorithms  # noqa: PLC0415
    except ModuleNotFoundError:  # who signs nothing needs neither
        raise ConfigurationError(
            "Signing requests needs a package that is not installed.", hint="pip install http-message-signatures"
        ) from None
    if algorithm is SignatureAlgorithm.HMAC_SHA256:
        resolver = MappingKeyResolver(public_keys={}, private_keys={key_id: secret})
        return HTTPMessageSigner(signature_algorithm=algorithms.HMAC_SHA256, key_resolver=resolver)
    private = Ed25519PrivateKey.from_private_bytes(secret)
    resolver = MappingKeyResolver(public_keys={}, private_keys={key_id: private})
    return HTTPMessageSigner(signature_algorithm=algorithms.ED25519, key_resolver=resolver)
