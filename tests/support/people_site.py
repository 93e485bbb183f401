"""Two servers with Redis, a mail server, a gateway for SMS and a collector of traces: all that people deal with."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final
from uuid import uuid4

import httpx

from agentmem.features.identity.factors.totp import code_at, step_at
from tests.support.mailbox import SECRET, Sink, smtp_server
from tests.support.patience import eventually
from tests.support.receiver import LOOPBACK, Receiver, receiving
from tests.support.redis_server import RedisServer, redis_server
from tests.support.servers import ServerProcess, servers
from tests.support.traffic import bearer

PUBLIC: Final = "https://memory.example"
CODE: Final = re.compile(r"\b[0-9]{6}\b")
# Hashing is as cheap as it gets, and nothing is throttled.
_OPEN: Final = {
    **dict.fromkeys(("sign_in_limit", "sign_in_limit_ip", "rate_limit_failures", "rate_limit_ip", "mail_limit"), "0"),
    "password_memory_kib": "8",
    "password_passes": "1",
}


@dataclass(frozen=True, kw_only=True)
class PeopleSite:
    """The servers, and what they send to others; ``secrets`` are those that were seen, by what they are."""

    folder: Path
    redis: RedisServer
    running: list[ServerProcess]
    clients: list[httpx.AsyncClient] = field(repr=False)
    mails: Sink
    gateway: Receiver
    collector: Receiver
    key: str = field(repr=False)
    secrets: dict[str, str] = field(default_factory=dict, repr=False)

    async def ask(
        self, method: str, path: str, body: object = None, *, token: str | None = None, at: int = 0, **headers: str
    ) -> httpx.Response:
        """Send a request to one of the servers, by default with the key of the first owner."""
        given = {**bearer(token or self.key), **{name.replace("_", "-"): value for name, value in headers.items()}}
        return await self.clients[at].request(method, path, json=body, headers=given)

    async def done(self, method: str, path: str, body: object = None, **more: Any) -> Any:
        """Send a request that succeeds, and read its answer."""
        answer = await self.ask(method, path, body, **more)
        assert answer.is_success, (method, path, answer.status_code, answer.text)
        return answer.json() if answer.content else None

    def keep(self, **secrets: str) -> None:
        """Note secrets that must be nowhere; the same name may come again."""
        self.secrets.update({f"{name} {len(self.secrets)}": secret for name, secret in secrets.items()})

    async def mailed(self, email: str, pattern: re.Pattern[str] = SECRET) -> str:
        """Wait for a mail to an address, take it, and give the secret in it."""
        found: list[str] = []

        async def came() -> bool:
            for message in [one for one in self.mails.messages if one["To"] == email]:
                match = pattern.search(message.get_content())
                if match is not None:
                    self.mails.messages.remove(message)
                    found.append(match[0])
            return bool(found)

        await eventually(came)
        if pattern is SECRET:
            self.keep(mailed=found[-1])
        return found[-1]

    async def person(self, password: str) -> str:
        """Invite somebody, who accepts; give their address."""
        email = f"{uuid4().hex}@example.com"
        await self.done("POST", "/v1/invitations", {"email": email, "role": "member"})
        secret = await self.mailed(email)
        made = {"secret": secret, "name": "Ada", "password": password}
        await self.done("POST", "/v1/auth/accept-invitation", made)
        self.keep(password=password, email=email)
        return email

    async def sign_in(self, email: str, password: str, *, at: int = 0) -> Any:
        """Sign in, and note the secrets of the answer."""
        answer = await self.done("POST", "/v1/auth/sign-in", {"email": email, "password": password}, at=at)
        return self.noted(answer)

    def noted(self, answer: Any) -> Any:
        """Note the secrets of what a sign-in answered."""
        names = ("access_token", "refresh_token", "device", "challenge")
        self.keep(**{name: answer[name] for name in names if answer.get(name)})
        return answer

    async def add_app(self, token: str) -> str:
        """Add an authenticator app, and give its secret; the code of the step before is used up by that."""
        made = await self.done("POST", "/v1/account/factors/totp", token=token)
        secret = str(made["secret"])
        self.keep(totp=secret)
        code = code_at(secret, now_step() - 1)
        assert (await self.done("POST", "/v1/account/factors/totp/confirm", {"code": code}, token=token))["totp"]
        return secret

    async def statuses(self, token: str) -> list[int]:
        """Show a token to each server."""
        return [(await self.ask("GET", "/v1/account", token=token, at=at)).status_code for at in (0, 1)]

    async def refused(self, token: str) -> None:
        """Wait, no longer than a slow machine needs for the second it takes, until no server takes a token."""

        async def both() -> bool:
            return await self.statuses(token) == [401, 401]

        await eventually(both, seconds=5)
        assert await self.statuses(token) == [401, 401]


def now_step() -> int:
    """Give the step of authenticator apps that it is now."""
    return step_at(datetime.now(UTC))


@asynccontextmanager
async def people_site(folder: Path) -> AsyncIterator[PeopleSite]:
    """Start all of it, on a new store."""
    async with smtp_server() as (mails, port), httpx.AsyncClient() as first, httpx.AsyncClient() as second:
        with receiving() as gateway, receiving() as collector, redis_server(folder) as redis:
            settings = {
                "redis_url": redis.url,
                "public_url": PUBLIC,
                "mail_url": f"smtp+cleartext://127.0.0.1:{port}",
                "email_codes": "true",
                "sms_gateway_url": gateway.url,
                "webhook_http": "true",
                "webhook_networks": f'["{LOOPBACK[0]}"]',
                "otlp_endpoint": collector.url,
                "log_level": "debug",
            }
            clients = [first, second]
            with servers(folder / "store", 2, **settings, **_OPEN) as running:
                for client, server in zip(clients, running, strict=True):
                    client.base_url, client.timeout = httpx.URL(server.url), httpx.Timeout(60)
                yield PeopleSite(
                    folder=folder / "store",
                    redis=redis,
                    running=running,
                    clients=clients,
                    mails=mails,
                    gateway=gateway,
                    collector=collector,
                    key=running[0].key,
                )
