"""Public test vectors (Wycheproof) through the primitives, called as the encryption modules call them."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import TypedDict

import pytest
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.hmac import HMAC
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from agentmem.foundation.encryption.seal import NONCE_BYTES, TAG_BYTES
from agentmem.foundation.encryption.secret import KEY_BYTES


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
