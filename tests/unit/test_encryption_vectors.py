"""Public test vectors (Wycheproof) through the primitives as they are called here, and through the seals over them."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import TypedDict
from uuid import UUID

import pytest
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.hmac import HMAC
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from agentmem.errors import DecryptionFailed
from agentmem.foundation.encryption.seal import HEADER_BYTES, NONCE_BYTES, TAG_BYTES, Keyring, SealingKey
from agentmem.foundation.encryption.secret import KEY_BYTES, SecretKey
from agentmem.kit.ids import KeyId, OrganizationId

NAMES = ("memories", "content")
OF_ROW = 24
"""How many bytes of the associated data name the row and its version; they come last."""


class Vector(TypedDict):
    """One test of a Wycheproof file; its values are hexadecimal."""

    tcId: int
    result: str
    key: str
    iv: str
    aad: str
    msg: str
    ct: str
    tag: str
    ikm: str
    salt: str
    info: str
    size: int
    okm: str


def vectors(shared_data: Path, name: str) -> Iterator[Vector]:
    for group in json.loads((shared_data / "wycheproof" / name).read_text())["testGroups"]:
        yield from group["tests"]


def is_ours(vector: Vector) -> bool:
    """Tell whether key, nonce and tag have the sizes of our format."""
    sizes = [len(bytes.fromhex(text)) for text in (vector["key"], vector["iv"], vector["tag"])]
    return sizes == [KEY_BYTES, NONCE_BYTES, TAG_BYTES]


def test_every_aes_gcm_vector_of_our_sizes_opens_if_and_only_if_it_is_valid(shared_data: Path) -> None:
    ours = [vector for vector in vectors(shared_data, "aes_gcm_test.json") if is_ours(vector)]
    for vector in ours:
        aead, nonce, associated_data = AESGCM(bytes.fromhex(vector["key"])), vector["iv"], vector["aad"]
        arguments = bytes.fromhex(nonce), bytes.fromhex(vector["ct"] + vector["tag"]), bytes.fromhex(associated_data)
        buffer = bytearray(len(vector["ct"]) // 2)
        if vector["result"] == "valid":
            assert aead.decrypt(*arguments).hex() == vector["msg"], vector["tcId"]
            aead.decrypt_into(*arguments, buffer)
            assert buffer.hex() == vector["msg"], vector["tcId"]
            sealed = aead.encrypt(arguments[0], bytes.fromhex(vector["msg"]), arguments[2])
            assert sealed == arguments[1], vector["tcId"]
        else:
            with pytest.raises(InvalidTag):
                aead.decrypt(*arguments)
            with pytest.raises(InvalidTag):
                aead.decrypt_into(*arguments, buffer)
    assert {vector["result"] for vector in ours} == {"valid", "invalid"}
    assert len(ours) == 66


class Bare(SealingKey):
    """A key that binds to what a vector says, and not to the name of a column, before it comes to the row."""

    def __init__(self, vector: Vector) -> None:
        super().__init__(
            organization_id=OrganizationId(UUID(int=1)),
            key_id=KeyId(UUID(int=vector["tcId"])),
            key=SecretKey(bytearray.fromhex(vector["key"])),
        )
        self.said = bytes.fromhex(vector["aad"])

    def place(self, table: str, column: str) -> tuple[AESGCM, bytes]:
        return super().place(table, column)[0], self.said[:-OF_ROW]


def test_every_aes_gcm_vector_whose_data_could_end_with_a_row_opens_as_one(shared_data: Path) -> None:
    long = [one for one in vectors(shared_data, "aes_gcm_test.json") if is_ours(one) and len(one["aad"]) >= OF_ROW * 2]
    for vector in long:
        key = Bare(vector)
        row_id, version = UUID(bytes=key.said[-OF_ROW:-8]), int.from_bytes(key.said[-8:])
        blob = key.header + bytes.fromhex(vector["iv"] + vector["ct"] + vector["tag"])
        assert Keyring(active=key).opener(*NAMES)(row_id, version, blob).hex() == vector["msg"], vector["tcId"]
    assert len(long) == 13


def test_every_aes_gcm_vector_moved_to_a_place_of_ours_opens_if_and_only_if_it_is_valid(shared_data: Path) -> None:
    """Key, nonce, text and what is wrong with the tag are the vector's; only the associated data is of our format."""
    row_id, version, count = UUID(int=7), 3, 0
    for vector in filter(is_ours, vectors(shared_data, "aes_gcm_test.json")):
        key = SealingKey(
            organization_id=OrganizationId(UUID(int=1)),
            key_id=KeyId(UUID(int=vector["tcId"])),
            key=SecretKey(bytearray.fromhex(vector["key"])),
        )
        keyring, text, nonce = Keyring(active=key), bytes.fromhex(vector["msg"]), bytes.fromhex(vector["iv"])
        cipher = AESGCM(bytes.fromhex(vector["key"]))
        here = key.place(*NAMES)[1] + row_id.bytes + version.to_bytes(8)
        right = cipher.encrypt(nonce, text, bytes.fromhex(vector["aad"]))[-TAG_BYTES:]
        wrong = int.from_bytes(right) ^ int(vector["tag"], 16)
        moved = cipher.encrypt(nonce, text, here)
        tag = (int.from_bytes(moved[-TAG_BYTES:]) ^ wrong).to_bytes(TAG_BYTES)
        blob = key.header + nonce + moved[:-TAG_BYTES] + tag
        if vector["result"] == "valid":
            assert keyring.opener(*NAMES)(row_id, version, blob) == text, vector["tcId"]
            sealed = keyring.sealer(*NAMES)(row_id, version, text)
            at = HEADER_BYTES + NONCE_BYTES
            assert cipher.decrypt(sealed[HEADER_BYTES:at], sealed[at:], here) == text, vector["tcId"]
        else:
            with pytest.raises(DecryptionFailed):
                keyring.opener(*NAMES)(row_id, version, blob)
        count += 1
    assert count == 66


def test_every_hmac_vector_is_reproduced_by_a_copied_state_if_and_only_if_it_is_valid(shared_data: Path) -> None:
    count = 0
    for vector in vectors(shared_data, "hmac_sha256_test.json"):
        keyed = HMAC(bytes.fromhex(vector["key"]), SHA256())
        for _ in range(2):  # the second copy must not have been touched by the first
            mac = keyed.copy()
            mac.update(bytes.fromhex(vector["msg"]))
            tag = mac.finalize()[: len(vector["tag"]) // 2]
            assert (tag.hex() == vector["tag"]) is (vector["result"] == "valid"), vector["tcId"]
        count += 1
    assert count == 174


def test_every_hkdf_vector_is_reproduced_into_a_buffer_if_and_only_if_it_is_valid(shared_data: Path) -> None:
    count = 0
    for vector in vectors(shared_data, "hkdf_sha256_test.json"):
        salt, info = bytes.fromhex(vector["salt"]), bytes.fromhex(vector["info"])
        buffer = bytearray(vector["size"])
        if vector["result"] == "valid":
            hkdf = HKDF(algorithm=SHA256(), length=vector["size"], salt=salt, info=info)
            hkdf.derive_into(bytes.fromhex(vector["ikm"]), buffer)
            assert buffer.hex() == vector["okm"], vector["tcId"]
        else:
            with pytest.raises(ValueError, match="Cannot derive keys larger"):
                HKDF(algorithm=SHA256(), length=vector["size"], salt=salt, info=info)
        count += 1
    assert count == 86
