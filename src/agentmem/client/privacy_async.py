"""The part of the client about persons, for asyncio programs."""

from __future__ import annotations

from collections.abc import AsyncIterator

from agentmem.client import privacy as calls
from agentmem.client.administration import Identifier
from agentmem.client.connection import AsyncConnection
from agentmem.schemas.privacy import Erasure, SubjectState
from agentmem.schemas.retention import RetentionReport


class AsyncPrivacy:
    """What is stored about persons: exported, erased, held, restricted; for owners and admins."""

    def __init__(self, connection: AsyncConnection) -> None:
        self._connection = connection

    def export(self, user_id: str) -> AsyncIterator[str]:
        """Read everything that is stored about a user, one JSON object a line, while it arrives."""
        return self._connection.lines(calls.export(user_id))

    async def erase(self, user_id: str) -> Erasure:
        """Have everything about a user removed and their key destroyed; :meth:`erasure` says how far it is."""
        return await self._connection.send(calls.erase(user_id))

    async def erasure(self, erasure_id: Identifier) -> Erasure:
        """Read how far an erasure is, and its certificate once it has finished."""
        return await self._connection.send(calls.erasure(erasure_id))

    async def subject(self, user_id: str) -> SubjectState:
        """Read whether a user is held or restricted."""
        return await self._connection.send(calls.subject(user_id))

    async def mark(self, user_id: str, *, held: bool = False, restricted: bool = False) -> SubjectState:
        """Hold a user, who is then not erased, or restrict one, who is then not read; what is not named ends."""
        return await self._connection.send(calls.mark(user_id, held=held, restricted=restricted))

    async def retention(self, *, dry_run: bool = True) -> RetentionReport:
        """Say what the rules of the policy ``retention`` would remove now; without a dry run a job removes it."""
        return await self._connection.send(calls.retention(dry_run=dry_run))
