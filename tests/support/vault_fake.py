"""A fake of Vault's transit engine: what its HTTP API documents, for derived keys of AES-256-GCM.

No Vault can be had where these tests run: what they show of the adapter is unverified against a real one.
"""

from __future__ import annotations

import base64
import json
import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

TOKEN = "hvs.the-secret-of-this-test"


class Refused(Exception):
    def __init__(self, status: int, *errors: str) -> None:
        self.status, self.errors = status, list(errors)


@dataclass
class TransitKey:
    derived: bool
    versions: dict[int, bytes] = field(default_factory=lambda: {1: os.urandom(32)})
    least: int = 1

    def cipher(self, version: int, context: str) -> AESGCM:
        return AESGCM(HKDF(SHA256(), 32, b"", base64.b64decode(context)).derive(self.versions[version]))


@dataclass
class Vault:
    """The engine's keys; ``down`` makes it answer that it is sealed."""

    url: str = ""
    keys: dict[str, TransitKey] = field(default_factory=dict)
    down: bool = False
    requests: int = 0

    def answer(self, method: str, path: str, token: str | None, body: dict[str, Any]) -> object:
        self.requests += 1
        if self.down:
            raise Refused(503, "Vault is sealed")
        if token != TOKEN:
            raise Refused(403, "permission denied")
        verb, *rest = path.removeprefix("/v1/transit/").split("/")
        if verb == "keys" and rest[1:] == [] and method == "POST":
            self.keys[rest[0]] = TransitKey(derived=body["derived"])
            return None
        name = rest[-1] if verb != "keys" else rest[0]
        if name not in self.keys:
            raise Refused(404)
        key = self.keys[name]
        if verb == "keys":
            return self._administer(key, rest[1:], body)
        if verb == "datakey":
            plaintext = base64.b64encode(os.urandom(32)).decode()
            return {"plaintext": plaintext, "ciphertext": _seal(key, plaintext, body["context"])}
        plaintext = _open(key, body["ciphertext"], body["context"])
        return {"plaintext": plaintext} if verb == "decrypt" else {"ciphertext": _seal(key, plaintext, body["context"])}

    def _administer(self, key: TransitKey, rest: list[str], body: dict[str, Any]) -> object:
        if rest == ["rotate"]:
            key.versions[max(key.versions) + 1] = os.urandom(32)
        elif rest == ["config"]:
            key.least = body["min_decryption_version"]
        elif rest == ["trim"]:
            for version in [version for version in key.versions if version < body["min_available_version"]]:
                del key.versions[version]
        else:
            return {
                "derived": key.derived,
                "latest_version": max(key.versions),
                "min_decryption_version": key.least,
                "keys": {str(version): 0 for version in key.versions},
            }
        return None


def _seal(key: TransitKey, plaintext: str, context: str) -> str:
    version, nonce = max(key.versions), os.urandom(12)
    sealed = nonce + key.cipher(version, context).encrypt(nonce, plaintext.encode(), None)
    return f"vault:v{version}:{base64.b64encode(sealed).decode()}"


def _open(key: TransitKey, ciphertext: str, context: str) -> str:
    try:
        prefix, version, encoded = ciphertext.split(":")
        sealed, number = base64.b64decode(encoded, validate=True), int(version.removeprefix("v"))
    except ValueError:
        raise Refused(400, "invalid ciphertext: could not be decoded") from None
    if prefix != "vault" or number > max(key.versions):
        raise Refused(400, "invalid ciphertext: version is too new")
    if number < key.least:
        raise Refused(400, "ciphertext or signature version is disallowed by policy (too old)")
    try:
        return key.cipher(number, context).decrypt(sealed[:12], sealed[12:], None).decode()
    except (InvalidTag, ValueError):
        raise Refused(400, "cipher: message authentication failed") from None


@contextmanager
def serving_vault() -> Iterator[Vault]:
    vault = Vault()

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def _handle(self) -> None:
            body = json.loads(self.rfile.read(int(self.headers.get("Content-Length", 0))) or b"{}")
            try:
                data = vault.answer(self.command, self.path, self.headers.get("X-Vault-Token"), body)
                status, reply = (204, b"") if data is None else (200, json.dumps({"data": data}).encode())
            except Refused as refused:
                status, reply = refused.status, json.dumps({"errors": refused.errors}).encode()
            self.send_response(status)
            self.send_header("Content-Length", str(len(reply)))
            self.end_headers()
            self.wfile.write(reply)

        do_GET = do_POST = _handle  # noqa: N815 (the base class names them so)

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002 (the base class names it so)
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        vault.url = f"http://127.0.0.1:{server.server_port}"
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
        thread.start()
        try:
            yield vault
        finally:
            server.shutdown()
            thread.join()
