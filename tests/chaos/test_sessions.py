"""Three servers, one Redis, one PostgreSQL: races for sessions and refresh tokens, and Redis gone in between."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import httpx
import pytest

from agentmem.bootstrap import App, open_app
from agentmem.features.identity.accounts.devices import device_token
from agentmem.foundation.authorization.platform import platform_id
from agentmem.foundation.database.connect import connect_as_owner
from agentmem.schemas.access import Role
from agentmem.schemas.base import parse
from agentmem.schemas.policies import AtCap, FactorPolicy, SessionPolicy
from agentmem.settings import Settings
from tests.support.patience import eventually
from tests.support.redis_server import RedisServer, redis_server
from tests.support.servers import ServerProcess, servers
from tests.support.sign_ins import PASSWORD, Person, person_of

SIGN_INS: Final = 400
REFRESHES: Final = 50
CAP: Final = 5
TABLES: Final = (
    *("account_sessions", "refresh_families", "signing_keys", "audit_entries"),
    *("accounts", "account_passwords", "sign_in_failures"),
)
# Hashing is as cheap as it gets, and nothing is throttled: it is the sessions that are raced for.
OPEN: Final = {
    **dict.fromkeys(("sign_in_limit", "sign_in_limit_ip", "rate_limit_failures", "rate_limit_ip"), "0"),
    "password_memory_kib": "8",
    "password_passes": "1",
    "password_wait": "60",
    "max_in_flight_organization": "256",
}


@dataclass(frozen=True, kw_only=True)
class Site:
    """Three servers of one installation, and an application beside them that makes accounts."""

    app: App
    redis: RedisServer
    running: list[ServerProcess]
    clients: list[httpx.AsyncClient] = field(repr=False)

    async def person(self, **policy: object) -> Person:
        """Make somebody under a policy of sessions."""
        policies = self.app.accounts.policies
        await policies.update(self.app.caller, parse(SessionPolicy, policy))
        await policies.update(self.app.caller, FactorPolicy(required_for=()))
        return await person_of(self.app, Role.OWNER)

    async def device(self, person: Person) -> str:
        """Make the token of a device that is known: a bucket of its own for guesses at the password."""
        keys = await self.app.database.keys(platform_id())
        return device_token(keys.index, person.account_id)

    async def sign_in(self, person: Person, number: int = 0, device: str | None = None) -> httpx.Response:
        """Sign in at one of the servers."""
        asked = {"email": person.email, "password": PASSWORD, "device": device}
        while True:
            answer = await self.clients[number % 3].post("/v1/auth/sign-in", json=asked)
            if answer.status_code != 503:  # more at once than a small machine takes: sent again, as it is asked to be
                return answer
            await asyncio.sleep(float(answer.headers["Retry-After"]))

    async def refresh(self, text: str, number: int = 0) -> httpx.Response:
        """Use a refresh token at one of the servers."""
        return await self.clients[number % 3].post("/v1/auth/refresh", json={"refresh_token": text})

    async def statuses(self, tokens: Any) -> list[int]:
        """Show an access token to every server."""
        headers = {"Authorization": f"Bearer {tokens['access_token']}"}
        return [(await client.get("/v1/me", headers=headers)).status_code for client in self.clients]

    async def refused_within_a_second(self, tokens: Any) -> None:
        """Wait until no server takes a token any more; it must not be taken after that."""
        await eventually(lambda: self._all_refuse(tokens), seconds=5)
        assert await self.statuses(tokens) == [401] * 3

    async def _all_refuse(self, tokens: Any) -> bool:
        return await self.statuses(tokens) == [401] * 3


@pytest.fixture(scope="module")
def started(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Path, RedisServer, list[ServerProcess]]]:
    folder = tmp_path_factory.mktemp("site")
    with redis_server(folder) as redis, servers(folder / "data", 3, redis_url=redis.url, **OPEN) as running:
        yield folder / "data", redis, running


@pytest.fixture(scope="module")
async def site(started: tuple[Path, RedisServer, list[ServerProcess]]) -> AsyncIterator[Site]:
    folder, redis, running = started
    settings = Settings.load(data_directory=folder, redis_url=redis.url, password_memory_kib=8, password_passes=1)
    async with AsyncExitStack() as stack:
        app = await stack.enter_async_context(open_app(settings, background=False))
        limits = httpx.Limits(max_connections=SIGN_INS)
        clients = [
            await stack.enter_async_context(httpx.AsyncClient(base_url=server.url, timeout=120, limits=limits))
            for server in running
        ]
        yield Site(app=app, redis=redis, running=running, clients=clients)


async def test_refreshes_at_once_leave_one_lineage_and_a_later_reuse_ends_it(site: Site) -> None:
    ada = await site.person()
    first = (await site.sign_in(ada)).json()
    answers = await asyncio.gather(*(site.refresh(first["refresh_token"], number) for number in range(REFRESHES)))

    assert [answer.status_code for answer in answers] == [200] * REFRESHES
    made = [answer.json() for answer in answers]
    assert len({tokens["refresh_token"] for tokens in made}) == REFRESHES
    assert {tokens["session_id"] for tokens in made} == {first["session_id"]}
    assert await site.statuses(made[0]) == [200] * 3
    # All but one of them are old now: the first that comes ends everything, and the present one with it.
    again = [await site.refresh(tokens["refresh_token"], number) for number, tokens in enumerate(made[:3])]
    assert [answer.status_code for answer in again].count(401) >= 2
    assert (await site.refresh(made[-1]["refresh_token"])).status_code == 401
    assert (await site.refresh(first["refresh_token"])).status_code == 401
    await site.refused_within_a_second(made[0])


async def test_without_grace_one_of_the_refreshes_is_good_and_the_others_end_the_session(site: Site) -> None:
    ada = await site.person(refresh_grace_seconds=0)
    first = (await site.sign_in(ada)).json()
    answers = await asyncio.gather(*(site.refresh(first["refresh_token"], number) for number in range(REFRESHES)))

    good = [answer.json() for answer in answers if answer.status_code == 200]
    assert len(good) == 1
    assert {answer.json()["code"] for answer in answers if answer.status_code != 200} == {"invalid_grant"}
    assert (await site.refresh(good[0]["refresh_token"])).status_code == 401
    await site.refused_within_a_second(good[0])


@pytest.mark.parametrize("at_cap", [AtCap.DENY_NEW, AtCap.EVICT_OLDEST])
async def test_sign_ins_at_once_leave_as_many_sessions_as_the_cap(site: Site, at_cap: AtCap, full: bool) -> None:
    ada = await site.person(max_sessions=CAP, at_cap=at_cap.value)
    devices = [await site.device(ada) for _ in range(SIGN_INS if full else SIGN_INS // 10)]
    answers = await asyncio.gather(*(site.sign_in(ada, number, device) for number, device in enumerate(devices)))
    granted = [answer.json() for answer in answers if answer.status_code == 200]

    if at_cap is AtCap.DENY_NEW:
        assert len(granted) <= CAP  # one may have been opened whose answer came too late
    refused = [answer for answer in answers if answer.status_code not in {200, 503}]
    assert {answer.json()["code"] for answer in refused} == (
        {"too_many_sessions"} if at_cap is AtCap.DENY_NEW else set()
    )
    open_now = await site.app.signing_in.sessions.own(ada.own)
    assert len(open_now) == CAP
    kept = {str(session.id) for session in open_now}
    await asyncio.sleep(1)
    for tokens in granted[:: max(1, len(granted) // 20)]:
        expected = 200 if tokens["session_id"] in kept else 401
        assert await site.statuses(tokens) == [expected] * 3


async def test_nothing_revoked_works_again_when_redis_forgets_or_hangs(site: Site) -> None:
    ada = await site.person()
    flushed, frozen, kept = [(await site.sign_in(ada)).json() for _ in range(3)]
    for tokens in (flushed, frozen, kept):
        assert await site.statuses(tokens) == [200] * 3

    await revoke(site, flushed)
    await site.refused_within_a_second(flushed)
    site.redis.client().flushall()
    assert await site.statuses(flushed) == [401] * 3
    assert await site.statuses(kept) == [200] * 3

    site.redis.freeze()
    try:
        await revoke(site, frozen)
        await site.refused_within_a_second(frozen)
        assert await site.statuses(kept) == [200] * 3  # PostgreSQL alone says who they are
        assert (await site.refresh(frozen["refresh_token"])).status_code == 401
    finally:
        site.redis.thaw()
    for _ in range(10):
        assert await site.statuses(frozen) == [401] * 3
        await asyncio.sleep(0.1)
    assert await site.statuses(kept) == [200] * 3
    assert (await site.refresh(kept["refresh_token"])).status_code == 200


async def revoke(site: Site, tokens: Any) -> None:
    asked = {"token": tokens["refresh_token"]}
    assert (await site.clients[0].post("/v1/auth/revoke", json=asked)).status_code == 200


async def test_no_secret_is_in_a_log_a_row_or_redis(site: Site) -> None:
    ada = await site.person()
    tokens = (await site.sign_in(ada)).json()
    renewed = (await site.refresh(tokens["refresh_token"], 1)).json()
    wrong = await site.clients[2].post("/v1/auth/refresh", json={"refresh_token": tokens["refresh_token"] + "canary"})
    for client in site.clients:
        await client.get("/v1/me", headers={"Authorization": f"Bearer {renewed['access_token']}"})
    secrets = [PASSWORD, ada.email, "canary"]
    secrets += [one[name] for one in (tokens, renewed) for name in ("access_token", "refresh_token")]
    secrets += [secret.rsplit(".", 1)[-1] for secret in secrets[3:]]
    secrets += [tokens["device"]]

    assert all(secret not in wrong.text for secret in secrets)
    told = "".join(server.printed + server.said for server in site.running)
    redis = site.redis.client()
    held = b"\n".join(part for key in redis.scan_iter() for part in (key, redis.dump(key) or b""))
    rows = await asyncio.to_thread(everything, site.app)
    for secret in secrets:
        assert secret not in told
        assert secret.encode() not in held
        assert secret not in rows
    assert str(tokens["session_id"]) not in held.decode("latin-1")


def everything(app: App) -> str:
    """Give every row of the tables that sign-ins write, as text."""
    with connect_as_owner(app.server) as connection:
        rows = [row for table in TABLES for row in connection.execute(f"SELECT t::text FROM agentmem.{table} t")]
    return "\n".join(str(row) for row in rows)
