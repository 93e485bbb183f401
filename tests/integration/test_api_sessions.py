"""Signing in over HTTP: tokens and cookies, sessions, keys that others check by, and sign-ins that are too old."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import timedelta
from ipaddress import IPv6Address
from typing import Any
from uuid import uuid4

import httpx
import pytest

from agentmem import AsyncMemory
from agentmem.bootstrap import App
from agentmem.entrypoints.api.cookies import ACCESS, REFRESH
from agentmem.foundation.authorization.caller import local_operator
from agentmem.foundation.authorization.platform import platform_id
from agentmem.schemas.access import Role
from agentmem.schemas.policies import FactorPolicy
from tests.support.credentials import moved
from tests.support.served import BASE_URL, client, key_of, operator_key
from tests.support.sign_ins import PASSWORD, Person, gatehouse_of, person_of
from tests.support.stores import Store

OWN_PAGE = {"Origin": BASE_URL}
FOREIGN_PAGE = {"Origin": "https://evil.example"}
FORM = {"Content-Type": "application/x-www-form-urlencoded"}


@pytest.fixture
async def ada(memory: AsyncMemory) -> Person:
    """An owner, of whom no second factor is asked for."""
    await memory.app.accounts.policies.update(memory.app.caller, FactorPolicy(required_for=()))
    return await person_of(memory.app, Role.OWNER)


@pytest.fixture
async def api(memory: AsyncMemory, ada: Person) -> AsyncIterator[httpx.AsyncClient]:
    """A client that presents nothing by itself, at an address of its own: failures are limited for each."""
    async with client(memory.app, None, address=str(IPv6Address(uuid4().int))) as opened:
        yield opened


def bearer(token: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {token}"}


async def sign_in(
    api: httpx.AsyncClient, person: Person, *, headers: dict[str, str] | None = None, **more: object
) -> Any:
    answer = await api.post(
        "/v1/auth/sign-in", json={"email": person.email, "password": PASSWORD, **more}, headers=headers
    )
    assert answer.status_code == 200, answer.text
    return answer.json()


async def test_from_a_password_to_the_organization_and_out_again(api: httpx.AsyncClient, ada: Person) -> None:
    tokens = await sign_in(api, ada)
    me = await api.get("/v1/me", headers=bearer(tokens["access_token"]))
    assert me.json()["member_id"] == str(ada.member_id)
    assert me.json()["api_key_id"] is None

    refreshed = await api.post("/v1/auth/refresh", json={"refresh_token": tokens["refresh_token"]})
    assert refreshed.status_code == 200
    access = bearer(refreshed.json()["access_token"])
    (session,) = (await api.get("/v1/account/sessions", headers=access)).json()["items"]
    assert session["current"]
    assert session["id"] == tokens["session_id"]
    assert (await api.post("/v1/auth/sign-out", headers=access)).status_code == 204
    assert (await api.get("/v1/me", headers=access)).status_code == 401
    again = await api.post("/v1/auth/refresh", json={"refresh_token": refreshed.json()["refresh_token"]})
    assert (again.status_code, again.json()["code"]) == (401, "invalid_grant")


async def test_wrong_password_is_refused_and_nothing_of_it_is_said(api: httpx.AsyncClient, ada: Person) -> None:
    answer = await api.post("/v1/auth/sign-in", json={"email": ada.email, "password": "canary-wrong-password"})

    assert (answer.status_code, answer.json()["code"]) == (401, "unauthenticated")
    assert "canary" not in answer.text
    assert ada.email not in answer.text


async def test_key_has_no_account_and_no_sessions(memory: AsyncMemory, api: httpx.AsyncClient) -> None:
    key = bearer(await key_of(memory))

    assert (await api.get("/v1/account/sessions", headers=key)).status_code == 403
    assert (await api.post("/v1/auth/sign-out", headers=key)).status_code == 403


async def test_browser_gets_cookies_that_no_script_reads(api: httpx.AsyncClient, ada: Person) -> None:
    asked = {"email": ada.email, "password": PASSWORD, "cookies": True}
    answer = await api.post("/v1/auth/sign-in", json=asked, headers=OWN_PAGE)

    assert answer.json()["access_token"] is answer.json()["refresh_token"] is None
    set_cookies = answer.headers.get_list("set-cookie")
    assert {cookie.partition("=")[0] for cookie in set_cookies} == {ACCESS, REFRESH}
    for cookie in set_cookies:
        assert {"httponly", "secure", "path=/", "samesite=strict"} <= {
            part.strip().lower() for part in cookie.split(";")
        }
        assert "domain" not in cookie.lower()


async def test_only_pages_of_ours_act_with_cookies(api: httpx.AsyncClient, ada: Person) -> None:
    asked = {"email": ada.email, "password": PASSWORD, "cookies": True}
    assert (await api.post("/v1/auth/sign-in", json=asked, headers=FOREIGN_PAGE)).status_code == 403
    answer = await api.post("/v1/auth/sign-in", json=asked, headers=OWN_PAGE)
    jar = {"Cookie": "; ".join(cookie.partition(";")[0] for cookie in answer.headers.get_list("set-cookie"))}

    statuses = {}
    for name, page in {
        "own": OWN_PAGE,
        "same": {"Sec-Fetch-Site": "same-origin"},
        "foreign": FOREIGN_PAGE,
        "null": {"Origin": "null"},
        "cross": {"Sec-Fetch-Site": "cross-site"},
        "sibling": {"Sec-Fetch-Site": "same-site"},
        "silent": {},
    }.items():
        statuses[name] = (
            (await api.get("/v1/me", headers={**jar, **page})).status_code,
            (await api.delete("/v1/account/sessions", headers={**jar, **page})).status_code,
            (await api.post("/v1/auth/refresh", json={}, headers={**jar, **page})).status_code,
        )
        if statuses[name][2] == 200:
            renewed = await api.post("/v1/auth/refresh", json={}, headers={**jar, **page})
            cookies = renewed.headers.get_list("set-cookie")
            jar = {"Cookie": "; ".join(cookie.partition(";")[0] for cookie in cookies)}
    assert statuses == {
        "own": (200, 200, 200),
        "same": (200, 200, 200),
        "foreign": (403, 403, 403),
        "null": (403, 403, 403),
        "cross": (403, 403, 403),
        "sibling": (403, 403, 403),
        "silent": (200, 403, 403),
    }
    out = await api.post("/v1/auth/sign-out", headers={**jar, **OWN_PAGE})
    assert out.status_code == 204
    assert all("max-age=0" in cookie.lower() for cookie in out.headers.get_list("set-cookie"))


async def test_signing_in_from_a_session_replaces_it(api: httpx.AsyncClient, ada: Person) -> None:
    old = await sign_in(api, ada)
    new = await sign_in(api, ada, headers=bearer(old["access_token"]))

    assert new["session_id"] != old["session_id"]
    assert (await api.get("/v1/me", headers=bearer(old["access_token"]))).status_code == 401
    assert (await api.get("/v1/me", headers=bearer(new["access_token"]))).status_code == 200


async def test_sensitive_calls_ask_for_a_recent_sign_in_of_people(
    memory: AsyncMemory, api: httpx.AsyncClient, ada: Person
) -> None:
    tokens = await sign_in(api, ada)
    later = replace(memory.app, database=moved(memory.app, minutes=16))
    async with client(later, tokens["access_token"]) as then:
        refused = await then.post("/v1/api-keys", json={"name": "another"})
        read = await then.get("/v1/api-keys")
    async with client(later, await key_of(memory)) as then:
        by_key = await then.post("/v1/api-keys", json={"name": "another"})

    assert (refused.status_code, refused.json()["code"]) == (401, "insufficient_user_authentication")
    assert 'max_age="900"' in refused.headers["www-authenticate"]
    assert read.status_code == 200
    assert by_key.status_code == 201
    made = await api.post("/v1/api-keys", json={"name": "another"}, headers=bearer(tokens["access_token"]))
    assert made.status_code == 201
    assert "account:use" not in made.json()["api_key"]["scopes"]


async def test_revocation_and_introspection_take_forms_as_their_standards_say(
    memory: AsyncMemory, api: httpx.AsyncClient, ada: Person
) -> None:
    tokens, key = await sign_in(api, ada), await key_of(memory)
    told = await api.post(
        "/v1/auth/introspect", content=f"token={tokens['access_token']}", headers={**FORM, **bearer(key)}
    )
    assert told.json()["active"]
    assert told.json()["sub"] == str(ada.account_id)
    assert (await api.post("/v1/auth/introspect", content="token=x", headers=FORM)).status_code == 401

    for text in (tokens["refresh_token"], tokens["refresh_token"], "no-token-of-ours"):
        ended = await api.post("/v1/auth/revoke", content=f"token={text}&token_type_hint=refresh_token", headers=FORM)
        assert (ended.status_code, ended.json()) == (200, {"revoked": True})
    told = await api.post("/v1/auth/introspect", json={"token": tokens["access_token"]}, headers=bearer(key))
    assert told.json() == {**dict.fromkeys(told.json()), "active": False}
    for wrong in ("token=a&token=b", "token=%ff", "&&"):
        assert (await api.post("/v1/auth/revoke", content=wrong, headers=FORM)).status_code in {400, 422}


async def test_tokens_of_other_organizations_are_unknown_to_a_key(
    store: Store, api: httpx.AsyncClient, ada: Person
) -> None:
    tokens, other = await sign_in(api, ada), await store.organization()
    asked = {"token": tokens["access_token"]}

    of_other = await api.post("/v1/auth/introspect", json=asked, headers=bearer(await key_of(other)))
    assert not of_other.json()["active"]
    of_operator = await api.post("/v1/auth/introspect", json=asked, headers=bearer(await operator_key(store.app)))
    assert of_operator.json()["active"]


async def test_operators_list_and_end_the_sessions_of_an_account(
    store: Store, api: httpx.AsyncClient, ada: Person
) -> None:
    first, second = await sign_in(api, ada), await sign_in(api, ada)
    key, path = bearer(await operator_key(store.app)), f"/v1/admin/accounts/{ada.account_id}/sessions"

    listed = (await api.get(path, headers=key)).json()["items"]
    assert [session["id"] for session in listed] == [first["session_id"], second["session_id"]]
    assert (await api.delete(f"{path}/{first['session_id']}", headers=key)).status_code == 204
    assert (await api.delete(f"{path}/{first['session_id']}", headers=key)).status_code == 404
    assert (await api.delete(path, headers=key)).json() == {"ended": 1}
    assert (await api.get("/v1/me", headers=bearer(second["access_token"]))).status_code == 401
    assert (await api.get(path, headers=bearer(await key_of_owner(store.app)))).status_code == 403


async def key_of_owner(app: App) -> str:
    memory = AsyncMemory(organization="shared")
    memory._opened = app
    return await key_of(memory)


async def test_keys_are_published_and_rotated_with_overlap(store: Store, api: httpx.AsyncClient, ada: Person) -> None:
    tokens = await sign_in(api, ada)
    key = bearer(await operator_key(store.app))
    before = await api.get("/.well-known/jwks.json")
    assert before.headers["cache-control"] == "public, max-age=300"
    known = {one["kid"] for one in before.json()["keys"]}
    assert all(set(one) == {"kty", "crv", "x", "kid", "alg", "use"} for one in before.json()["keys"])

    listed = (await api.post("/v1/admin/signing-keys/rotate", json={}, headers=key)).json()["items"]
    (new,) = [one for one in listed if one["kid"] not in known]
    store.app.admission.people.keys._read = None
    assert new["kid"] in {one["kid"] for one in (await api.get("/.well-known/jwks.json")).json()["keys"]}
    assert new["signs_from"] > new["created_at"]
    assert (await api.get("/v1/me", headers=bearer(tokens["access_token"]))).status_code == 200


async def test_lost_key_checks_nothing_any_more(store: Store, ada: Person) -> None:
    gatehouse = gatehouse_of(store.app)
    tokens = await gatehouse.sign_in(ada)
    await gatehouse.signing_in.keys.service.rotate(local_operator(platform_id()), at_once=True)
    gatehouse.desk.ticks.seconds += 1

    with pytest.raises(Exception, match="no valid"):
        await gatehouse.caller(tokens)
    assert tokens.refresh_token is not None
    again = await gatehouse.signing_in.refresh(tokens.refresh_token)
    assert (await gatehouse.caller(again)).account_id == ada.account_id


async def test_key_gives_way_to_the_next_when_its_days_are_over(store: Store, ada: Person) -> None:
    now = gatehouse_of(store.app)
    await now.sign_in(ada)
    platform = local_operator(platform_id())
    service = now.signing_in.keys.service
    first = (await service.every(platform))[-1]
    assert not await service.due(platform, timedelta(days=30))
    late = gatehouse_of(store.app, database=moved(store.app, days=30))
    await late.signing_in.sweep(platform)
    listed = await late.signing_in.keys.service.every(platform)
    await late.signing_in.sweep(platform)

    assert len(await late.signing_in.keys.service.every(platform)) == len(listed)
    (new,) = [one for one in listed if one.checks_until is None]
    old = next(one for one in listed if one.id == first.id)
    assert old.checks_until is not None
    assert old.checks_until > new.signs_from
