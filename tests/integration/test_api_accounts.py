"""Accounts over REST: what anybody may ask, what operators do, and what an organization asks of people."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from uuid import uuid4

import httpx
import pytest

from agentmem import AsyncMemory
from agentmem.bootstrap import App
from agentmem.pipelines.accounts.parts import Accounts
from agentmem.schemas.access import Permission
from tests.support.credentials import desk_of
from tests.support.mailbox import Mailbox
from tests.support.people import PASSWORD, account_of, address
from tests.support.served import api, client, operator_key, served_by
from tests.support.stores import Store
from tests.support.tenants import operator_of


@asynccontextmanager
async def anybody_of(app: App) -> AsyncIterator[httpx.AsyncClient]:
    """Give a client without a key, which no other test has used the limits of."""
    served = replace(served_by(app), admission=desk_of(app).admission)
    async with client(app, None, served=served) as anybody:
        yield anybody


def with_mail(app: App) -> App:
    """Give the application as one that sends mail, and lets anybody register."""
    settings = app.settings.model_copy(update={"open_registration": True})
    return replace(app, accounts=Accounts.over(app.database, app.state, app.accounts.passwords, Mailbox(), settings))


@pytest.mark.parametrize("path", ["register", "password/forgot", "unlock/request"])
async def test_answer_to_whoever_asks_for_a_mail_says_nothing_of_the_account(store: Store, path: str) -> None:
    known = await account_of(store.app, await operator_of(store.app))
    async with anybody_of(with_mail(store.app)) as anybody:
        answers = [await anybody.post(f"/v1/auth/{path}", json={"email": email}) for email in (known.email, address())]

    assert [answer.status_code for answer in answers] == [202, 202]
    assert answers[0].content == answers[1].content


async def test_secret_of_no_mail_is_not_found_and_not_repeated(store: Store) -> None:
    await operator_of(store.app)
    secret = "amt_kingfisher"  # no secret
    registration = {"secret": secret, "name": "Ada", "password": PASSWORD}
    async with anybody_of(store.app) as anybody:
        answers = [
            await anybody.post("/v1/auth/verify-email", json=registration),
            await anybody.post("/v1/auth/accept-invitation", json=registration),
            await anybody.post("/v1/auth/password/reset", json={"secret": secret, "password": PASSWORD}),
            await anybody.post("/v1/auth/unlock", json={"secret": secret}),
        ]

    assert [answer.status_code for answer in answers] == [404] * 4
    assert all(secret not in answer.text and PASSWORD not in answer.text for answer in answers)


async def test_field_that_is_wrong_is_named_and_no_password_is_shown(store: Store) -> None:
    body = {"secret": "x", "name": "", "password": "kingfisher" * 200}
    async with anybody_of(store.app) as anybody:
        answer = await anybody.post("/v1/auth/verify-email", json=body)

    assert answer.status_code == 422
    assert "kingfisher" not in answer.text
    assert {fault["field"] for fault in answer.json()["errors"]} == {"body.name", "body.password"}


async def test_installation_without_mail_says_so(store: Store) -> None:
    await operator_of(store.app)
    async with anybody_of(store.app) as anybody:
        answer = await anybody.post("/v1/auth/password/forgot", json={"email": address()})

    assert answer.status_code == 409


async def test_operator_looks_after_accounts(store: Store) -> None:
    account = await account_of(store.app, await operator_of(store.app))
    path = f"/v1/admin/accounts/{account.id}"
    async with client(store.app, await operator_key(store.app)) as operator:
        page = (await operator.get("/v1/admin/accounts?limit=1")).json()
        seen = await operator.get(path)
        disabled = await operator.post(f"{path}/disable", headers={"If-Match": seen.headers["etag"]})
        stale = await operator.post(f"{path}/enable", headers={"If-Match": seen.headers["etag"]})
        enabled = await operator.post(f"{path}/enable")
        unlocked = await operator.post(f"{path}/unlock")
        deleted = await operator.delete(path)
        gone = await operator.get(path)

    assert len(page["items"]) == 1
    assert seen.json()["email"] == account.email
    assert disabled.json()["disabled_at"] is not None
    assert (stale.status_code, stale.json()["code"]) == (412, "version_conflict")
    assert enabled.json()["disabled_at"] is None
    assert unlocked.status_code == 200
    assert (deleted.status_code, gone.status_code) == (204, 404)


async def test_policy_is_read_and_set_by_its_version(memory: AsyncMemory) -> None:
    path = "/v1/organization/policies/password"
    async with api(memory) as owner:
        before = await owner.get(path)
        policy = {"policy": {"kind": "password", "preset": "legacy", "min_length": 20}}
        changed = await owner.put(path, json=policy, headers={"If-Match": before.headers["etag"]})
        stale = await owner.put(path, json=policy, headers={"If-Match": before.headers["etag"]})
        other = await owner.put("/v1/organization/policies/sessions", json=policy)
        unknown = await owner.put(path, json={"policy": {"kind": "colour"}})
        lockout = await owner.put("/v1/organization/policies/lockout", json={"policy": {"kind": "lockout"}})
        nowhere = await owner.get("/v1/organization/policies/colour")
        kept = await owner.get(path, headers={"If-None-Match": changed.headers["etag"]})

    assert before.json()["policy"]["preset"] == "nist"
    assert changed.json()["policy"]["min_length"] == 20
    assert [answer.status_code for answer in (stale, other, unknown, lockout, nowhere, kept)] == [
        412, 422, 422, 409, 422, 304,
    ]  # fmt: skip
    assert other.json()["errors"][0]["field"] == "body.policy.kind"


async def test_owner_invites_and_takes_back(memory: AsyncMemory) -> None:
    async with api(memory) as owner:
        made = await owner.post("/v1/invitations", json={"email": address(), "role": "admin"})
        listed = await owner.get("/v1/invitations")
        gone = await owner.delete(f"/v1/invitations/{made.json()['id']}")
        nothing = await owner.delete(f"/v1/invitations/{uuid4()}")
        operator = await owner.post("/v1/invitations", json={"email": address(), "role": "operator"})

    assert [made.status_code, gone.status_code, nothing.status_code, operator.status_code] == [201, 204, 404, 403]
    assert listed.json()["items"] == [made.json()]


async def test_key_is_no_person_whatever_it_may(memory: AsyncMemory) -> None:
    async with api(memory) as owner:
        own = await owner.get("/v1/account")

    assert (own.status_code, own.json()["code"]) == (403, "permission_denied")
    assert Permission.ACCOUNT_USE.value in own.text


async def test_rules_of_passwords_are_readable(store: Store) -> None:
    await operator_of(store.app)
    async with anybody_of(store.app) as anybody:
        rules = (await anybody.get("/v1/auth/password/rules")).json()

    assert (rules["min_length"], rules["min_score"], rules["history"]) == (15, 3, 0)
