"""What people do over REST at two servers: an account from its invitation to its end, with sessions and a factor."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import pytest

from agentmem import AsyncClient, Client, Person
from agentmem.errors import ConfigurationError, InvalidGrant, Unauthenticated
from agentmem.features.identity.factors.totp import code_at
from tests.support.embedded_server import open_folder
from tests.support.people_site import PeopleSite, now_step, people_site

FIRST = "eleven storks beside the lock"
SECOND = "nine larks over the mill"
THIRD = "two wrens below the quay"


@pytest.fixture(scope="module")
async def site() -> AsyncIterator[PeopleSite]:
    with open_folder() as folder:
        async with people_site(folder) as started:
            yield started


async def test_account_from_its_invitation_to_its_end(site: PeopleSite) -> None:
    email = await site.person(FIRST)
    here, there = await site.sign_in(email, FIRST), await site.sign_in(email, FIRST, at=1)
    token, other = here["access_token"], there["access_token"]

    own = await site.ask("GET", "/v1/account", token=token)
    assert (own.json()["email"], own.headers["etag"]) == (email, f'"{own.json()["version"]}"')
    assert (await site.ask("GET", "/v1/account", token=token, If_None_Match=own.headers["etag"])).status_code == 304

    wrong = {"present": SECOND, "password": THIRD}
    assert (await site.ask("PUT", "/v1/account/password", wrong, token=token)).status_code == 401
    assert await site.statuses(other) == [200, 200]
    await site.done("PUT", "/v1/account/password", {"present": FIRST, "password": SECOND}, token=token)
    for ended in (other, token):
        await site.refused(ended)
    for tokens in (here, there):
        answer = await site.ask("POST", "/v1/auth/refresh", {"refresh_token": tokens["refresh_token"]}, at=1)
        assert (answer.status_code, answer.json()["code"]) == (401, "invalid_grant")
    assert (await site.ask("POST", "/v1/auth/sign-in", {"email": email, "password": FIRST})).status_code == 401

    await site.done("POST", "/v1/auth/password/forgot", {"email": email})
    reset = {"secret": await site.mailed(email), "password": THIRD}
    await site.done("POST", "/v1/auth/password/reset", reset, at=1)
    assert (await site.ask("POST", "/v1/auth/password/reset", reset)).status_code == 404
    token = (await site.sign_in(email, THIRD))["access_token"]
    version = (await site.done("GET", "/v1/account", token=token))["version"]
    stale = await site.ask("DELETE", "/v1/account", token=token, If_Match=f'"{version + 1}"')
    assert (stale.status_code, stale.json()["code"]) == (412, "version_conflict")
    await site.done("DELETE", "/v1/account", token=token, If_Match=f'"{version}"')
    await site.refused(token)
    assert (await site.ask("POST", "/v1/auth/sign-in", {"email": email, "password": THIRD})).status_code == 401


async def test_sessions_are_listed_and_ended_one_by_one_and_all_but_ones_own(site: PeopleSite) -> None:
    email = await site.person(FIRST)
    mine, second, third, fourth = [await site.sign_in(email, FIRST, at=number % 2) for number in range(4)]
    token = mine["access_token"]
    listed = (await site.done("GET", "/v1/account/sessions", token=token, at=1))["items"]
    assert [one["id"] for one in listed] == [one["session_id"] for one in (mine, second, third, fourth)]
    assert [one["current"] for one in listed] == [True, False, False, False]

    await site.done("DELETE", f"/v1/account/sessions/{second['session_id']}", token=token)
    await site.refused(second["access_token"])
    assert await site.statuses(third["access_token"]) == [200, 200]
    assert await site.done("DELETE", "/v1/account/sessions", token=token, at=1) == {"ended": 2}
    for ended in (third, fourth):
        await site.refused(ended["access_token"])
    assert await site.statuses(token) == [200, 200]


async def test_app_that_was_added_is_asked_for_at_every_server(site: PeopleSite) -> None:
    email = await site.person(FIRST)
    token = (await site.sign_in(email, FIRST))["access_token"]
    secret = await site.add_app(token)

    asked = await site.sign_in(email, FIRST, at=1)
    assert (asked["status"], asked["factors"]) == ("factor_required", ["totp"])
    proof = {"challenge": asked["challenge"], "kind": "totp", "code": code_at(secret, now_step())}
    shown = await site.done("POST", "/v1/auth/sign-in/factor", proof)
    again = await site.ask("POST", "/v1/auth/sign-in/factor", proof, at=1)
    assert again.status_code == 401
    sessions = (await site.done("GET", "/v1/account/sessions", token=shown["access_token"], at=1))["items"]
    assert {one["level"] for one in sessions if one["current"]} == {"aal2"}


def refreshes(site: PeopleSite) -> int:
    """Count the exchanges that the first server has taken."""
    first = site.running[0]
    return (first.printed + first.said).count("/v1/auth/refresh")


async def test_client_of_a_person_exchanges_its_tokens_once_for_all_calls_that_wait(site: PeopleSite) -> None:
    email = await site.person(FIRST)
    ada = Person(email=email, password=FIRST)
    async with AsyncClient(base_url=site.running[0].url, person=ada) as memory:
        assert (await memory.me()).api_key_id is None
        assert ada.password is None
        first, before = ada.refresh_token, refreshes(site)
        ada.access_token = "ended.in.between"
        await asyncio.gather(*(memory.me() for _ in range(20)))
        assert ada.refresh_token != first
        await asyncio.sleep(0.2)  # until the last line is read
        assert refreshes(site) == before + 1
    assert FIRST not in repr(ada)
    assert str(ada.refresh_token) not in repr(ada)

    again = Person(refresh_token=ada.refresh_token)
    await asyncio.to_thread(in_threads, site.running[0].url, again)
    with pytest.raises(InvalidGrant):
        async with AsyncClient(base_url=site.running[0].url, person=again) as memory:
            await memory.me()


def in_threads(url: str, person: Person) -> None:
    """Use a person's client, until their session is ended."""
    with Client(base_url=url, person=person) as memory:
        assert memory.me().role == "member"
        person.access_token = "ended.in.between"
        added = memory.add("Ada likes green tea")
        assert memory.get(added.memories[0].id).content == "Ada likes green tea"
        memory._connection._http.post("/v1/auth/sign-out").raise_for_status()


async def test_client_of_a_person_says_what_it_cannot_do(site: PeopleSite) -> None:
    email = await site.person(FIRST)
    await site.add_app((await site.sign_in(email, FIRST))["access_token"])
    url = site.running[0].url
    async with AsyncClient(base_url=url, person=Person(email=email, password=FIRST)) as memory:
        with pytest.raises(Unauthenticated, match="factor_required"):
            await memory.me()
    async with AsyncClient(base_url=url, person=Person(email=email, password=SECOND)) as memory:
        with pytest.raises(Unauthenticated, match="password is wrong"):
            await memory.me()
    with pytest.raises(ConfigurationError, match="not both"):
        Client(site.key, base_url=url, person=Person(refresh_token="amr_"))
    with pytest.raises(ConfigurationError, match="refresh_token, or"):
        Person(email=email)
