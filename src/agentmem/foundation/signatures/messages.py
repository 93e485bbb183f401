"""Signed requests (RFC 9421, with the digest of RFC 9530), in the one profile that is taken: ``agentmem-v1``."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Annotated, Final, cast

import http_message_signatures as vendor
import http_sf
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from http_message_signatures import algorithms
from http_message_signatures.exceptions import HTTPMessageSignaturesException
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from agentmem.errors import InvalidSignature
from agentmem.foundation.signatures.keys import VerifyingKey
from agentmem.schemas.request_keys import (
    ALWAYS_COVERED,
    COVERED_IF_SENT,
    NONCE_PATTERN,
    SKEW_SECONDS,
    TAG,
    SignatureAlgorithm,
)

_Members = dict[str, tuple[object, dict[str, object]]]
INPUT: Final = "signature-input"
DIGEST: Final = "content-digest"
_HINT: Final = "Sign the request anew, as the page about signed requests says."
_ALGORITHMS: Final = {
    SignatureAlgorithm.ED25519: algorithms.ED25519,
    SignatureAlgorithm.HMAC_SHA256: algorithms.HMAC_SHA256,
}


@dataclass(frozen=True, slots=True)
class Fields:
    """The header fields of a request, in the order in which they came."""

    pairs: tuple[tuple[str, str], ...]

    def items(self) -> Iterable[tuple[str, str]]:
        """Give each line with its name in lower case."""
        return self.pairs

    def has(self, name: str) -> bool:
        """Tell whether there is a field of this name."""
        return any(name == given for given, _ in self.pairs)

    def value(self, name: str) -> str:
        """Give all lines of a field as one value."""
        return ", ".join(value for given, value in self.pairs if given == name)


@dataclass(frozen=True, kw_only=True, slots=True)
class Message:
    """What of a request a signature covers; ``url`` is where clients reach the server, and not what they say of it."""

    method: str
    url: str
    headers: Fields


class Claim(BaseModel):
    """What a signature says of itself; the times are seconds since 1970."""

    model_config = ConfigDict(frozen=True, strict=True, extra="ignore")

    keyid: str
    alg: str
    nonce: Annotated[str, Field(pattern=NONCE_PATTERN)]
    created: int
    expires: int


def read_claim(fields: Fields) -> Claim | None:
    """Read what the signature of our tag claims; ``None`` if there is none.

    Raises :class:`InvalidSignature` for what is malformed, lacks a parameter, or is there twice.
    """
    if not fields.has(INPUT):
        return None
    try:
        members = cast("_Members", http_sf.parse(fields.value(INPUT).encode("latin-1"), tltype="dictionary"))
    except (ValueError, TypeError):
        raise InvalidSignature("The header Signature-Input is malformed.", hint=_HINT) from None
    tagged = [said for _, said in members.values() if said.get("tag") == TAG]
    if not tagged:
        return None
    if len(tagged) > 1:
        raise InvalidSignature(f"More than one signature has the tag {TAG}.", hint=_HINT)
    try:
        return Claim.model_validate(tagged[0])
    except ValidationError:
        raise InvalidSignature(
            "The signature lacks one of created, expires, nonce (128 random bits or more), keyid and alg.", hint=_HINT
        ) from None


def check_time(claim: Claim, now: float) -> None:
    """Raise :class:`InvalidSignature` unless a signature was made lately, and is good still."""
    if abs(now - claim.created) > SKEW_SECONDS:
        raise InvalidSignature(
            f"By the server's clock the signature was made {now - claim.created:.0f} seconds ago, not {SKEW_SECONDS}.",
            hint="Set the clock, and sign the request anew.",
        )
    if not 0 < claim.expires - claim.created <= SKEW_SECONDS or now > claim.expires:
        raise InvalidSignature(
            f"The signature has expired, or is good for more than {SKEW_SECONDS} seconds.", hint=_HINT
        )


def check_signature(message: Message, claim: Claim, key: VerifyingKey, *, body: bool) -> None:
    """Raise :class:`InvalidSignature` unless the key made the signature, over all that the profile asks for.

    ``body`` says whether there is one: its digest must be covered then.
    """
    if claim.alg != key.algorithm.value:
        raise InvalidSignature("The algorithm of the signature is not that of its key.", hint=_HINT)
    sent = (name for name in COVERED_IF_SENT if message.headers.has(name) or (body and name == DIGEST))
    verifier = vendor.HTTPMessageVerifier(
        signature_algorithm=_ALGORITHMS[key.algorithm],
        key_resolver=vendor.MappingKeyResolver(public_keys={claim.keyid: _public(key)}, private_keys={}),
    )
    # The times have been checked, by a clock that tests may move.
    verifier.max_clock_skew = timedelta(days=36_500)
    try:
        verifier.verify(message, max_age=None, expect_tag=TAG, require_components=(*ALWAYS_COVERED, *sent))
    except HTTPMessageSignaturesException:
        raise InvalidSignature("The signature does not hold, or covers too little.", hint=_HINT) from None


def check_digest(fields: Fields, body: bytes) -> None:
    """Raise :class:`InvalidSignature` unless a body, if there is one, is what its digest says."""
    if not body and not fields.has(DIGEST):
        return
    try:
        vendor.ContentDigest.verify(fields.value(DIGEST), body)
    except HTTPMessageSignaturesException:
        raise InvalidSignature("The body is not what Content-Digest says.", hint=_HINT) from None


def fields_of(raw: Sequence[tuple[bytes, bytes]]) -> Fields:
    """Read header fields as a server has them."""
    return Fields(tuple((name.decode("latin-1").lower(), value.decode("latin-1")) for name, value in raw))


def _public(key: VerifyingKey) -> bytes | Ed25519PublicKey:
    hmac = key.algorithm is SignatureAlgorithm.HMAC_SHA256
    return key.material if hmac else Ed25519PublicKey.from_public_bytes(key.material)
