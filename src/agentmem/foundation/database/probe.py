"""Whether the database answers, and has the schema of this version: asked often, and cheap."""

from __future__ import annotations

from dataclasses import dataclass

from agentmem.errors import IncompatibleStore
from agentmem.foundation.database.database import Database
from agentmem.foundation.database.failures import translated
from agentmem.foundation.database.migrate import OLDEST_REVISION, newest_revision

_REVISION = b"SELECT version_num FROM agentmem.alembic_version"


@dataclass(frozen=True, kw_only=True)
class DatabaseProbe:
    """Asks the database by a connection of the pool, as requests do; ``expected`` is the schema's revision."""

    database: Database
    expected: str

    @classmethod
    def of(cls, database: Database) -> DatabaseProbe:
        """Make a probe that expects the newest revision of this version."""
        return cls(database=database, expected=newest_revision())

    async def revision(self) -> str:
        """Give the schema's revision; raises :class:`DatabaseUnavailable` if the database does not answer."""
        return await self._ask(_REVISION)

    async def is_usable(self) -> None:
        """Raise :class:`IncompatibleStore` unless the schema is this version's, or a newer one that it may use."""
        found = await self.revision()
        if found == self.expected or (found > self.expected and await self._ask(OLDEST_REVISION) <= self.expected):
            return
        raise IncompatibleStore(f"The database has schema revision {found}, this version needs {self.expected}.")

    async def _ask(self, question: bytes) -> str:
        with translated():
            link, cursor = await self.database.pool.begin(question)
            try:
                row = await cursor.fetchone()
            finally:
                await self.database.pool.give_back(link)
        return "none" if row is None else str(row[0])
