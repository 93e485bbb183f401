"""Second factors on three servers that share one Redis and one PostgreSQL, and passkeys in a real browser."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import httpx
import pytest

from agentmem import AsyncMemory
from agentmem.features.identity.factors.totp import code_at, step_at
from agentmem.schemas.access import Role
from tests.support.browser import page_at
from tests.support.embedded_server import is_down, wait_until
from tests.support.redis_server import redis_server
from tests.support.servers import ServerProcess, all_started
from tests.support.sign_ins import PASSWORD, Person, person_of

Json = dict[str, Any]

MAKE_PASSKEY = """async (token) => {
    const post = async (path, body) => (await fetch(path, {
        method: 'POST', body: JSON.stringify(body),
        headers: {'Authorization': `Bearer ${token}`, 'Content-Type': 'application/json'},
    })).json();
    const asked = await post('/v1/account/passkeys/options');
    const options = PublicKeyCredential.parseCreationOptionsFromJSON(asked.public_key);
    const made = await navigator.credentials.create({publicKey: options});
    return post('/v1/account/passkeys', {name: 'laptop', credential: made.toJSON()});
}"""
USE_PASSKEY = """async (begin, choice, show, proof) => {
    const post = async (path, body) => (await fetch(path, {
        method: 'POST', body: JSON.stringify(body), headers: {'Content-Type': 'application/json'},
    })).json();
    const asked = await post(begin, choice);
    const options = PublicKeyCredential.parseRequestOptionsFromJSON(asked.public_key);
    const used = await navigator.credentials.get({publicKey: options});
    const body = {...proof, credential: used.toJSON()};
    return [await post(show, body), await post(show, body)];
}"""


@dataclass(frozen=True, kw_only=True)
class Site:
    """Three servers, and an owner who can sign in to them."""

    servers: list[ServerProcess]
    owner: Person
    address: str

    @property
    def origin(self) -> str:
        """Where the browser finds the first of them; passkeys are bound to it."""
        return f"http://localhost:{self.servers[0].port}"

    def post(self, path: str, body: Json | None = None, *, server: int = 0, token: str | None = None) -> httpx.Response:
        """Send a request to one of the servers."""
        headers = {"X-Forwarded-For": self.address}
        if token is not None:
            headers["Authorization"] = f"Bearer {token}"
        url = f"{self.servers[server].url}{path}"
        return httpx.post(url, json=body, headers=headers, timeout=60)

    def sessions(self, token: str) -> list[Json]:
        """Read the sessions of whoever has signed in, at another server."""
        headers = {"Authorization": f"Bearer {token}"}
        found: list[Json] = httpx.get(f"{self.servers[1].url}/v1/account/sessions", headers=headers).json()["items"]
        return found

    def challenge(self, server: int = 0) -> Json:
        """Sign in as far as a password goes."""
        answer = self.post("/v1/auth/sign-in", {"email": self.owner.email, "password": PASSWORD}, server=server)
        assert answer.status_code == 200, answer.text
        told: Json = answer.json()
        return told

    def show(self, challenge: str, kind: str, code: str, server: int = 0) -> httpx.Response:
        """Show a code to a sign-in."""
        return self.post("/v1/auth/sign-in/factor", {"challenge": challenge, "kind": kind, "code": code}, server=server)


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[list[ServerProcess]]:
    folder = tmp_path_factory.mktemp("factors")
    with redis_server(folder) as redis:
        settings = {"redis_url": redis.url, "drain_seconds": "0", "password_memory_kib": "64", "password_passes": "1"}
        # Each test comes from an address of its own, which is limited too.
        settings |= {"trusted_proxies": '["127.0.0.0/8"]', "rate_limit_failures": "0"}
        waiting = [ServerProcess(folder / "data", settings) for _ in range(3)]
        for server in waiting:
            server.have("public_url", f"http://localhost:{waiting[0].port}")
        with all_started(waiting) as started:
            yield started
    wait_until(lambda: is_down(folder / "data"))


@pytest.fixture
async def site(running: list[ServerProcess]) -> AsyncIterator[Site]:
    async with AsyncMemory(data_directory=running[0].directory, linger=0.5) as memory:
        owner = await person_of(memory.app, Role.OWNER)
        yield Site(servers=running, owner=owner, address=f"2001:db8:{owner.account_id.hex[-4:]}::1")


def step() -> int:
    return step_at(datetime.now(UTC))


def enrol(site: Site) -> tuple[str, str, int]:
    """Sign an owner in for the first time, who adds an app: give its secret, the access token, and the step used."""
    owed = site.challenge()
    assert (owed["status"], owed["factors"]) == ("enrolment_required", ["totp", "passkey"])
    begun = site.post("/v1/auth/sign-in/factor/begin", {"challenge": owed["challenge"], "kind": "totp"}, server=1)
    secret = begun.json()["totp"]["secret"]
    used = step() - 1
    done = site.show(owed["challenge"], "totp", code_at(secret, used), server=2)
    assert done.json()["status"] == "signed_in", done.text
    return secret, done.json()["access_token"], used


def at_once(site: Site, challenges: list[str], kind: str, code: str) -> list[int]:
    """Show the same code to many sign-ins at once, on all servers."""
    with ThreadPoolExecutor(len(challenges)) as threads:
        shown = [
            threads.submit(site.show, challenge, kind, code, number % len(site.servers))
            for number, challenge in enumerate(challenges)
        ]
        return sorted(answer.result().status_code for answer in shown)


async def test_a_code_of_an_app_is_taken_once_by_three_servers_at_once(site: Site) -> None:
    secret, _, used = await asyncio.to_thread(enrol, site)
    challenges = [site.challenge(number % 3)["challenge"] for number in range(5)]

    told = await asyncio.to_thread(at_once, site, challenges, "totp", code_at(secret, used + 1))

    assert told == [200, 401, 401, 401, 401]


async def test_a_recovery_code_is_taken_once_by_three_servers_at_once(site: Site) -> None:
    _, token, _ = await asyncio.to_thread(enrol, site)
    codes = site.post("/v1/account/recovery-codes", token=token).json()["codes"]
    challenges = [site.challenge(number % 3)["challenge"] for number in range(5)]

    told = await asyncio.to_thread(at_once, site, challenges, "recovery_code", codes[0])

    assert told == [200, 401, 401, 401, 401]


async def test_the_limit_of_codes_holds_for_all_servers_together(site: Site) -> None:
    await asyncio.to_thread(enrol, site)
    challenges = [site.challenge(number % 3)["challenge"] for number in range(12)]

    told = await asyncio.to_thread(at_once, site, challenges, "totp", "000000")

    assert set(told) == {401, 429}
    # One of the five in five minutes was the code that the app was confirmed by, which is no guess.
    assert told.count(401) == 5


async def test_a_real_browser_makes_a_passkey_and_signs_in_by_it(site: Site, tmp_path: Path) -> None:
    _, token, _ = await asyncio.to_thread(enrol, site)

    def in_a_browser() -> tuple[Any, Any, Any]:
        with page_at(f"{site.origin}/docs", tmp_path / "profile") as page:
            made = page.run(MAKE_PASSKEY, token)
            alone = page.run(USE_PASSKEY, "/v1/auth/passkey/options", None, "/v1/auth/passkey", {})
            waiting = {"challenge": site.challenge()["challenge"], "kind": "passkey"}
            begin, show = "/v1/auth/sign-in/factor/begin", "/v1/auth/sign-in/factor"
            return made, alone, page.run(USE_PASSKEY, begin, waiting, show, waiting)

    made, alone, second = await asyncio.to_thread(in_a_browser)

    assert made["name"] == "laptop", made
    for first, again in (alone, second):
        assert first["status"] == "signed_in", first
        assert again["status"] == 401, again
        own = await asyncio.to_thread(site.sessions, first["access_token"])
        current = next(session for session in own if session["current"])
        assert (current["level"], current["methods"][-1]) == ("aal2", "mfa")
