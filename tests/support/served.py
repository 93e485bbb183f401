"""The server's whole application in this process, over a test's organization, with real keys."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import replace

import httpx

from agentmem import AsyncMemory
from agentmem.bootstrap import App
from agentmem.entrypoints.api.application import create_api
from agentmem.entrypoints.api.draining import Draining
from agentmem.entrypoints.api.serving import Served
from agentmem.foundation.authorization.caller import local_operator
from agentmem.foundation.authorization.platform import platform_id
from agentmem.foundation.telemetry.metrics import Metrics
from agentmem.pipelines.admission.first_start import first_key
from agentmem.pipelines.health.readiness import Readiness
from agentmem.schemas.access import Permission, Role
from agentmem.schemas.keys import NewApiKey
from agentmem.schemas.memories import Scope

BASE_URL = "http://agentmem.test"


def served_by(app: App) -> Served:
    """Give what a server process would work with."""
    return Served(
        app=app,
        admission=app.admission,
        metrics=Metrics(),
        idempotency=app.requests,
        draining=Draining(),
        readiness=Readiness(parts=()),
    )


async def key_of(memory: AsyncMemory, role: Role = Role.OWNER, **terms: object) -> str:
    """Make a key of a member of this role in the organization of a store's face."""
    issued = await first_key(memory.app.issuing, memory.app.caller)
    if issued is None or role is not Role.OWNER or terms:
        member = await memory.app.members.ensure_owner(memory.app.caller, role.value, role)
        new = NewApiKey.model_validate({"name": "test", "member_id": member, **terms})
        issued = await memory.app.issuing.create(memory.app.caller, new)
    assert issued.key is not None
    return issued.key


async def operator_key(app: App) -> str:
    """Make a key of the platform's operators."""
    caller = local_operator(platform_id())
    await app.organizations.register(caller, "agentmem platform")
    member = await app.members.ensure_owner(caller, "operator", Role.OPERATOR)
    issued = await app.issuing.create(caller, NewApiKey(name="test", member_id=member))
    assert issued.key is not None
    return issued.key


@asynccontextmanager
async def client(
    app: App, key: str | None, *, served: Served | None = None, address: str = "127.0.0.1"
) -> AsyncIterator[httpx.AsyncClient]:
    """Give a client of the application that presents a key."""
    transport = httpx.ASGITransport(
        create_api(served or served_by(app)), raise_app_exceptions=False, client=(address, 123)
    )
    headers = {} if key is None else {"Authorization": f"Bearer {key}"}
    async with httpx.AsyncClient(transport=transport, base_url=BASE_URL, headers=headers) as opened:
        yield opened


@asynccontextmanager
async def api(
    memory: AsyncMemory,
    *,
    role: Role = Role.OWNER,
    scopes: Sequence[Permission] | None = None,
    binding: Scope | None = None,
    **settings: object,
) -> AsyncIterator[httpx.AsyncClient]:
    """Give a client of an organization, with a key of this role, scopes and binding; ``settings`` are the server's."""
    app = memory.app
    if settings:
        app = replace(app, settings=app.settings.model_copy(update=settings))
    terms = {name: value for name, value in (("scopes", scopes), ("binding", binding)) if value is not None}
    async with client(app, await key_of(memory, role, **terms)) as opened:
        yield opened
