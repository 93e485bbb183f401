"""Whether this process can serve requests: each part that a request needs is asked, seldom and briefly."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from typing import Final

from agentmem.errors import AgentMemError
from agentmem.foundation.database.database import Database
from agentmem.foundation.database.probe import DatabaseProbe
from agentmem.foundation.inference.loaded import Models
from agentmem.foundation.state.port import State

ANSWER_WITHIN: Final = 2.0
"""Seconds a part has to answer."""
_FRESH: Final = 1.0
_EMBEDDED_FRESH: Final = 30.0


@dataclass(frozen=True, kw_only=True, slots=True)
class PartState:
    """One part: whether it answers, and if not, the code of what is wrong. A part that is not needed degrades only."""

    name: str
    needed: bool
    problem: str | None

    @property
    def fails(self) -> bool:
        """Whether requests cannot be served for want of it."""
        return self.needed and self.problem is not None


@dataclass(kw_only=True)
class Part:
    """How a part is asked, and for how many seconds a good answer holds; made for one process."""

    name: str
    ask: Callable[[], Awaitable[object]]
    needed: bool = True
    fresh: float = _FRESH
    _problem: str | None = None
    _asked: float = -1e9
    _asking: asyncio.Lock = field(default_factory=asyncio.Lock)

    async def state(self, clock: Callable[[], float]) -> PartState:
        """Ask, unless the last answer still holds; many who want to know ask once."""
        async with self._asking:
            if clock() - self._asked >= (self.fresh if self._problem is None else _FRESH):
                self._problem = await self._find_problem()
                self._asked = clock()
            return PartState(name=self.name, needed=self.needed, problem=self._problem)

    async def _find_problem(self) -> str | None:
        try:
            async with asyncio.timeout(ANSWER_WITHIN):
                await self.ask()
        except TimeoutError:
            return "no_answer"
        except AgentMemError as error:
            return error.code
        except Exception as fault:  # noqa: BLE001  # whatever is wrong with a part, the others must be told of too
            return f"fault_{type(fault).__name__}"
        return None


@dataclass(frozen=True, kw_only=True)
class Readiness:
    """Asks every part at once."""

    parts: Sequence[Part]
    clock: Callable[[], float] = time.monotonic

    @classmethod
    def over(cls, database: Database, models: Models, state: State) -> Readiness:
        """Make the parts of a server: database, migrations, state, embedder."""
        probe = DatabaseProbe.of(database)

        async def embed() -> None:
            # As a document: the embeddings of queries are kept, so that a query would be asked of nobody.
            await models.current.embed_documents(["ready?"])

        return cls(
            parts=(
                Part(name="database", ask=probe.revision),
                Part(name="migrations", ask=probe.is_usable),
                # Without Redis each process goes on by itself: unready servers would make its outage ours.
                Part(name="state", ask=state.ping, needed=False),
                # Without a model memories are stored and found by words.
                Part(name="embedder", ask=embed, needed=False, fresh=_EMBEDDED_FRESH),
            )
        )

    async def check(self) -> list[PartState]:
        """Give the state of each part."""
        return list(await asyncio.gather(*(part.state(self.clock) for part in self.parts)))
