"""Operations on API keys."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Final
from uuid import UUID

from agentmem.errors import Conflict, VersionConflict
from agentmem.features.identity import repository
from agentmem.features.identity.credential import Credential, new_credential
from agentmem.features.identity.model import (
    SEALED_MAC,
    SEALED_MAC_VERSION,
    Ceiling,
    StoredKey,
    Terms,
    choose_networks,
    choose_rate,
    key_number,
    require_held,
    require_managed,
    terms_of_new,
    terms_of_successor,
)
from agentmem.foundation.authorization.caller import Permission
from agentmem.foundation.database.database import Database
from agentmem.foundation.database.system import SystemPurpose, SystemTransaction
from agentmem.foundation.database.transaction import Transaction
from agentmem.kit.paging import decode_cursor, encode_cursor, query_fingerprint
from agentmem.operations import operation, system_operation
from agentmem.schemas.keys import ApiKey, ApiKeyPatch, IssuedKey, KeyEnvironment, NewApiKey
from agentmem.schemas.memories import Page

_PAGES: Final = query_fingerprint("api keys")
_SWEPT: Final = 1000


@dataclass(frozen=True, kw_only=True)
class ApiKeyService:
    """Operations on the API keys of the caller's organization."""

    database: Database

    @operation(Permission.KEY_WRITE, audit="key.created")
    async def create(self, tx: Transaction, new: NewApiKey, ceiling: Ceiling) -> IssuedKey:
        """Make a key within a ceiling; its secret is in the answer and nowhere else.

        Raises :class:`PermissionDenied` for a key beyond the ceiling, :class:`InvalidInput` for an impossible one.
        """
        return await _write(tx, new.environment, terms_of_new(new, ceiling))

    @operation(Permission.KEY_WRITE, audit="key.created")
    async def create_first(self, tx: Transaction, new: NewApiKey, ceiling: Ceiling) -> IssuedKey | None:
        """Make the organization's first key; ``None`` if it has had one, so that of two starts one makes it."""
        if await repository.any_key(tx):
            return None
        return await _write(tx, new.environment, terms_of_new(new, ceiling))

    @operation(Permission.KEY_READ, read_only=True)
    async def page(self, tx: Transaction, cursor: str | None, limit: int) -> Page[ApiKey]:
        """Read a page of keys, the newest first; raises :class:`InvalidCursor`."""
        after = None if cursor is None else decode_cursor(cursor, _PAGES, 2)
        found = await repository.fetch_page(tx, after, limit + 1)
        items = found[:limit]
        more = encode_cursor(_PAGES, repository.sort_values(items[-1])) if len(found) > limit else None
        return Page(items=items, next_cursor=more)

    @operation(Permission.KEY_READ, read_only=True)
    async def get(self, tx: Transaction, key_id: str) -> ApiKey:
        """Read one key."""
        return await repository.fetch_key(tx, key_id)

    @operation(Permission.KEY_WRITE, audit="key.updated")
    async def update(
        self, tx: Transaction, key_id: str, patch: ApiKeyPatch, if_version: int | None, ceiling: Ceiling
    ) -> ApiKey:
        """Change a key: scopes may be taken away, and added as far as the ceiling goes; networks stay within it.

        Raises :class:`PermissionDenied` for a key beyond the ceiling.
        """
        key = await repository.fetch_key(tx, key_id, lock=True)
        require_managed(await repository.fetch_chain(tx, key_id), ceiling)
        _require_version(key, if_version)
        changes: dict[str, object] = {}
        if patch.name is not None:
            changes["name"] = patch.name
        if patch.scopes is not None:
            require_held(frozenset(patch.scopes) - frozenset(key.scopes), ceiling)
            changes["scopes"] = sorted(set(patch.scopes))
        if patch.networks is not None:
            changes["networks"] = list(map(str, choose_networks(patch.networks, ceiling)))
        if "requests_per_minute" in patch.model_fields_set:
            changes["requests_per_minute"] = choose_rate(patch.requests_per_minute, ceiling)
        tx.touch([key_number(key.id)])
        return await repository.change_key(tx, key_id, changes)

    @operation(Permission.KEY_WRITE, audit="key.rotated")
    async def rotate(self, tx: Transaction, key_id: str, overlap_seconds: int, ceiling: Ceiling) -> IssuedKey:
        """Make a key's successor, the same in all but its secret; the old one ends after the overlap.

        Raises :class:`Conflict` for a key that works no more, :class:`PermissionDenied` for one beyond the ceiling.
        """
        key = await repository.fetch_key(tx, key_id, lock=True)
        # Not the transaction's moment: it may have waited for another rotation, which ended the key meanwhile.
        now = self.database.clock()
        if key.revoked_at is not None or key.expires_at <= now:
            raise Conflict(f"The API key {key_id!r} is revoked or has expired.", hint="Create a new key.")
        terms = terms_of_successor(key, ceiling)
        end = now + timedelta(seconds=overlap_seconds)
        await repository.change_key(tx, key_id, {"expires_at": min(key.expires_at, end)})
        tx.touch([key_number(key.id)])
        return await _write(tx, key.environment, terms)

    @operation(Permission.KEY_WRITE, audit="key.revoked")
    async def revoke(
        self,
        tx: Transaction,
        key_id: str,
        reason: str,
        if_version: int | None = None,
        *,
        descendants: bool,
        ceiling: Ceiling | None,
    ) -> tuple[ApiKey, list[str]]:
        """Revoke a key, if asked with all that it can have made; give it, and name all that are revoked then.

        What was revoked before stays as it is. Raises :class:`NotFound`, :class:`VersionConflict`, and
        :class:`PermissionDenied` for a key beyond the ceiling; a leaked key has none: the installation itself ends it.
        """
        _require_version(await repository.fetch_key(tx, key_id, lock=True), if_version)
        if ceiling is not None:
            require_managed(await repository.fetch_chain(tx, key_id), ceiling)
        named = await repository.descendants(tx, key_id) if descendants else [key_id]
        tx.touch(map(key_number, await repository.revoke_keys(tx, named, reason)))
        return await repository.fetch_key(tx, key_id), named

    @operation(Permission.KEY_READ, read_only=True)
    async def unused(self, tx: Transaction, days: int, owners: Sequence[UUID]) -> list[str]:
        """Name up to 1,000 keys that work and were not used for so many days.

        Of the keys by which the owners can make others, the one used last is never among them.
        """
        return await repository.fetch_unused(tx, tx.now - timedelta(days=days), owners, _SWEPT)

    @operation(Permission.KEY_WRITE, audit="key.revoked")
    async def revoke_unused(self, tx: Transaction, days: int, owners: Sequence[UUID]) -> list[str]:
        """Revoke the keys that :meth:`unused` names, and name them."""
        unused = await repository.fetch_unused(tx, tx.now - timedelta(days=days), owners, _SWEPT)
        ended = await repository.revoke_keys(tx, unused, f"not used for {days} days")
        tx.touch(map(key_number, ended))
        return ended

    @operation(Permission.MEMORY_MAINTAIN)
    async def seal_macs(self, tx: Transaction, limit: int) -> int:
        """Seal what is stored of the secrets of the next keys that were made before it was sealed; say how many."""
        return await repository.seal_macs(tx, limit)

    @system_operation(SystemPurpose.AUTHENTICATE, read_only=True)
    async def find(self, tx: SystemTransaction, key_id: str) -> list[StoredKey]:
        """Look up a key of any organization and the keys above it, in this order; nothing if it is unknown."""
        organization_id = await repository.find_organization(tx, key_id)
        if organization_id is None:
            return []
        await tx.bind(organization_id)
        return await repository.fetch_chain(tx, key_id)


def _sealed_mac(tx: Transaction, credential: Credential) -> bytes:
    mac = tx.keys.index.credential_mac(credential.text)
    return tx.keys.keyring.sealer(*SEALED_MAC)(key_number(credential.key_id), 1, mac)


async def _write(tx: Transaction, environment: KeyEnvironment, terms: Terms) -> IssuedKey:
    credential = new_credential(environment)
    await repository.insert_key(
        tx,
        {
            "key_id": credential.key_id,
            "member_id": terms.member_id,
            "created_by": terms.created_by,
            "parent_key_id": terms.parent_key_id,
            "name": terms.name,
            "environment": environment.value,
            "secret_mac": b"",
            "mac_version": SEALED_MAC_VERSION,
            "sealed_mac": _sealed_mac(tx, credential),
            "last_four": credential.last_four,
            "scopes": sorted(terms.scopes),
            "bound_user_id": terms.binding.user_id,
            "bound_agent_id": terms.binding.agent_id,
            "bound_run_id": terms.binding.run_id,
            "bound_app_id": terms.binding.app_id,
            "networks": list(map(str, terms.networks)),
            "requests_per_minute": terms.requests_per_minute,
            "created_at": tx.now,
            "expires_at": tx.now + terms.life,
            "rotated_from": terms.rotated_from,
            "made_with": terms.made_with,
            "version": 1,
        },
    )
    tx.touch([key_number(credential.key_id)])
    return IssuedKey(key=credential.text, api_key=await repository.fetch_key(tx, credential.key_id))


def _require_version(key: ApiKey, if_version: int | None) -> None:
    if if_version is not None and key.version != if_version:
        raise VersionConflict(
            f"The API key is at version {key.version}, not {if_version}.", hint="Read it again, then repeat the change."
        )
