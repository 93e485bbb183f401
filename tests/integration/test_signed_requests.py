"""Signed requests at the server: taken once and unchanged, from whoever holds a signing key of the API key."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from dataclasses import dataclass, replace
from datetime import timedelta
from secrets import token_hex

import httpx
import pytest
from http_message_signatures import ContentDigest

from agentmem import AsyncClient, AsyncMemory, errors
from agentmem.bootstrap import App
from agentmem.entrypoints.api.application import create_api
from agentmem.foundation.state.fallback import FallbackState
from agentmem.foundation.state.memory import MemoryState
from agentmem.foundation.state.port import PUBLIC
from agentmem.foundation.state.redis import RedisState
from agentmem.kit.clock import utc_now
from agentmem.pipelines.admission.signatures import SINCE, Signatures
from agentmem.schemas.access import Role
from agentmem.schemas.policies import FactorPolicy
from agentmem.schemas.request_keys import SignatureAlgorithm, read_key, to_text
from tests.support.foreign_programs import needs_npm, run_script
from tests.support.served import BASE_URL, client, key_of, served_by
from tests.support.sign_ins import gatehouse_of, person_of
from tests.support.signers import signed_get, signed_post
from tests.support.states import NOWHERE

BODY = json.dumps({"content": "Ada likes green tea"}).encode()
ALGORITHMS = pytest.mark.parametrize("algorithm", list(SignatureAlgorithm))


@dataclass(frozen=True, kw_only=True)
class Signer:
    """A server that knows its address, a key of it, and one that signs."""

    app: App
    api_key: str
    signing_key: str
    http: httpx.AsyncClient

    async def post(self, path: str = "/v1/memories", body: bytes = BODY, **parts: object) -> httpx.Response:
        return await self.http.send(signed_post(BASE_URL, path, body, self.api_key, self.signing_key, **parts))

    async def get(self, path: str, **parts: object) -> httpx.Response:
        return await self.http.send(signed_get(BASE_URL, path, self.api_key, self.signing_key, **parts))

    @property
    def key_id(self) -> str:
        return self.api_key.split("_")[2]


async def signing_key_of(app: App, api_key: str, algorithm: SignatureAlgorithm = SignatureAlgorithm.ED25519) -> str:
    async with client(app, api_key) as opened:
        key_id = api_key.split("_")[2]
        body = {"name": "a test", "algorithm": algorithm.value}
        made = await opened.post(f"/v1/api-keys/{key_id}/signing-keys", json=body)
        assert made.status_code == 201, made.text
        return str(made.json()["key"])


async def knows_its_address(memory: AsyncMemory) -> App:
    """Give the application of a server that has been up for a while."""
    await memory.app.state.once(PUBLIC, SINCE, b"0", seconds=600)
    return replace(memory.app, settings=memory.app.settings.model_copy(update={"public_url": f"{BASE_URL}/"}))


@pytest.fixture(params=list(SignatureAlgorithm))
async def signer(memory: AsyncMemory, request: pytest.FixtureRequest) -> AsyncIterator[Signer]:
    app = await knows_its_address(memory)
    api_key = await key_of(memory)
    signing_key = await signing_key_of(app, api_key, request.param)
    async with client(app, None) as http:
        yield Signer(app=app, api_key=api_key, signing_key=signing_key, http=http)


async def test_signed_request_is_taken_and_its_body_read(signer: Signer) -> None:
    added = await signer.post()
    assert added.status_code == 201, added.text
    listed = await signer.get("/v1/memories?limit=10&user_id=a%20b")
    assert (listed.status_code, listed.json()["items"]) == (200, [])
    assert [item["content"] for item in (await signer.get("/v1/memories")).json()["items"]] == ["Ada likes green tea"]


async def test_request_is_taken_once(signer: Signer) -> None:
    request = signed_post(BASE_URL, "/v1/memories", BODY, signer.api_key, signer.signing_key)
    first, second = await signer.http.send(request), await signer.http.send(request)
    other = await signer.get("/v1/me", nonce="0123456789abcdef0123456789abcdef")
    again = await signer.get("/v1/stats", nonce="0123456789abcdef0123456789abcdef")

    assert (first.status_code, other.status_code) == (201, 200)
    for refused in (second, again):
        assert (refused.status_code, refused.json()["code"]) == (401, "signature_invalid")
        assert "used before" in refused.json()["detail"]


async def test_request_that_was_changed_on_its_way_is_refused(signer: Signer) -> None:
    def signed() -> httpx.Request:
        return signed_post(BASE_URL, "/v1/memories", BODY, signer.api_key, signer.signing_key)

    body = httpx.Request("POST", f"{BASE_URL}/v1/memories", headers=signed().headers, content=BODY.replace(b"t", b"d"))
    method = httpx.Request("PUT", f"{BASE_URL}/v1/memories", headers=signed().headers, content=BODY)
    method_known = httpx.Request("DELETE", f"{BASE_URL}/v1/memories", headers=signed().headers, content=BODY)
    path = httpx.Request("POST", f"{BASE_URL}/v1/memories/search", headers=signed().headers, content=BODY)
    query = httpx.Request("POST", f"{BASE_URL}/v1/memories?a=b", headers=signed().headers, content=BODY)
    dropped = signed()
    del dropped.headers["content-digest"]
    for changed in (body, method_known, path, query, dropped):
        refused = await signer.http.send(changed)
        assert (refused.status_code, refused.json()["code"]) == (401, "signature_invalid"), changed
    assert (await signer.http.send(method)).status_code == 405
    assert (await signer.get("/v1/memories")).json()["items"] == []


async def test_host_header_of_a_stranger_decides_nothing(signer: Signer) -> None:
    request = signed_get("https://elsewhere.example", "/v1/me", signer.api_key, signer.signing_key)
    request.headers["Host"] = "elsewhere.example"

    assert (await signer.http.send(request)).status_code == 401


async def test_signing_key_of_another_api_key_signs_nothing(memory: AsyncMemory, signer: Signer) -> None:
    other = await key_of(memory, name="another")
    stolen = replace(signer, signing_key=await signing_key_of(signer.app, other))

    refused = await stolen.post()
    assert (refused.status_code, refused.json()["code"]) == (401, "signature_invalid")


async def test_revoked_signing_key_signs_nothing_more(signer: Signer) -> None:
    assert (await signer.get("/v1/me")).status_code == 200
    key_id = signer.signing_key.split("_")[2]
    async with client(signer.app, signer.api_key) as unsigned:
        path = f"/v1/api-keys/{signer.key_id}/signing-keys"
        ended = await unsigned.delete(f"{path}/{key_id}")
        assert ended.json()["revoked_at"] == (await unsigned.delete(f"{path}/{key_id}")).json()["revoked_at"]
        (listed,) = (await unsigned.get(path)).json()["items"]

    assert listed == ended.json()
    assert (await signer.get("/v1/me")).status_code == 401


async def test_what_was_refused_is_in_the_audit_trail_without_a_word_of_it(signer: Signer) -> None:
    await signer.post(created=0.0)
    entries = await signer.app.audit.read(signer.app.caller, None, 100)
    (noted,) = [entry for entry in entries if entry.action == "request.refused"]

    assert noted.detail["signature"] == "invalid"
    assert noted.detail["route"] == "POST /v1/memories"


async def test_nothing_is_taken_while_nobody_knows_what_was_sent_before(signer: Signer) -> None:
    away = FallbackState(RedisState(NOWHERE), MemoryState())
    for state, wanted in ((away, 503), (MemoryState(), 503)):
        app = replace(signer.app, signatures=Signatures(state=state))
        async with client(app, None) as http:
            refused = await replace(signer, http=http).get("/v1/me")
            unsigned = await http.get("/v1/me", headers={"Authorization": f"Bearer {signer.api_key}"})
        assert (refused.status_code, refused.json()["code"]) == (wanted, "state_unavailable")
        assert unsigned.status_code == 200
        await state.aclose()


async def test_request_sent_before_the_state_was_emptied_is_not_taken_again(signer: Signer) -> None:
    state = MemoryState()
    await state.once(PUBLIC, SINCE, b"0", seconds=600)
    request = signed_get(BASE_URL, "/v1/me", signer.api_key, signer.signing_key)
    emptied = MemoryState()
    later = Signatures(state=emptied, clock=lambda: utc_now() + timedelta(seconds=30))
    for signatures, wanted in ((Signatures(state=state), 200), (later, 503), (later, 401)):
        async with client(replace(signer.app, signatures=signatures), None) as http:
            assert (await http.send(request)).status_code == wanted


async def test_server_that_does_not_know_its_address_takes_no_signature(memory: AsyncMemory, signer: Signer) -> None:
    async with client(memory.app, None) as http:
        refused = await replace(signer, http=http).get("/v1/me")

    assert refused.status_code == 401
    assert "AGENTMEM_PUBLIC_URL" in refused.json()["detail"]


async def test_stream_is_not_signed(signer: Signer) -> None:
    refused = await signer.post("/v1/memories/import", b'"tea"\n')

    assert refused.status_code == 401
    assert "any length" in refused.json()["detail"]


async def test_client_signs_with_one_option(signer: Signer) -> None:
    transport = httpx.ASGITransport(create_api(served_by(signer.app)))
    async with AsyncClient(
        signer.api_key, base_url=BASE_URL, insecure=True, signing_key=signer.signing_key, transport=transport
    ) as memory:
        added = await memory.add("Ada likes green tea", idempotency_key="once")
        await memory.update(added.memories[0].id, content="Ada likes white tea", if_version=1)
        assert [hit.memory.content for hit in (await memory.search("tea?", user_id=None)).hits] == [
            "Ada likes white tea"
        ]
        assert (await memory.import_(['"one more"'])).imported == 1
        await memory.keys.revoke_signing_key(signer.key_id, signer.signing_key.split("_")[2])
        with pytest.raises(errors.InvalidSignature):
            await memory.me()


def test_client_refuses_what_is_no_signing_key_and_shows_none(signer: Signer) -> None:
    with pytest.raises(errors.ConfigurationError) as caught:
        AsyncClient(signer.api_key, signing_key=signer.signing_key[:-1])
    assert signer.signing_key[-20:-1] not in str(caught.value)
    assert signer.signing_key[-20:] not in repr(AsyncClient(signer.api_key, signing_key=signer.signing_key))


async def test_public_key_of_a_pair_of_ones_own_is_enough(memory: AsyncMemory, signer: Signer) -> None:
    async with client(memory.app, signer.api_key) as opened:
        path = f"/v1/api-keys/{signer.key_id}/signing-keys"
        own = {"name": "mine", "public_key": "JrQLj5P_89iXES9-vFgrIy29clF9CC_oPPsw3c5D0bs"}
        made = (await opened.post(path, json=own)).json()
        short = await opened.post(path, json={**own, "public_key": own["public_key"][:-1]})
        wrong = await opened.post(path, json={**own, "algorithm": "hmac-sha256"})

    assert (made["key"], made["request_key"]["public_key"]) == (None, own["public_key"])
    assert (short.status_code, wrong.status_code) == (422, 422)


async def test_organization_that_demands_signatures_takes_nothing_else(signer: Signer) -> None:
    async with client(signer.app, signer.api_key) as unsigned:
        policy = {"policy": {"kind": "signing", "required": True}}
        assert (await unsigned.put("/v1/organization/policies/signing", json=policy)).status_code == 200
        signer.app.admission.forget([])
        refused = await unsigned.get("/v1/me")
        streamed = await unsigned.post("/v1/memories/import", content=b'"tea"\n')

    assert (refused.status_code, refused.json()["code"]) == (401, "signature_invalid")
    assert streamed.status_code == 401
    assert (await signer.get("/v1/me")).status_code == 200


@needs_npm
async def test_signature_of_a_foreign_program_is_taken_once(signer: Signer) -> None:
    algorithm, key_id, secret = read_key(signer.signing_key)
    headers = {
        "Authorization": f"Bearer {signer.api_key}",
        "Content-Type": "application/json",
        "Content-Digest": ContentDigest.create(BODY),
    }
    asked = {
        "method": "POST",
        "url": f"{BASE_URL}/v1/memories",
        "headers": headers,
        "id": key_id,
        "algorithm": algorithm.value,
        "secret": to_text(secret),
        "fields": ["@method", "@target-uri", "content-type", "content-digest"],
        "nonce": token_hex(16),
    }
    signed = await asyncio.to_thread(run_script, "sign.mjs", asked)
    statuses = [
        (await signer.http.post("/v1/memories", headers=signed, content=body)).status_code
        for body in (BODY.replace(b"tea", b"pea"), BODY, BODY)
    ]

    assert statuses == [401, 201, 401]


async def test_signatures_are_demanded_by_nobody_who_could_send_none_unless_forced(memory: AsyncMemory) -> None:
    path, policy = "/v1/organization/policies/signing", {"policy": {"kind": "signing", "required": True}}
    api_key = await key_of(memory)
    async with client(memory.app, api_key) as nameless:
        refused = await nameless.put(path, json=policy)
    assert (refused.status_code, refused.json()["code"]) == (409, "conflict")
    assert "AGENTMEM_PUBLIC_URL" in refused.json()["hint"]

    app = await knows_its_address(memory)
    await memory.app.accounts.policies.update(memory.app.caller, FactorPolicy(required_for=()))
    ada = await person_of(memory.app, Role.OWNER)
    token = (await gatehouse_of(memory.app).sign_in(ada)).access_token
    async with client(app, api_key) as unsigned, client(app, token) as person:
        refused = await unsigned.put(path, json=policy)
        assert (refused.status_code, refused.json()["code"]) == (409, "conflict")
        assert "nothing signs for it" in refused.json()["detail"]
        assert (await unsigned.put(path, json={"policy": {"kind": "signing"}})).status_code == 200
        assert (await unsigned.put(path, json=policy, params={"force": "true"})).status_code == 200
        app.admission.forget([])
        assert (await unsigned.get("/v1/me")).status_code == 401
        # People sign nothing: they demand it of keys, and take it back.
        off = {"policy": {"kind": "signing", "required": False}}
        assert [(await person.put(path, json=body)).status_code for body in (off, policy, off)] == [200] * 3
        app.admission.forget([])
        assert (await unsigned.get("/v1/me")).status_code == 200
        await signing_key_of(app, api_key)
        assert (await unsigned.put(path, json=policy)).status_code == 200
