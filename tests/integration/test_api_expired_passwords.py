"""Signing in with a password that is older than the policy has it: nothing is opened until another one is chosen."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import timedelta
from typing import Any

import httpx
import pytest

from agentmem import AsyncMemory
from agentmem.features.identity.factors.totp import code_at, step_at
from agentmem.kit.clock import utc_now
from agentmem.schemas.access import Role
from agentmem.schemas.policies import FactorPolicy, PasswordPolicy
from tests.support.served import client
from tests.support.sign_ins import PASSWORD, Person, person_of

NEXT = "nine larks over the mill"
AFTER_THAT = "two wrens below the quay"


@pytest.fixture
async def ada(memory: AsyncMemory) -> Person:
    """An owner, of whom no second factor is asked for, and whose password may be 30 days old."""
    policies = memory.app.accounts.policies
    await policies.update(memory.app.caller, FactorPolicy(required_for=()))
    await policies.update(memory.app.caller, PasswordPolicy(max_age_days=30, history=2))
    return await person_of(memory.app, Role.OWNER)


@pytest.fixture
async def api(memory: AsyncMemory) -> AsyncIterator[httpx.AsyncClient]:
    """A client of a server that judges the age of passwords 31 days later."""
    factors = memory.app.factors
    keeping = replace(memory.app.accounts.keeping, clock=lambda: utc_now() + timedelta(days=31))
    aging = replace(factors.signing_in.aging, renewal=keeping)
    app = replace(memory.app, factors=replace(factors, signing_in=replace(factors.signing_in, aging=aging)))
    async with client(app, None) as opened:
        yield opened


async def sign_in(api: httpx.AsyncClient, person: Person, password: str = PASSWORD) -> Any:
    answer = await api.post("/v1/auth/sign-in", json={"email": person.email, "password": password})
    assert answer.status_code == 200, answer.text
    return answer.json()


async def choose(api: httpx.AsyncClient, challenge: str, password: str = NEXT) -> httpx.Response:
    return await api.post("/v1/auth/sign-in/password", json={"challenge": challenge, "password": password})


async def test_old_password_opens_no_session_but_lets_another_one_be_chosen_once(
    memory: AsyncMemory, api: httpx.AsyncClient, ada: Person
) -> None:
    async with client(memory.app, None) as before:
        earlier = await sign_in(before, ada)
    expired = await sign_in(api, ada)
    assert set(expired) == {"status", "challenge", "rules", "organization_id"}
    assert (expired["status"], expired["rules"]["max_age_days"]) == ("password_expired", 30)
    refused = await api.get("/v1/me", headers={"Authorization": f"Bearer {expired['challenge']}"})
    assert refused.status_code == 401

    for weak in (PASSWORD, "canary 1"):
        answer = await choose(api, expired["challenge"], weak)
        assert answer.json()["code"] == "password_weak"
        assert weak not in answer.text
    # On the server whose clock is right the next password is new.
    async with client(memory.app, None) as now:
        chosen = await choose(now, expired["challenge"])
        assert chosen.json()["status"] == "signed_in", chosen.text
        me = await now.get("/v1/me", headers={"Authorization": f"Bearer {chosen.json()['access_token']}"})
        assert me.json()["member_id"] == str(ada.member_id)
        again = await choose(now, expired["challenge"], AFTER_THAT)
        assert (again.status_code, again.json()["code"]) == (401, "unauthenticated")
        ended = await now.get("/v1/me", headers={"Authorization": f"Bearer {earlier['access_token']}"})
        assert ended.status_code == 401
        assert (await sign_in(now, ada, NEXT))["status"] == "signed_in"
        old = await now.post("/v1/auth/sign-in", json={"email": ada.email, "password": PASSWORD})
        assert old.status_code == 401


async def test_other_passwords_chosen_at_once_set_one(memory: AsyncMemory, api: httpx.AsyncClient, ada: Person) -> None:
    challenge = (await sign_in(api, ada))["challenge"]
    async with client(memory.app, None) as now:
        first, second = await asyncio.gather(choose(now, challenge), choose(now, challenge, AFTER_THAT))

    assert sorted((first.status_code, second.status_code)) == [200, 401]


async def test_factor_is_shown_before_an_old_password_is_replaced(
    memory: AsyncMemory, api: httpx.AsyncClient, ada: Person
) -> None:
    factors, step = memory.app.factors.secondary.factors, step_at(memory.app.database.clock())
    secret = (await factors.enrol_totp(ada.own)).secret
    await factors.confirm_totp(ada.own, code_at(secret, step - 1))
    asked = await sign_in(api, ada)
    assert asked["status"] == "factor_required"
    # What the password alone gets is no leave to replace it, under any name.
    for challenge in (asked["challenge"], asked["challenge"].replace("amc_", "amp_")):
        assert (await choose(api, challenge)).status_code == 401

    proof = {"challenge": asked["challenge"], "kind": "totp", "code": code_at(secret, step)}
    shown = (await api.post("/v1/auth/sign-in/factor", json=proof)).json()
    assert shown["status"] == "password_expired", shown
    async with client(memory.app, None) as now:
        chosen = (await choose(now, shown["challenge"])).json()
        headers = {"Authorization": f"Bearer {chosen['access_token']}"}
        (session,) = (await now.get("/v1/account/sessions", headers=headers)).json()["items"]
    assert session["level"] == "aal2"
