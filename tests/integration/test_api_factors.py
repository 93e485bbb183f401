"""Second factors over HTTP: from a first sign-in, which leads to adding one, to their removal and reset."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import replace
from typing import Any

import httpx
import pytest

from agentmem import AsyncMemory
from agentmem.features.identity.factors.totp import code_at, step_at
from agentmem.schemas.access import Role
from tests.support.authenticator import Authenticator
from tests.support.credentials import moved
from tests.support.second_factors import ORIGIN
from tests.support.served import client, key_of, operator_key
from tests.support.sign_ins import PASSWORD, Person, person_of

Json = dict[str, Any]


@pytest.fixture
async def ada(memory: AsyncMemory) -> Person:
    return await person_of(memory.app, Role.OWNER)


@pytest.fixture
async def api(memory: AsyncMemory) -> AsyncIterator[httpx.AsyncClient]:
    """A client that presents nothing by itself, of a server that browsers find at one address."""
    factors = memory.app.factors
    passkeys = replace(factors.secondary.passkeys, public_url=ORIGIN)
    secondary = replace(factors.secondary, passkeys=passkeys)
    signing_in = replace(factors.signing_in, factors=secondary)
    factors = replace(factors, secondary=secondary, signing_in=signing_in)
    app = replace(memory.app, factors=factors)
    async with client(app, None) as opened:
        yield opened


async def post(api: httpx.AsyncClient, path: str, body: Json | None = None, token: str | None = None) -> httpx.Response:
    headers = {} if token is None else {"Authorization": f"Bearer {token}"}
    return await api.post(path, json=body, headers=headers)


async def begun(api: httpx.AsyncClient, person: Person) -> Json:
    """Sign in as far as a password goes."""
    answer = await post(api, "/v1/auth/sign-in", {"email": person.email, "password": PASSWORD})
    assert answer.status_code == 200, answer.text
    told: Json = answer.json()
    return told


def step(memory: AsyncMemory) -> int:
    return step_at(memory.app.database.clock())


async def enrolled(api: httpx.AsyncClient, memory: AsyncMemory, person: Person) -> tuple[str, str]:
    """Sign in for the first time, and add an app: give the access token and the app's secret."""
    owed = await begun(api, person)
    choice = {"challenge": owed["challenge"], "kind": "totp"}
    secret = (await post(api, "/v1/auth/sign-in/factor/begin", choice)).json()["totp"]["secret"]
    shown = await post(api, "/v1/auth/sign-in/factor", {**choice, "code": code_at(secret, step(memory) - 1)})
    assert shown.status_code == 200, shown.text
    return shown.json()["access_token"], secret


async def test_a_sign_in_that_owes_a_factor_opens_no_session_and_its_challenge_is_no_token(
    api: httpx.AsyncClient, ada: Person
) -> None:
    owed = await begun(api, ada)

    assert owed["status"] == "enrolment_required"
    assert set(owed) == {"status", "challenge", "factors", "organization_id"}
    for path in ("/v1/me", "/v1/account/factors", "/v1/account/sessions"):
        answer = await api.get(path, headers={"Authorization": f"Bearer {owed['challenge']}"})
        assert answer.status_code == 401


async def test_the_first_sign_in_of_an_owner_adds_an_app_and_the_next_asks_for_it(
    api: httpx.AsyncClient, memory: AsyncMemory, ada: Person
) -> None:
    token, secret = await enrolled(api, memory, ada)
    assert (await api.get("/v1/me", headers={"Authorization": f"Bearer {token}"})).json()["role"] == "owner"

    owed = await begun(api, ada)

    assert (owed["status"], owed["factors"]) == ("factor_required", ["totp"])
    proof = {"challenge": owed["challenge"], "kind": "totp", "code": code_at(secret, step(memory))}
    assert (await post(api, "/v1/auth/sign-in/factor", proof)).json()["status"] == "signed_in"
    assert (await post(api, "/v1/auth/sign-in/factor", proof)).status_code == 401


async def test_factors_are_changed_by_people_who_signed_in_of_late_alone(
    api: httpx.AsyncClient, memory: AsyncMemory, ada: Person
) -> None:
    token, _ = await enrolled(api, memory, ada)
    paths = [f"/v1/account/{name}" for name in ("factors/totp", "recovery-codes", "passkeys/options")]

    async with client(replace(memory.app, database=moved(memory.app, minutes=16)), token) as late:
        assert (await late.get("/v1/account/factors")).json()["totp"]
        refused = [await late.post(path) for path in paths]
        removed = await late.delete("/v1/account/factors/totp")

    assert {answer.json()["code"] for answer in (*refused, removed)} == {"insufficient_user_authentication"}
    by_key = [await post(api, path, token=await key_of(memory)) for path in paths]
    assert {answer.status_code for answer in by_key} == {403}


async def test_a_change_of_factors_can_end_the_other_sessions(
    api: httpx.AsyncClient, memory: AsyncMemory, ada: Person
) -> None:
    first, secret = await enrolled(api, memory, ada)
    proof = {"challenge": (await begun(api, ada))["challenge"], "kind": "totp", "code": code_at(secret, step(memory))}
    second = (await post(api, "/v1/auth/sign-in/factor", proof)).json()["access_token"]
    key = Authenticator(origin=ORIGIN)
    asked = (await post(api, "/v1/account/passkeys/options", token=second)).json()["public_key"]

    body = {"name": "key", "credential": key.create(asked), "end_other_sessions": True}
    made = await post(api, "/v1/account/passkeys", body, second)

    assert made.status_code == 201, made.text
    assert (await api.get("/v1/me", headers={"Authorization": f"Bearer {first}"})).status_code == 401
    removed = await api.delete(
        f"/v1/account/passkeys/{made.json()['id']}", headers={"Authorization": f"Bearer {second}"}
    )
    assert removed.status_code == 204


async def test_a_passkey_signs_in_without_a_password_unless_the_account_is_disabled(
    api: httpx.AsyncClient, memory: AsyncMemory, ada: Person
) -> None:
    token, _ = await enrolled(api, memory, ada)
    key = Authenticator(origin=ORIGIN)
    asked = (await post(api, "/v1/account/passkeys/options", token=token)).json()["public_key"]
    await post(api, "/v1/account/passkeys", {"name": "key", "credential": key.create(asked)}, token)

    async def sign_in() -> httpx.Response:
        options = (await post(api, "/v1/auth/passkey/options")).json()["public_key"]
        return await post(api, "/v1/auth/passkey", {"credential": key.get(options)})

    assert (await sign_in()).json()["status"] == "signed_in"
    operator = {"Authorization": f"Bearer {await operator_key(memory.app)}"}
    disabled = await api.post(f"/v1/admin/accounts/{ada.account_id}/disable", headers=operator)
    assert disabled.status_code == 200, disabled.text
    refused = await sign_in()
    assert (refused.status_code, refused.json()["code"]) == (401, "unauthenticated")


async def test_an_operator_resets_what_was_lost_and_ends_the_sessions(
    api: httpx.AsyncClient, memory: AsyncMemory, ada: Person
) -> None:
    token, _ = await enrolled(api, memory, ada)
    operator = {"Authorization": f"Bearer {await operator_key(memory.app)}"}
    of_account = f"/v1/admin/accounts/{ada.account_id}/factors"
    assert (await api.get(of_account, headers=operator)).json()["totp"]

    reset = await api.delete(of_account, params={"factor": "totp"}, headers=operator)

    assert reset.status_code == 204
    assert (await api.get("/v1/me", headers={"Authorization": f"Bearer {token}"})).status_code == 401
    assert (await begun(api, ada))["status"] == "enrolment_required"
    wrong = await post(api, "/v1/auth/sign-in", {"email": ada.email, "password": "a guess"})
    assert wrong.status_code == 401
    for headers in ({"Authorization": f"Bearer {token}"}, {"Authorization": f"Bearer {await key_of(memory)}"}):
        assert (await api.delete(of_account, headers=headers)).status_code in {401, 403}


async def test_what_is_not_set_up_is_refused_with_what_to_do(
    memory: AsyncMemory, api: httpx.AsyncClient, ada: Person
) -> None:
    token, _ = await enrolled(api, memory, ada)

    answer = await post(api, "/v1/account/factors/receivers", {"kind": "email"}, token)

    assert (answer.status_code, answer.json()["code"]) == (409, "conflict")
    async with client(memory.app, None) as nowhere:
        asked = await post(nowhere, "/v1/auth/passkey/options")
    assert asked.status_code == 409
    assert "AGENTMEM_PUBLIC_URL" in asked.text
