"""API keys over REST."""

from __future__ import annotations

import base64
import json
from collections.abc import AsyncIterator
from pathlib import Path

import httpx
import pytest
from cryptography.hazmat.primitives.asymmetric.ec import ECDSA, SECP256R1, generate_private_key
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from agentmem import AsyncMemory
from agentmem.schemas.organizations import OrganizationPatch
from tests.support.served import api, client


@pytest.fixture
async def owner_client(memory: AsyncMemory) -> AsyncIterator[httpx.AsyncClient]:
    """A client of an empty organization, with its owner's key."""
    async with api(memory) as opened:
        yield opened


async def test_key_is_made_shown_once_and_works(memory: AsyncMemory, owner_client: httpx.AsyncClient) -> None:
    made = await owner_client.post("/v1/api-keys", json={"name": "reader", "scopes": ["memory:read"]})
    assert made.status_code == 201
    read = await owner_client.get(made.headers["Location"])
    assert read.json() == made.json()["api_key"]
    assert made.json()["key"] not in (await owner_client.get("/v1/api-keys")).text
    async with client(memory.app, made.json()["key"]) as reader:
        assert (await reader.get("/v1/memories")).status_code == 200
        assert (await reader.post("/v1/memories", json={"content": "x"})).status_code == 403


async def test_revoked_key_is_refused(memory: AsyncMemory, owner_client: httpx.AsyncClient) -> None:
    made = (await owner_client.post("/v1/api-keys", json={"name": "gone"})).json()
    async with client(memory.app, made["key"]) as other:
        assert (await other.get("/v1/me")).status_code == 200
        revoked = await owner_client.delete(f"/v1/api-keys/{made['api_key']['id']}", params={"reason": "lost"})
        assert (revoked.status_code, revoked.json()["revoke_reason"]) == (200, "lost")
        assert (await other.get("/v1/me")).status_code == 401


async def test_key_is_revoked_at_the_version_that_was_seen(
    memory: AsyncMemory, owner_client: httpx.AsyncClient
) -> None:
    await memory.app.organizations.update(memory.app.caller, OrganizationPatch(require_if_match=True))
    memory.app.admission.forget([])
    made = (await owner_client.post("/v1/api-keys", json={"name": "one"})).json()
    path = f"/v1/api-keys/{made['api_key']['id']}"
    assert (await owner_client.delete(path)).status_code == 428
    renamed = await owner_client.patch(path, json={"name": "two"}, headers={"If-Match": '"1"'})
    lost = await owner_client.delete(path, headers={"If-Match": '"1"'})
    assert (lost.status_code, lost.json()["code"]) == (412, "version_conflict")
    async with client(memory.app, made["key"]) as other:
        assert (await other.get("/v1/me")).status_code == 200
    assert (await owner_client.delete(path, headers={"If-Match": renamed.headers["ETag"]})).status_code == 200


async def test_rotated_key_works_beside_its_successor(memory: AsyncMemory, owner_client: httpx.AsyncClient) -> None:
    made = (await owner_client.post("/v1/api-keys", json={"name": "old"})).json()
    path = f"/v1/api-keys/{made['api_key']['id']}"
    rotated = await owner_client.post(f"{path}/rotate", json={"overlap_seconds": 3600})
    assert rotated.json()["api_key"]["rotated_from"] == made["api_key"]["id"]
    for key in (made["key"], rotated.json()["key"]):
        async with client(memory.app, key) as other:
            assert (await other.get("/v1/me")).status_code == 200


async def test_reported_key_is_revoked_and_the_answer_tells_nothing(
    memory: AsyncMemory, owner_client: httpx.AsyncClient
) -> None:
    made = (await owner_client.post("/v1/api-keys", json={"name": "leaked"})).json()
    async with client(memory.app, None) as stranger:
        known = await stranger.post("/v1/secret-scanning/report", json={"key": made["key"]})
        unknown = await stranger.post("/v1/secret-scanning/report", json={"key": "amk_live_nothing"})
    assert (known.status_code, known.json()) == (unknown.status_code, unknown.json()) == (202, {"accepted": True})
    async with client(memory.app, made["key"]) as other:
        assert (await other.get("/v1/me")).status_code == 401


async def test_report_must_be_signed_where_a_public_key_is_set(memory: AsyncMemory, tmp_path: Path) -> None:
    private = generate_private_key(SECP256R1())
    public = tmp_path / "reporter.pem"
    public.write_bytes(private.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo))
    body = json.dumps({"key": "amk_live_nothing"}).encode()
    good = base64.b64encode(private.sign(body, ECDSA(SHA256()))).decode()
    other = base64.b64encode(generate_private_key(SECP256R1()).sign(body, ECDSA(SHA256()))).decode()
    async with api(memory, leak_report_key=public) as reporter:
        for signature, status in ((good, 202), (other, 401), ("", 401), ("no base64!", 401)):
            headers = {"X-Signature": signature, "Content-Type": "application/json"}
            answer = await reporter.post("/v1/secret-scanning/report", content=body, headers=headers)
            assert answer.status_code == status, answer.text
