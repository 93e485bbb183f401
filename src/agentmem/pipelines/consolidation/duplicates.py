"""Near duplicates: vectors are read, compared between the operations, and the memories behind the best pairs read."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import Final

from agentmem.features.memories.near_duplicates import AlikePair, NearDuplicates
from agentmem.foundation.authorization.caller import Caller
from agentmem.pipelines.consolidation.alike import MostAlike
from agentmem.schemas.memories import NearDuplicate, Scope

MOST_PAIRS: Final = 1000


@dataclass(frozen=True, kw_only=True)
class Duplicates:
    """Finds memories of a scope that say almost the same."""

    stored: NearDuplicates

    async def find(self, caller: Caller, scope: Scope, threshold: float) -> list[NearDuplicate]:
        """Give up to ``MOST_PAIRS`` pairs with a cosine of at least ``threshold`` (0 to 1), the most alike first."""
        vectors = await self.stored.vectors(caller, scope)
        alike = MostAlike(vectors.embeddings, threshold, MOST_PAIRS)
        for step in alike.steps:
            # A thread for each step: whoever gives up waiting stops it between two.
            await asyncio.to_thread(alike.compare, step)
        pairs = [
            AlikePair(first=vectors.at(first), second=vectors.at(second), similarity=similarity)
            for similarity, first, second in alike.pairs()
        ]
        return await self.stored.pairs(caller, scope, pairs)
