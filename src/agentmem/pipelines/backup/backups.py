"""Backups: made of one snapshot, compressed, encrypted to several recipients, signed; verified, restored, rehearsed.

Keys of subjects are in no backup but their own. Whatever was erased since is erased again before a restored database
may be served.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from contextlib import AsyncExitStack, ExitStack
from dataclasses import dataclass, field
from datetime import timedelta
from importlib.metadata import version
from pathlib import Path
from typing import Final

import structlog

from agentmem.errors import ConfigurationError, NotFound
from agentmem.foundation.authorization.caller import Caller, Permission
from agentmem.foundation.backup.making import Made, make
from agentmem.foundation.backup.restoring import Scratch, compare, restore_into, serve_again
from agentmem.foundation.backup.sealed_file import check_recipients, decrypt_to_nothing
from agentmem.foundation.backup.signing import check_signature, open_signing_key, sign, signer_of
from agentmem.foundation.backup.storage import BackupStorage
from agentmem.foundation.database.connect import ExternalServer, Server
from agentmem.foundation.database.database import Database
from agentmem.foundation.database.pool import ConnectionPool
from agentmem.foundation.jobs.upkeep import Schedule
from agentmem.kit.clock import utc_now
from agentmem.kit.ids import uuid7
from agentmem.pipelines.backup.replay import replay
from agentmem.schemas.backups import BackupContent, BackupManifest, RestoredBackup, TableCount

_MANIFEST: Final = "manifest.json"
_SIGNATURE: Final = "manifest.sig"
_DUMP: Final = "dump.age"
log = structlog.get_logger(__name__)


@dataclass(frozen=True, kw_only=True)
class Backups:
    """Makes and restores backups of an installation; every call needs ``platform:manage``."""

    database: Database
    server: Server
    key_server: Server
    storage: Callable[[], BackupStorage]
    """Opens the storage, whose client takes longer to load than a store to open."""
    recipients: Sequence[str]
    signing_key: Path
    signers: Sequence[str]
    identity: str | None = field(repr=False)
    kept: timedelta
    interval: timedelta | None

    def schedules(self) -> Sequence[Schedule]:
        """Give the round that makes backups, if there is to be one."""
        if self.interval is None:
            return ()
        return (Schedule(name="backup", seconds=self.interval.total_seconds(), run=self._round),)

    async def create(self, caller: Caller, content: BackupContent = BackupContent.MEMORIES) -> BackupManifest:
        """Make a backup of one moment; who reads and writes is not disturbed."""
        caller.require(Permission.PLATFORM_MANAGE)
        return await self._create(content)

    async def every(self, caller: Caller) -> list[BackupManifest]:
        """Read the manifests of all backups whose signature is good, the newest first."""
        caller.require(Permission.PLATFORM_MANAGE)
        return await self._list()

    async def verify(self, caller: Caller, backup_id: str) -> BackupManifest:
        """Check signature and digest and, where the secret key is set, that all of it decrypts."""
        caller.require(Permission.PLATFORM_MANAGE)
        return await asyncio.to_thread(self._verify, backup_id)

    async def restore(
        self, caller: Caller, backup_id: str, conninfo: str, keys_id: str | None = None
    ) -> RestoredBackup:
        """Restore into an empty database, compare every table, and erase again what was erased since.

        The keys of subjects come from a backup of theirs, if one is named, else from where they are now.
        """
        caller.require(Permission.PLATFORM_MANAGE)
        return await self._restore(backup_id, conninfo, keys_id)

    async def drill(self, caller: Caller, backup_id: str | None = None) -> RestoredBackup:
        """Restore a backup, by default the newest, into a database that is dropped again; nothing else changes."""
        caller.require(Permission.PLATFORM_MANAGE)
        if backup_id is None:
            found = [one for one in await self._list() if one.content is BackupContent.MEMORIES]
            if not found:
                raise NotFound("There is no backup to restore.", hint="Make one: agentmem backup create.")
            backup_id = found[0].id
        async with AsyncExitStack() as stack:
            scratch = Scratch(self.server)
            conninfo = await asyncio.to_thread(scratch.create)
            stack.push_async_callback(asyncio.to_thread, scratch.drop)
            return await self._restore(backup_id, conninfo, None)

    async def prune(self) -> int:
        """Remove the backups that were kept long enough, and say how many."""
        removed = 0
        for manifest in await self._list():
            if manifest.created_at < utc_now() - self.kept:
                for name in (_DUMP, _SIGNATURE, _MANIFEST):
                    await asyncio.to_thread(self.storage().remove, f"{manifest.id}/{name}")
                removed += 1
        return removed

    async def _round(self) -> None:
        for content in BackupContent:
            made = await self._create(content)
            log.info("backup_made", backup=made.id, content=content.value)
        await self.prune()

    async def _list(self) -> list[BackupManifest]:
        names = await asyncio.to_thread(lambda: self.storage().names())
        ids = {name.removesuffix(f"/{_MANIFEST}") for name in names if name.endswith(f"/{_MANIFEST}")}
        found = [await asyncio.to_thread(self._manifest, backup_id) for backup_id in ids]
        return sorted(found, key=lambda one: one.created_at, reverse=True)

    async def _create(self, content: BackupContent) -> BackupManifest:
        check_recipients(self.recipients)
        server = self.key_server if content is BackupContent.KEYS else self.server
        await asyncio.to_thread(server.ensure_running)
        return await asyncio.to_thread(self._make, content, server.conninfo)

    def _make(self, content: BackupContent, conninfo: str) -> BackupManifest:
        now = utc_now()
        backup_id = f"{now:%Y%m%dT%H%M%SZ}-{uuid7().hex[-8:]}"
        key = open_signing_key(self.signing_key)
        keys = content is BackupContent.KEYS
        with self.storage().writing(f"{backup_id}/{_DUMP}") as file:
            made: Made = make(conninfo, file, self.recipients, keys=keys)
        manifest = BackupManifest(
            id=backup_id,
            content=content,
            created_at=now,
            agentmem=version("agentmem"),
            schema_revision=made.revision,
            postgresql=made.postgresql,
            recipients=list(self.recipients),
            sha256=made.sha256,
            bytes=made.size,
            tables={name: TableCount(rows=one.rows, sum=one.sum) for name, one in made.sums.items()},
            signer=signer_of(key),
        )
        text = manifest.model_dump_json(indent=2).encode()
        with self.storage().writing(f"{backup_id}/{_SIGNATURE}") as file:
            file.write(sign(key, text))
        with self.storage().writing(f"{backup_id}/{_MANIFEST}") as file:  # last: a backup without one is none
            file.write(text)
        return manifest

    def _manifest(self, backup_id: str) -> BackupManifest:
        with self.storage().reading(f"{backup_id}/{_MANIFEST}") as file:
            text = file.read()
        with self.storage().reading(f"{backup_id}/{_SIGNATURE}") as file:
            signature = file.read()
        own = () if not self.signing_key.exists() else (signer_of(open_signing_key(self.signing_key)),)
        check_signature({*self.signers, *own}, signature, text)
        return BackupManifest.model_validate_json(text)

    def _verify(self, backup_id: str) -> BackupManifest:
        manifest = self._manifest(backup_id)
        with self.storage().reading(f"{backup_id}/{_DUMP}") as file:
            decrypt_to_nothing(file, self.identity, manifest.sha256)
        return manifest

    async def _restore(self, backup_id: str, conninfo: str, keys_id: str | None) -> RestoredBackup:
        manifest = await asyncio.to_thread(self._verify, backup_id)
        if manifest.content is not BackupContent.MEMORIES:
            raise ConfigurationError(f"The backup {backup_id} holds keys alone.", hint="Name one of the memories.")
        if keys_id is not None:
            await asyncio.to_thread(self._verify, keys_id)
        await asyncio.to_thread(self._fill, manifest, conninfo, keys_id)
        erased = await self._erase_again(conninfo)
        await asyncio.to_thread(serve_again, conninfo)
        rows = sum(one.rows for one in manifest.tables.values())
        return RestoredBackup(id=backup_id, tables=len(manifest.tables), rows=rows, erased_again=erased)

    def _fill(self, manifest: BackupManifest, conninfo: str, keys_id: str | None) -> None:
        apart = self.key_server is not self.server and keys_id is None
        with ExitStack() as stack:
            dump = stack.enter_context(self.storage().reading(f"{manifest.id}/{_DUMP}"))
            keys = None if keys_id is None else stack.enter_context(self.storage().reading(f"{keys_id}/{_DUMP}"))
            live = None if apart or keys is not None else self.key_server.conninfo
            restore_into(conninfo, dump, self._secret(), keys=keys, live_keys=live)
        compare(conninfo, {name: (one.rows, one.sum) for name, one in manifest.tables.items()})

    async def _erase_again(self, conninfo: str) -> int:
        restored = ExternalServer(conninfo=conninfo)
        keys_at = self.key_server if self.key_server is not self.server else restored
        database = Database.open(
            restored, self.database.provider, pool_size=2, key_pool=ConnectionPool(keys_at, 2, None)
        )
        try:
            return await replay(database, restored)
        finally:
            await database.close()

    def _secret(self) -> str:
        if self.identity is None:
            raise ConfigurationError(
                "The secret key of backups is not set.", hint="Set AGENTMEM_BACKUP_IDENTITY or its _FILE."
            )
        return self.identity
