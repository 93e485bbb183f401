"""A secret in every secret field of identity, then searched for in all that servers write, answer, send and keep."""

from __future__ import annotations

import asyncio
import base64
import binascii
from collections.abc import AsyncIterator
from contextlib import suppress
from typing import Any, Final

import pytest

from agentmem.bootstrap import open_app
from agentmem.features.identity.factors.totp import code_at
from agentmem.foundation.database.connect import connect_as_owner
from agentmem.settings import Settings
from tests.support.embedded_server import open_folder
from tests.support.people_site import CODE, PUBLIC, PeopleSite, now_step, people_site
from tests.support.signers import signed_get

PASSWORD: Final = "eleven storks beside the lock"
NEXT: Final = "nine larks over the mill"
CANARY: Final = "qxzvjkwp-canary"
TELEPHONE: Final = "+4915112345678"
CLEAR: Final = "clearmark"


@pytest.fixture(scope="module")
async def site() -> AsyncIterator[PeopleSite]:
    with open_folder() as folder:
        async with people_site(folder) as started:
            yield started


async def live(site: PeopleSite) -> str:
    """Have every secret of a person made and used: passwords, mails, tokens, codes and challenges."""
    email = await site.person(PASSWORD)
    tokens = await site.sign_in(email, PASSWORD)
    refreshed = {"refresh_token": tokens["refresh_token"]}
    token = site.noted(await site.done("POST", "/v1/auth/refresh", refreshed, at=1))["access_token"]
    introspected = await site.done("POST", "/v1/auth/introspect", {"token": token})
    assert introspected["active"]

    secret = await site.add_app(token)
    recovery = (await site.done("POST", "/v1/account/recovery-codes", token=token))["codes"]
    site.keep(**{f"recovery {number}": code for number, code in enumerate(recovery)})
    for kind, receiver in (("email", None), ("sms", TELEPHONE)):
        new = {"kind": kind, "receiver": receiver}
        await site.done("POST", "/v1/account/factors/receivers", new, token=token)
        code = await site.mailed(email, CODE) if kind == "email" else sent_by_sms(site)
        await site.done("POST", "/v1/account/factors/receivers/confirm", {"kind": kind, "code": code}, token=token)
    # Six digits are found by chance; what stands before them is not.
    site.keep(telephone=TELEPHONE, by_mail="Your code is", by_sms="Your AgentMem code is")

    for kind, code in (("totp", code_at(secret, now_step())), ("recovery_code", recovery[0])):
        asked = await site.sign_in(email, PASSWORD)
        proof = {"challenge": asked["challenge"], "kind": kind, "code": code}
        site.noted(await site.done("POST", "/v1/auth/sign-in/factor", proof))
    await site.done("PUT", "/v1/account/password", {"present": PASSWORD, "password": NEXT}, token=token)
    site.keep(password=NEXT)
    for path, then in (("password/forgot", "password/reset"), ("unlock/request", "unlock")):
        await site.done("POST", f"/v1/auth/{path}", {"email": email})
        used = {"secret": await site.mailed(email)}
        await site.done("POST", f"/v1/auth/{then}", used | ({"password": PASSWORD} if "reset" in then else {}))
    return email


def sent_by_sms(site: PeopleSite) -> str:
    found = CODE.search(site.gateway.taken[-1].body)
    assert found is not None
    return found[0]


async def administer(site: PeopleSite) -> None:
    """Have every secret of an organization made and used: of its provider, and those that sign requests."""
    site.keep(api_key=site.key)
    await site.done("PUT", "/v1/organization/sso-secret", {"client_secret": f"{CANARY}-sso"})
    path = f"/v1/api-keys/{site.key.split('_')[2]}/signing-keys"
    for algorithm in ("ed25519", "hmac-sha256"):
        made = (await site.done("POST", path, {"name": CLEAR, "algorithm": algorithm}))["key"]
        site.keep(signing_key=made, signing_secret=made.rsplit("_", 1)[-1])
        await asyncio.sleep(1.1)  # nothing signed in the second in which the state began is taken
        request = signed_get(PUBLIC, "/v1/me", site.key, made)
        answer = await site.clients[1].get("/v1/me", headers=request.headers)
        assert answer.status_code == 200, answer.text


async def fail(site: PeopleSite, email: str) -> None:
    """Send a canary in every secret field, in a form that is refused; no answer has it."""
    word: Any
    for number, word in enumerate((CANARY, [CANARY], {CANARY: CANARY}, CANARY * 400, f"{CANARY}\0")):
        fields: dict[str, dict[str, object]] = {
            "/v1/auth/sign-in": {"email": email, "password": word, "device": word},
            "/v1/auth/sign-in/password": {"challenge": word, "password": word},
            "/v1/auth/sign-in/factor": {"challenge": word, "kind": "totp", "code": word},
            "/v1/auth/sign-in/factor/begin": {"challenge": word, "kind": "sms", "receiver": word},
            "/v1/auth/passkey": {"credential": {"id": word, "rawId": word, "response": word}},
            "/v1/auth/refresh": {"refresh_token": word},
            "/v1/auth/revoke": {"token": word, "token_type_hint": word},
            "/v1/auth/password/reset": {"secret": word, "password": word},
            "/v1/auth/verify-email": {"secret": word, "name": "Ada", "password": word},
            "/v1/auth/accept-invitation": {"secret": word, "name": "Ada", "password": word},
            "/v1/auth/unlock": {"secret": word},
            "/v1/auth/password/forgot": {"email": word},
        }
        answers = [await site.ask("POST", path, body, at=number % 2) for path, body in fields.items()]
        answers.append(await site.ask("PUT", "/v1/organization/sso-secret", {"client_secret": {CANARY: word}}))
        answers.append(await site.ask("POST", "/v1/auth/introspect", {"token": word}))
        if isinstance(word, str) and word.isprintable():
            answers += [await site.ask("GET", path, token=word) for path in ("/v1/me", "/v1/account")]
        for answer in answers:
            assert answer.status_code < 500, (answer.request.url, answer.text)
            assert CANARY not in answer.text + str(answer.headers), answer.request.url
    site.keep(canary=CANARY)


def forms_of(secret: str) -> set[str]:
    """Give how a secret may be written: as it is, and as PostgreSQL, base64 and base32 write its bytes."""
    data = secret.encode()
    forms = {secret, data.hex(), base64.b64encode(data).decode().rstrip("=")[:-1]}
    with suppress(binascii.Error):
        forms.add(base64.b32decode(secret).hex())
    return forms


async def dumped(site: PeopleSite) -> str:
    """Give every row of every table, as text."""

    def read() -> str:
        with connect_as_owner(app.server) as connection:
            tables = connection.execute("SELECT format('%I.%I', schemaname, tablename) FROM pg_tables").fetchall()
            rows = [row for (table,) in tables for row in connection.execute(f"SELECT t::text FROM {table} t")]
        return "\n".join(str(row) for row in rows)

    settings = Settings.load(data_directory=site.folder, redis_url=site.redis.url)
    async with open_app(settings, background=False) as app:
        return await asyncio.to_thread(read)


async def test_no_secret_of_people_is_in_a_log_an_error_a_trace_a_dump_or_redis(site: PeopleSite) -> None:
    email = await live(site)
    await administer(site)
    await fail(site, email)
    redis = site.redis.client()
    kept = [part for key in redis.scan_iter() for part in (key, redis.dump(key) or b"")]
    rows = await dumped(site)
    for server in site.running:
        server.stop()  # which sends the last of its traces
    first, second = site.running
    banner, _, lines = first.printed.partition("\n{")
    assert site.key in banner  # the first start shows it, this once
    places = {
        "logs": lines + first.said + second.printed + second.said,
        "traces": "".join(request.body for request in site.collector.taken),
        "dump": rows,
        "redis": b"\n".join(kept).decode("latin-1"),
    }

    # What is no secret is found in each place: the search would find a secret too.
    assert "/v1/auth/sign-in/factor" in places["logs"]
    assert "/v1/auth/sign-in/factor" in places["traces"]
    assert CLEAR in rows
    assert "nonce:" in places["redis"]
    names = {name.split()[0] for name in site.secrets}
    assert names >= {"password", "mailed", "access_token", "refresh_token", "device", "challenge", "totp", "recovery"}
    found = {
        (name, place)
        for name, secret in site.secrets.items()
        for form in forms_of(secret)
        for place, text in places.items()
        if form in text
    }
    assert found == set()
