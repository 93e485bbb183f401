"""What a store is, for people: versions, place, counts, keys, and the settings in force."""

from __future__ import annotations

import platform
from dataclasses import dataclass
from importlib.metadata import version
from typing import Final
from urllib.parse import urlsplit

from pydantic import JsonValue

from agentmem.features.memories.checking import MemoryChecking
from agentmem.features.memories.service import MemoryService
from agentmem.foundation.authorization.caller import Caller
from agentmem.foundation.database.connect import Server
from agentmem.foundation.database.embedded.server import Attachment
from agentmem.foundation.database.inspect import Caretaker, ServerFacts
from agentmem.foundation.encryption.providers.port import KeyProvider
from agentmem.foundation.inference.loaded import Models
from agentmem.schemas.health import StoreInfo, Versions
from agentmem.schemas.memories import Scope
from agentmem.settings import Settings

HIDDEN: Final = "***"
_SECRETS: Final = (
    "database_url",
    "embedding_key",
    "key_database_url",
    "pkcs11_pin",
    "redis_url",
    "reranker_key",
    *("backup_identity", "vault_token"),
)
_ADDRESSES: Final = ("aws_endpoint", "backup_endpoint", "embedding_url", "reranker_url", "vault_url")


@dataclass(frozen=True, kw_only=True)
class Information:
    """Describes the store of the caller's organization."""

    settings: Settings
    server: Server
    caretaker: Caretaker
    provider: KeyProvider
    models: Models
    memories: MemoryService
    checking: MemoryChecking

    async def describe(self, caller: Caller) -> StoreInfo:
        """Gather everything; no secret is in it."""
        facts = await self.caretaker.facts()
        stats = await self.memories.stats(caller, Scope())
        provider = await self.provider.describe()
        embedded = self.server if isinstance(self.server, Attachment) else None
        return StoreInfo(
            versions=_versions(facts),
            organization=self.settings.organization,
            organization_id=caller.organization_id,
            server="external" if embedded is None else "embedded",
            data_directory=None if embedded is None else str(self.settings.data_directory),
            socket_directory=None if embedded is None else str(embedded.socket_directory),
            embedding_model=self.models.current.model,
            embedding_dimensions=self.models.current.dimensions,
            memories=stats.memories,
            deleted_memories=stats.deleted,
            memory_versions=stats.versions,
            users=stats.users,
            pending_vectors=stats.pending_vectors,
            database_bytes=facts.database_bytes,
            key_provider=provider.name,
            master_key_ids=list(provider.key_ids),
            keys=await self.checking.keys(caller),
            settings=shown(self.settings),
        )


def _versions(facts: ServerFacts) -> Versions:
    return Versions(
        agentmem=version("agentmem"),
        python=platform.python_version(),
        postgresql=facts.postgresql,
        pgvector=facts.pgvector,
        schema_revision=facts.revision,
    )


def shown(settings: Settings) -> dict[str, JsonValue]:
    """Give the settings in force with every secret starred, and without what a URL may hold of them."""
    values: dict[str, JsonValue] = settings.model_dump(mode="json", exclude=set(_SECRETS))
    for name in _SECRETS:
        values[name] = None if getattr(settings, name) is None else HIDDEN
    for name in _ADDRESSES:
        address: str | None = getattr(settings, name)
        if address is not None:
            parts = urlsplit(address)
            port = f":{parts.port}" if parts.port else ""
            values[name] = f"{parts.scheme}://{parts.hostname or ''}{port}{parts.path}"
    return values
