"""Composition of what guards data at rest: the key provider, the database over it, rotation, erasure, backups."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass
from datetime import timedelta
from functools import partial

from agentmem.bootstrap.opened import Opened
from agentmem.bootstrap.stores import bring_schema, key_server
from agentmem.features.audit.service import AuditService
from agentmem.features.encryption.service import EncryptionService
from agentmem.features.identity.service import ApiKeyService
from agentmem.features.memories.erasing import MemoryErasing
from agentmem.features.memories.retention import MemoryRetention
from agentmem.features.memories.sealing import MemorySealing
from agentmem.features.memories.subjects import SubjectMemories
from agentmem.features.organizations.platform import PlatformService
from agentmem.features.organizations.policies import PolicyService
from agentmem.features.privacy.service import PrivacyService
from agentmem.foundation.backup.storage import open_storage
from agentmem.foundation.database.connect import Server
from agentmem.foundation.database.database import KEY_CONNECTIONS, Database
from agentmem.foundation.database.inspect import Caretaker
from agentmem.foundation.database.pool import ConnectionPool
from agentmem.foundation.encryption.providers.open import open_key_provider
from agentmem.foundation.jobs.model import Work
from agentmem.foundation.jobs.upkeep import Schedule
from agentmem.foundation.ledger.requests import IdempotentRequests
from agentmem.pipelines.backup.backups import Backups
from agentmem.pipelines.encryption.master_keys import MasterKeys
from agentmem.pipelines.encryption.rotation import Rotation
from agentmem.pipelines.encryption.sealing import MetadataSealing
from agentmem.pipelines.health.guards import Guards
from agentmem.pipelines.privacy.erasure import Privacy
from agentmem.pipelines.privacy.exporting import SubjectExport
from agentmem.pipelines.privacy.retention import Retention
from agentmem.settings import Settings


@dataclass(frozen=True, kw_only=True)
class Custody:
    """What guards data at rest: keys are rotated, metadata sealed, persons erased, backups made."""

    rotation: Rotation
    sealing: MetadataSealing
    master_keys: MasterKeys
    privacy: Privacy
    exports: SubjectExport
    retention: Retention
    backups: Backups

    def works(self) -> Sequence[Work]:
        """Give their jobs."""
        works = (*self.rotation.works(), *self.sealing.works(), *self.privacy.works())
        return (*works, *self.retention.works())

    def schedules(self) -> Sequence[Schedule]:
        """Give their rounds."""
        kept = (*self.privacy.schedules(), *self.retention.schedules())
        return (*self.master_keys.schedules(), *kept, *self.backups.schedules())


def open_custody(opened: Opened, requests: IdempotentRequests) -> Custody:
    """Make it over what is open."""
    rotation, privacy = _rotation(opened.settings, opened.database), _privacy(opened, requests)
    return Custody(
        rotation=rotation,
        sealing=MetadataSealing(stored=MemorySealing(database=opened.database)),
        master_keys=_master_keys(opened, rotation),
        privacy=privacy,
        exports=SubjectExport(
            service=privacy.service,
            memories=SubjectMemories(database=opened.database),
            audit=AuditService(database=opened.database),
        ),
        retention=Retention(
            memories=MemoryRetention(database=opened.database),
            policies=PolicyService(database=opened.database),
            platform=PlatformService(database=opened.database),
        ),
        backups=_backups(opened),
    )


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


def _privacy(opened: Opened, requests: IdempotentRequests) -> Privacy:
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


def _backups(opened: Opened) -> Backups:
    settings, server = opened.settings, opened.server
    identity, hours = settings.backup_identity, settings.backup_hours
    folder = settings.data_directory
    return Backups(
        database=opened.database,
        server=server,
        key_server=key_server(settings, server),
        storage=partial(open_storage, settings.backup_location or str(folder / "backups"), settings.backup_endpoint),
        recipients=settings.backup_recipients,
        signing_key=settings.backup_signing_key or folder / "keys" / "backup-signing.pem",
        signers=settings.backup_signers,
        identity=None if identity is None else identity.get_secret_value(),
        kept=timedelta(days=settings.backup_days),
        interval=None if hours is None else timedelta(hours=hours),
    )


def _master_keys(opened: Opened, rotation: Rotation) -> MasterKeys:
    days = opened.settings.master_key_days
    return MasterKeys(
        rotation=rotation,
        platform=PlatformService(database=opened.database),
        keeper=opened.caller,
        every_so_long=None if days is None else timedelta(days=days),
    )


def _rotation(settings: Settings, database: Database) -> Rotation:
    days = settings.data_key_days
    return Rotation(
        service=EncryptionService(database=database),
        api_keys=ApiKeyService(database=database),
        database=database,
        data_key_age=None if days is None else timedelta(days=days),
    )
