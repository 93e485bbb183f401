"""An authenticator in software: it makes passkeys and signs with them as a browser would hand it on."""

from __future__ import annotations

import hashlib
import json
import secrets
import struct
from base64 import urlsafe_b64decode, urlsafe_b64encode
from dataclasses import dataclass, field

import cbor2
from cryptography.hazmat.primitives.asymmetric.ec import ECDSA, SECP256R1, EllipticCurvePrivateKey, generate_private_key
from cryptography.hazmat.primitives.hashes import SHA256
from pydantic import JsonValue

PRESENT, VERIFIED, ATTESTED = 0x01, 0x04, 0x40


def base64url(value: bytes) -> str:
    return urlsafe_b64encode(value).decode().rstrip("=")


def from_base64url(text: object) -> bytes:
    assert isinstance(text, str)
    return urlsafe_b64decode(text + "=" * (-len(text) % 4))


@dataclass(kw_only=True)
class Authenticator:
    """Holds one passkey, of the page ``origin``; ``count`` is its sign count, 0 for one that does not count."""

    origin: str
    count: int = 0
    verifies: bool = True
    key: EllipticCurvePrivateKey = field(default_factory=lambda: generate_private_key(SECP256R1()))
    credential_id: bytes = field(default_factory=lambda: secrets.token_bytes(32))
    handle: bytes = b""

    def create(self, options: dict[str, JsonValue]) -> dict[str, JsonValue]:
        """Answer ``navigator.credentials.create``."""
        party, user = options["rp"], options["user"]
        assert isinstance(party, dict)
        assert isinstance(user, dict)
        self.handle = from_base64url(user["id"])
        numbers = self.key.public_key().public_numbers()
        public = {1: 2, 3: -7, -1: 1, -2: numbers.x.to_bytes(32), -3: numbers.y.to_bytes(32)}
        attested = bytes(15) + b"\1" + struct.pack(">H", len(self.credential_id)) + self.credential_id
        data = self._data(str(party["id"]), ATTESTED) + attested + cbor2.dumps(public)
        attestation = cbor2.dumps({"fmt": "none", "attStmt": {}, "authData": data})
        return self._answer(
            attestationObject=base64url(attestation),
            clientDataJSON=base64url(self._client("webauthn.create", options["challenge"])),
        )

    def get(self, options: dict[str, JsonValue]) -> dict[str, JsonValue]:
        """Answer ``navigator.credentials.get``; an authenticator that counts counts one more."""
        self.count += bool(self.count)
        client = self._client("webauthn.get", options["challenge"])
        data = self._data(str(options["rpId"]), 0)
        signature = self.key.sign(data + hashlib.sha256(client).digest(), ECDSA(SHA256()))
        return self._answer(
            clientDataJSON=base64url(client),
            authenticatorData=base64url(data),
            signature=base64url(signature),
            userHandle=base64url(self.handle),
        )

    def _data(self, party: str, flags: int) -> bytes:
        flags |= PRESENT | (VERIFIED if self.verifies else 0)
        return hashlib.sha256(party.encode()).digest() + struct.pack(">BI", flags, self.count)

    def _client(self, kind: str, challenge: JsonValue) -> bytes:
        return json.dumps({"type": kind, "challenge": challenge, "origin": self.origin}).encode()

    def _answer(self, **response: JsonValue) -> dict[str, JsonValue]:
        name = base64url(self.credential_id)
        return {"id": name, "rawId": name, "type": "public-key", "response": response, "clientExtensionResults": {}}
