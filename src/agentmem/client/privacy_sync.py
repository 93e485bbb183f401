"""The part of the client about persons, for programs without asyncio."""

from __future__ import annotations

from collections.abc import Iterator

from agentmem.client import privacy as calls
from agentmem.client.administration import Identifier
from agentmem.client.connection import Connection
from agentmem.schemas.privacy import Erasure, SubjectState
from agentmem.schemas.retention import RetentionReport


class Privacy:
    """What is stored about persons: exported, erased, held, restricted; for owners and admins."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def export(self, user_id: str) -> Iterator[str]:
        """See :meth:`AsyncPrivacy.export`."""
        return self._connection.lines(calls.export(user_id))

    def erase(self, user_id: str) -> Erasure:
        """See :meth:`AsyncPrivacy.erase`."""
        return self._connection.send(calls.erase(user_id))

    def erasure(self, erasure_id: Identifier) -> Erasure:
        """See :meth:`AsyncPrivacy.erasure`."""
        return self._connection.send(calls.erasure(erasure_id))

    def subject(self, user_id: str) -> SubjectState:
        """See :meth:`AsyncPrivacy.subject`."""
        return self._connection.send(calls.subject(user_id))

    def mark(self, user_id: str, *, held: bool = False, restricted: bool = False) -> SubjectState:
        """See :meth:`AsyncPrivacy.mark`."""
        return self._connection.send(calls.mark(user_id, held=held, restricted=restricted))

    def retention(self, *, dry_run: bool = True) -> RetentionReport:
        """See :meth:`AsyncPrivacy.retention`."""
        return self._connection.send(calls.retention(dry_run=dry_run))
