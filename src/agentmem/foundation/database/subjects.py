"""Keys of subjects: what is remembered of one person is sealed by a key of their own, so that it can be destroyed.

They are kept in a key database, wrapped by their organization's data key, and found by a keyed hash of the user id.
"""

from __future__ import annotations

import os
from collections.abc import AsyncIterator, Awaitable, Callable, Collection, Iterable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import datetime
from typing import Final
from uuid import UUID

from agentmem.foundation.database.failures import translated
from agentmem.foundation.database.known_keys import KnownKeys
from agentmem.foundation.database.pool import ConnectionPool, Driver
from agentmem.foundation.database.tables import SUBJECT_KEYS
from agentmem.foundation.encryption.keyring import OrganizationKeys
from agentmem.foundation.encryption.seal import HEADER_BYTES, Location, Opener, Sealer, SealingKey
from agentmem.foundation.encryption.secret import KEY_BYTES, SecretKey
from agentmem.kit.ids import KeyId, OrganizationId, uuid7

WHOLE_ORGANIZATION: Final = b""
"""Stands in the ledger for everybody of an organization that was erased."""
_BEGIN: Final = "BEGIN; SELECT set_config('agentmem.organization_id', '{}', true)"
_BY_SUBJECT: Final = b"""
SELECT subject, key_id, wrapped FROM agentmem_keys.subject_keys
WHERE organization_id = %(organization_id)s AND subject = ANY (%(wanted)s)
"""
_BY_ID: Final = b"""
SELECT subject, key_id, wrapped FROM agentmem_keys.subject_keys
WHERE organization_id = %(organization_id)s AND key_id = ANY (%(wanted)s)
"""
_INSERT: Final = b"""
INSERT INTO agentmem_keys.subject_keys (organization_id, subject, key_id, wrapped)
SELECT %(organization_id)s, subject, key_id, wrapped
FROM unnest(%(subjects)s::bytea[], %(key_ids)s::uuid[], %(wrapped)s::bytea[]) AS made (subject, key_id, wrapped)
ORDER BY subject
ON CONFLICT DO NOTHING
"""
_NEXT: Final = b"""
SELECT subject, key_id, wrapped FROM agentmem_keys.subject_keys
WHERE organization_id = %(organization_id)s AND subject > %(after)s ORDER BY subject LIMIT %(limit)s
"""
_REWRAP: Final = b"""
UPDATE agentmem_keys.subject_keys AS s SET wrapped = given.after_it
FROM unnest(%(key_ids)s::uuid[], %(before)s::bytea[], %(after_it)s::bytea[]) AS given (key_id, before, after_it)
WHERE s.organization_id = %(organization_id)s AND s.key_id = given.key_id AND s.wrapped = given.before
"""
_WRAPPED_BY: Final = b"""
SELECT substring(wrapped, 3, 16), count(*) FROM agentmem_keys.subject_keys
WHERE organization_id = %(organization_id)s GROUP BY 1
"""
_DESTROY: Final = b"""
WITH noted AS (
    INSERT INTO agentmem_keys.erasures (organization_id, subject) VALUES (%(organization_id)s, %(subject)s)
)
DELETE FROM agentmem_keys.subject_keys WHERE organization_id = %(organization_id)s AND subject = %(subject)s
RETURNING key_id
"""
_FORGET: Final = b"""
WITH noted AS (
    INSERT INTO agentmem_keys.erasures (organization_id, subject) VALUES (%(organization_id)s, %(subject)s)
)
DELETE FROM agentmem_keys.subject_keys WHERE organization_id = %(organization_id)s
"""
_ERASED: Final = b"""
SELECT subject, max(erased_at) FROM agentmem_keys.erasures
WHERE organization_id = %(organization_id)s GROUP BY subject
"""


@dataclass(frozen=True, kw_only=True, slots=True)
class SubjectKeys:
    """The key database, and what a process keeps of it (``known``)."""

    pool: ConnectionPool
    known: KnownKeys

    async def of_subjects(self, keys: OrganizationKeys, subjects: Collection[bytes]) -> dict[bytes, SealingKey]:
        """Give the keys that seal what is written about these subjects; who has none gets one."""
        found = self._at_hand(keys, subjects)
        missing = sorted(set(subjects) - found.keys())
        if missing:
            async with self._transaction(keys.organization_id) as driver:
                loaded = await self._load(driver, keys, _BY_SUBJECT, missing)
                absent = [subject for subject in missing if subject not in loaded]
                if absent:
                    await self._make(driver, keys, absent)
                    loaded |= await self._load(driver, keys, _BY_SUBJECT, absent)
            found |= loaded
        return found

    async def of_headers(self, keys: OrganizationKeys, headers: Collection[bytes]) -> dict[bytes, SealingKey]:
        """Give the keys that these blobs name in their headers; one that was destroyed is absent."""
        found = self._at_hand(keys, headers)
        missing = set(headers) - found.keys()
        if missing:
            async with self._transaction(keys.organization_id) as driver:
                wanted = [UUID(bytes=header[2:]) for header in missing]
                loaded = await self._load(driver, keys, _BY_ID, wanted)
            found |= {key.header: key for key in loaded.values()}
        return found

    def forget(self, organization_id: OrganizationId, subject: bytes) -> None:
        """Drop the key of a subject from this process."""
        key = self.known.subjects.get((organization_id, subject))
        self.known.subjects.drop((organization_id, subject))
        if key is not None:
            self.known.subjects.drop((organization_id, key.header))

    async def rewrap(self, keys: OrganizationKeys, after: bytes, limit: int) -> tuple[bytes | None, int]:
        """Wrap the next keys with the active data key; gives where to go on, and how many were wrapped anew."""
        async with self._transaction(keys.organization_id) as driver:
            values = {"organization_id": keys.organization_id, "after": after, "limit": limit}
            rows = await (await driver.execute(_NEXT, values)).fetchall()
            anew: list[tuple[UUID, bytes, bytes]] = []
            for _, key_id, wrapped in rows:
                if not bytes(wrapped).startswith(keys.keyring.active.header):
                    secret = keys.keyring.open(_location(key_id), bytes(wrapped))
                    anew.append((key_id, bytes(wrapped), keys.keyring.seal(_location(key_id), secret)))
            ids, before, after_it = zip(*anew, strict=True) if anew else ((), (), ())
            given = {"key_ids": list(ids), "before": list(before), "after_it": list(after_it)}
            await driver.execute(_REWRAP, {"organization_id": keys.organization_id, **given})
        return (bytes(rows[-1][0]) if len(rows) == limit else None), len(anew)

    async def wrapped_by(self, organization_id: OrganizationId) -> dict[UUID, int]:
        """Count the keys of subjects by the data key that wraps them."""
        async with self._transaction(organization_id) as driver:
            rows = await (await driver.execute(_WRAPPED_BY, {"organization_id": organization_id})).fetchall()
        return {UUID(bytes=bytes(key_id)): number for key_id, number in rows}

    async def destroy(self, organization_id: OrganizationId, subject: bytes) -> list[UUID]:
        """Destroy the key of a subject for good, and write that into the ledger of erasures; gives the key's id."""
        async with self._transaction(organization_id) as driver:
            values = {"organization_id": organization_id, "subject": subject}
            rows = await (await driver.execute(_DESTROY, values)).fetchall()
        self.forget(organization_id, subject)
        return [key_id for (key_id,) in rows]

    async def destroy_all(self, organization_id: OrganizationId) -> None:
        """Destroy the keys of all subjects of an organization that is no more, and write that into the ledger."""
        async with self._transaction(organization_id) as driver:
            await driver.execute(_FORGET, {"organization_id": organization_id, "subject": WHOLE_ORGANIZATION})

    async def erased(self, organization_id: OrganizationId) -> dict[bytes, datetime]:
        """Read the ledger: which subjects were erased, and when last."""
        async with self._transaction(organization_id) as driver:
            rows = await (await driver.execute(_ERASED, {"organization_id": organization_id})).fetchall()
        return {bytes(subject): erased_at for subject, erased_at in rows}

    async def close(self) -> None:
        """Close every connection to the key database."""
        await self.pool.close()

    def _at_hand(self, keys: OrganizationKeys, names: Iterable[bytes]) -> dict[bytes, SealingKey]:
        known = ((name, self.known.subjects.get((keys.organization_id, name))) for name in names)
        return {name: key for name, key in known if key is not None}

    async def _load(
        self, driver: Driver, keys: OrganizationKeys, statement: bytes, wanted: Collection[object]
    ) -> dict[bytes, SealingKey]:
        values = {"organization_id": keys.organization_id, "wanted": list(wanted)}
        loaded = {}
        for subject, key_id, wrapped in await (await driver.execute(statement, values)).fetchall():
            secret = SecretKey(bytearray(keys.keyring.open(_location(key_id), bytes(wrapped))))
            key = SealingKey(organization_id=keys.organization_id, key_id=KeyId(key_id), key=secret)
            secret.wipe()
            loaded[bytes(subject)] = key
            for name in (bytes(subject), key.header):
                self.known.subjects.put((keys.organization_id, name), key)
        return loaded

    async def _make(self, driver: Driver, keys: OrganizationKeys, subjects: Collection[bytes]) -> None:
        ids = [uuid7() for _ in subjects]
        wrapped = [keys.keyring.seal(_location(key_id), os.urandom(KEY_BYTES)) for key_id in ids]
        values = {"organization_id": keys.organization_id, "key_ids": ids, "wrapped": wrapped}
        await driver.execute(_INSERT, {**values, "subjects": list(subjects)})

    @asynccontextmanager
    async def _transaction(self, organization_id: OrganizationId) -> AsyncIterator[Driver]:
        with translated():
            link, _ = await self.pool.begin(_BEGIN.format(organization_id).encode())
            try:
                yield link.driver
                await link.driver.commit()
            finally:
                await self.pool.give_back(link)


def _location(key_id: UUID) -> Location:
    return Location(table=SUBJECT_KEYS, column="wrapped", row_id=key_id, row_version=0)


Renew = Callable[[], Awaitable[OrganizationKeys]]


class SubjectRing:
    """The keys that one transaction seals and opens by: its organization's, and those of the subjects it touches.

    What was not asked for before is not there: :meth:`unlock` before opening, and the gate's ``hold`` before sealing.
    """

    __slots__ = ("_headers", "_keys", "_openers", "_renew", "_sealers", "_store", "_subjects")

    def __init__(self, keys: OrganizationKeys, store: SubjectKeys, renew: Renew) -> None:
        self._keys, self._store, self._renew = keys, store, renew
        self._headers = keys.keyring.by_header()
        self._subjects: dict[str, SealingKey] = {}
        self._openers: dict[tuple[str, str], Opener] = {}
        self._sealers: dict[tuple[str, str, str | None], Sealer] = {}

    async def unlock(self, blobs: Iterable[bytes | None]) -> None:
        """Have at hand the keys that sealed these blobs.

        One that is not known is a subject's, or a data key that the organization was given a moment ago.
        """
        missing = {blob[:HEADER_BYTES] for blob in blobs if blob} - self._headers.keys()
        missing = {header for header in missing if len(header) == HEADER_BYTES}
        if missing:
            self._headers |= await self._store.of_headers(self._keys, missing)
        if missing - self._headers.keys():
            self._keys = await self._renew()
            self._headers |= self._keys.keyring.by_header()

    async def opened(self, location: Location, blob: bytes) -> bytes:
        """Open one value, whichever key sealed it; for many :meth:`unlock` them, and take an :meth:`opener`."""
        await self.unlock([blob])
        return self.opener(location.table, location.column)(location.row_id, location.row_version, blob)

    async def prepare(self, user_ids: Collection[str]) -> dict[bytes, KeyId]:
        """Have at hand the keys that seal what is written about these users; gives key ids by subject."""
        subjects = {self._keys.index.subject(user_id): user_id for user_id in user_ids}
        found = await self._store.of_subjects(self._keys, subjects)
        for subject, user_id in subjects.items():
            self._subjects[user_id] = found[subject]
            self._headers[found[subject].header] = found[subject]
        return {subject: key.key_id for subject, key in found.items()}

    def forget(self, subject: bytes) -> None:
        """Drop the key of a subject, which is destroyed."""
        self._store.forget(self._keys.organization_id, subject)

    def holds(self, user_id: str | None) -> bool:
        """Tell whether what is written about this user can be sealed."""
        return user_id is None or user_id in self._subjects

    def key_of(self, user_id: str | None) -> SealingKey:
        """Give the key that seals what is written about a user: their own, or the organization's about nobody."""
        return self._keys.keyring.active if user_id is None else self._subjects[user_id]

    def sealer(self, table: str, column: str, user_id: str | None) -> Sealer:
        """Give the function that seals values of a column about a user."""
        place = (table, column, user_id)
        sealer = self._sealers.get(place)
        if sealer is None:
            sealer = self._sealers[place] = Sealer(self.key_of(user_id), table, column)
        return sealer

    def opener(self, table: str, column: str) -> Opener:
        """Give the function that opens values of a column."""
        opener = self._openers.get((table, column))
        if opener is None:
            opener = self._openers[table, column] = Opener(self._headers, table, column)
        return opener
