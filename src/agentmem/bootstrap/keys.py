"""Composition of what holds keys: the provider, the database over it, and their rotation."""

from __future__ import annotations

import asyncio
from contextlib import AsyncExitStack
from datetime import timedelta

from agentmem.bootstrap.opened import Opened
from agentmem.bootstrap.stores import bring_schema, key_server
from agentmem.features.encryption.service import EncryptionService
from agentmem.features.memories.erasing import MemoryErasing
from agentmem.features.organizations.platform import PlatformService
from agentmem.features.privacy.service import PrivacyService
from agentmem.foundation.database.connect import Server
from agentmem.foundation.database.database import KEY_CONNECTIONS, Database
from agentmem.foundation.database.inspect import Caretaker
from agentmem.foundation.database.pool import ConnectionPool
from agentmem.foundation.encryption.providers.open import open_key_provider
from agentmem.foundation.ledger.requests import IdempotentRequests
from agentmem.pipelines.encryption.rotation import Rotation
from agentmem.pipelines.health.guards import Guards
from agentmem.pipelines.privacy.erasure import Privacy
from agentmem.settings import Settings


async def open_database(stack: AsyncExitStack, settings: Settings, guards: Guards, server: Server) -> Database:
    """Open the database of a server, its schema up to date, with the key provider; the stack closes both."""
    keys_at = key_server(settings, server)
    await asyncio.to_thread(bring_schema, server, keys_at, migrate=settings.migrate)
    provider = await open_key_provider(settings, guards.key_provider)
    stack.push_async_callback(provider.aclose)
    database = Database.open(
        server,
        provider,
        pool_size=settings.pool_size,
        guarded=guards.database,
        key_pool=ConnectionPool(keys_at, KEY_CONNECTIONS, guards.key_database),
    )
    stack.push_async_callback(database.close)
    return database


def make_privacy(opened: Opened, requests: IdempotentRequests) -> Privacy:
    """Make what erases persons, from the memories and from where their keys are."""
    settings, database = opened.settings, opened.database
    servers = dict.fromkeys((opened.server, key_server(settings, opened.server)))
    return Privacy(
        service=PrivacyService(database=database, backups_kept=timedelta(days=settings.backup_days)),
        memories=MemoryErasing(database=database),
        requests=requests,
        platform=PlatformService(database=database),
        database=database,
        caretakers=[Caretaker(server=server) for server in servers],
        window=timedelta(hours=settings.erasure_hours),
    )


def make_rotation(settings: Settings, database: Database) -> Rotation:
    """Make what rotates keys, as often as the settings say."""
    days = settings.data_key_days
    return Rotation(
        service=EncryptionService(database=database),
        database=database,
        data_key_age=None if days is None else timedelta(days=days),
    )
