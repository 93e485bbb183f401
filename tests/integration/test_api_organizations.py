"""Organizations, members, roles, audit and maintenance over REST."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from dataclasses import replace
from ipaddress import ip_address
from uuid import uuid4

import httpx
import pytest

from agentmem import AsyncMemory
from agentmem.features.organizations.model import founding_caller
from agentmem.foundation.ledger.requests import Begun
from agentmem.kit.ids import OrganizationId
from agentmem.pipelines.admission.admission import Presented
from agentmem.pipelines.admission.first_start import first_key
from agentmem.schemas.access import Role
from agentmem.schemas.organizations import NewOrganization
from tests.support.served import api, client, operator_key
from tests.support.stores import Store

ORGANIZATIONS = "/v1/platform/organizations"


@pytest.fixture
async def owner_client(memory: AsyncMemory) -> AsyncIterator[httpx.AsyncClient]:
    """A client of an empty organization, with its owner's key."""
    async with api(memory) as opened:
        yield opened


async def test_me_tells_who_a_key_acts_as(memory: AsyncMemory) -> None:
    async with api(memory, role=Role.VIEWER) as client:
        me = (await client.get("/v1/me")).json()
    assert me["organization_id"] == str(memory.app.caller.organization_id)
    assert me["role"] == "viewer"
    assert me["permissions"] == ["memory:read", "organization:read", "usage:read"]


async def test_organization_is_changed_at_the_version_that_was_read(owner_client: httpx.AsyncClient) -> None:
    tag = (await owner_client.get("/v1/organization")).headers["ETag"]
    changed = await owner_client.patch("/v1/organization", json={"max_key_days": 30}, headers={"If-Match": tag})
    assert (changed.status_code, changed.json()["max_key_days"]) == (200, 30)
    lost = await owner_client.patch("/v1/organization", json={"max_key_days": 40}, headers={"If-Match": tag})
    assert lost.status_code == 412


async def test_deletion_of_an_organization_is_taken_back_by_its_owner(owner_client: httpx.AsyncClient) -> None:
    deleting = await owner_client.delete("/v1/organization", params={"grace_days": 3})
    assert (deleting.json()["status"], deleting.json()["purge_after"] is None) == ("deleting", False)
    assert (await owner_client.post("/v1/organization/restore")).json()["status"] == "active"


async def test_member_is_created_changed_and_disabled(owner_client: httpx.AsyncClient) -> None:
    created = await owner_client.post("/v1/members", json={"name": "bot", "role": "service"})
    assert created.status_code == 201
    path = created.headers["Location"]
    assert (await owner_client.get(path)).json() == created.json()
    assert (await owner_client.patch(path, json={"role": "viewer"})).json()["role"] == "viewer"
    assert (await owner_client.delete(path)).json()["disabled_at"] is not None
    names = [item["name"] for item in (await owner_client.get("/v1/members")).json()["items"]]
    assert "bot" in names


async def test_roles_are_listed_with_what_they_may_do(owner_client: httpx.AsyncClient) -> None:
    roles = {item["role"]: item["permissions"] for item in (await owner_client.get("/v1/roles")).json()["items"]}
    assert roles["service"] == ["memory:delete", "memory:read", "memory:write"]


async def test_audit_trail_is_read_exported_and_verified(owner_client: httpx.AsyncClient) -> None:
    await owner_client.post("/v1/memories", json={"content": "canary of content"})
    found = await owner_client.get("/v1/audit", params={"action": "memory.added"})
    assert len(found.json()["items"]) == 1
    exported = await owner_client.get("/v1/audit/export")
    actions = [json.loads(line)["action"] for line in exported.text.splitlines()]
    assert "memory.added" in actions
    assert "canary" not in exported.text
    assert (await owner_client.post("/v1/audit/verify")).json()["whole"]


async def test_maintenance_answers_and_another_model_is_refused(owner_client: httpx.AsyncClient) -> None:
    assert (await owner_client.post("/v1/maintenance/doctor", json={})).json()["healthy"]
    other = await owner_client.post("/v1/maintenance/reembed", json={"model": "/etc"})
    assert (other.status_code, other.json()["errors"][0]["field"]) == (422, "body.model")


async def test_info_shows_an_owner_nothing_of_the_server(owner_client: httpx.AsyncClient) -> None:
    info = (await owner_client.get("/v1/info")).json()
    assert (info["settings"], info["data_directory"], info["database_bytes"]) == ({}, None, 0)


async def test_operator_creates_limits_suspends_and_deletes_an_organization(memory: AsyncMemory) -> None:
    async with client(memory.app, await operator_key(memory.app)) as operator:
        created = await operator.post("/v1/platform/organizations", json={"name": f"acme {uuid4().hex}"})
        assert created.status_code == 201, created.text
        path, key = created.headers["Location"], created.json()["key"]
        assert (await operator.patch(path, json={"memories": 1})).json()["limits"]["memories"] == 1
        async with client(memory.app, key) as owner:
            assert (await owner.get("/v1/me")).json()["role"] == "owner"
            suspended = await operator.post(f"{path}/suspend", json={"reason": "unpaid"})
            assert suspended.json()["status"] == "suspended"
        assert (await operator.post(f"{path}/resume")).json()["status"] == "active"
        assert (await operator.delete(path)).json()["status"] == "deleting"
        assert (await operator.post(f"{path}/restore")).json()["status"] == "active"


async def test_organization_is_deleted_at_the_version_that_was_seen(memory: AsyncMemory) -> None:
    async with client(memory.app, await operator_key(memory.app)) as operator:
        created = await operator.post("/v1/platform/organizations", json={"name": f"acme {uuid4().hex}"})
        path, seen = created.headers["Location"], {"If-Match": created.headers["ETag"]}
        async with client(memory.app, created.json()["key"]) as owner:
            changed = await owner.patch("/v1/organization", json={"require_if_match": True}, headers=seen)
            memory.app.admission.forget([])
            assert (await owner.delete("/v1/organization")).status_code == 428
            for caller, of in ((owner, "/v1/organization"), (operator, path)):
                lost = await caller.delete(of, headers=seen)
                assert (lost.status_code, lost.json()["code"]) == (412, "version_conflict"), of
            deleted = await owner.delete("/v1/organization", headers={"If-Match": changed.headers["ETag"]})
        assert (deleted.status_code, deleted.json()["status"]) == (200, "deleting")
        again = await operator.delete(path, headers={"If-Match": deleted.headers["ETag"]})
        assert again.status_code == 200


async def test_owner_may_not_do_what_operators_do(owner_client: httpx.AsyncClient) -> None:
    for method, path in (("GET", ""), ("POST", ""), ("GET", f"/{uuid4()}"), ("DELETE", f"/{uuid4()}")):
        answer = await owner_client.request(method, f"/v1/platform/organizations{path}", json={"name": "x"})
        assert answer.status_code == 403, (method, path)


@pytest.mark.parametrize("done", ["nothing", "the organization", "its key"])
async def test_creation_that_was_cut_off_is_finished_by_repeating_it(store: Store, done: str) -> None:
    app, text, key = store.app, await operator_key(store.app), f"once-{uuid4().hex}"
    presented = Presented(authorization=f"Bearer {text}", address=ip_address("127.0.0.1"), request_id="cut off")
    caller = (await app.admission.admit(presented, 1)).caller
    begun = await app.requests.begin(caller, f"POST {ORGANIZATIONS}", key, None, lease=0)
    assert isinstance(begun, Begun)
    unseen = None
    if done != "nothing":
        made = await app.platform.create(caller, NewOrganization(name="Acme"), begun.made_id)
        if done == "its key":
            target = founding_caller(replace(caller, organization_id=OrganizationId(made.id)))
            unseen = await first_key(app.issuing, target)

    async with client(app, text) as operator:
        headers = {"Idempotency-Key": key}
        answer = await operator.post(ORGANIZATIONS, json={"name": "Acme"}, headers=headers)
        again = await operator.post(ORGANIZATIONS, json={"name": "Acme"}, headers=headers)
    assert answer.status_code == 201, answer.text
    assert answer.json()["organization"]["id"] == str(begun.made_id)
    assert again.json() == {**answer.json(), "key": None}
    async with client(app, answer.json()["key"]) as owner:
        assert (await owner.get("/v1/me")).json()["role"] == "owner"
        keys = (await owner.get("/v1/api-keys")).json()["items"]
    working = [each["id"] for each in keys if each["revoked_at"] is None]
    assert working == [answer.json()["api_key"]["id"]]
    assert len(keys) == (1 if unseen is None else 2)
