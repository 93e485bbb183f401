"""Signed requests as somebody makes them who has read RFC 9421 and not our client."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import UTC, datetime
from secrets import token_hex

import httpx
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from http_message_signatures import ContentDigest, HTTPMessageSigner, MappingKeyResolver, algorithms

from agentmem.schemas.request_keys import SignatureAlgorithm, read_key

COVERED = ("@method", "@target-uri", "content-type", "content-digest")
NO_BODY = ("@method", "@target-uri")


@dataclass
class Sent:
    """A request whose headers a signer fills in."""

    method: str
    url: str
    headers: dict[str, str] = field(default_factory=dict)


def sign(
    sent: Sent,
    algorithm: SignatureAlgorithm,
    key_id: str,
    secret: bytes,
    *,
    covered: tuple[str, ...] = COVERED,
    created: float | None = None,
    lasts: float = 300,
    nonce: str | None = None,
    tag: str = "agentmem-v1",
    include_alg: bool = True,
) -> Sent:
    """Sign a request in the profile, or a little beside it."""
    hmac = algorithm is SignatureAlgorithm.HMAC_SHA256
    private = secret if hmac else Ed25519PrivateKey.from_private_bytes(secret)
    signer = HTTPMessageSigner(
        signature_algorithm=algorithms.HMAC_SHA256 if hmac else algorithms.ED25519,
        key_resolver=MappingKeyResolver(public_keys={}, private_keys={key_id: private}),
    )
    moment = datetime.now(UTC).timestamp() if created is None else created
    signer.sign(
        sent,
        key_id=key_id,
        created=datetime.fromtimestamp(moment, UTC),
        expires=datetime.fromtimestamp(moment + lasts, UTC),
        nonce=token_hex(16) if nonce is None else nonce,
        label="sig1",
        tag=tag,
        include_alg=include_alg,
        covered_component_ids=covered,
        use_existing_digest="Content-Digest" in sent.headers,
    )
    return sent


def signed_post(base: str, path: str, body: bytes, api_key: str, signing_key: str, **parts: object) -> httpx.Request:
    """Make a signed POST of JSON."""
    headers = {
        "Authorization": f"Bearer {api_key}",
        "Content-Type": "application/json",
        "Content-Digest": ContentDigest.create(body),
    }
    sent = sign(Sent("POST", f"{base}{path}", headers), *read_key(signing_key), **parts)  # type: ignore[arg-type]
    return httpx.Request("POST", sent.url, headers=sent.headers, content=body)


def signed_get(base: str, path: str, api_key: str, signing_key: str, **parts: object) -> httpx.Request:
    """Make a signed GET."""
    sent = Sent("GET", f"{base}{path}", {"Authorization": f"Bearer {api_key}"})
    sign(sent, *read_key(signing_key), covered=NO_BODY, **parts)  # type: ignore[arg-type]  # as sign takes them
    return httpx.Request("GET", sent.url, headers=sent.headers)
