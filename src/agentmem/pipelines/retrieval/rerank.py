"""The last step of a search: a reranker reads the best hits again, within its time."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from time import perf_counter
from typing import Final

import structlog

from agentmem.errors import RerankerUnavailable
from agentmem.features.memories.index_entry import indexed_text
from agentmem.foundation.inference.reranker import Reranker
from agentmem.foundation.telemetry.traces import span
from agentmem.schemas.memories import SearchHit, SearchResults, Signal

RERANKED_CHARACTERS: Final = 8_000
"""How much of a text is sent: few cross-encoders read more."""

log = structlog.get_logger(__name__)


@dataclass(frozen=True, kw_only=True, slots=True)
class Reranking:
    """Puts the ``depth`` best hits in the order of a reranker, if it answers in time."""

    reranker: Reranker
    depth: int

    async def apply(self, query: str, results: SearchResults, sent: Callable[[str], str]) -> SearchResults:
        """Give the results in their new order, as the reranker reads what may be ``sent`` of them.

        As they were, and ``degraded``, when it fails or is late.
        """
        began = perf_counter()
        hits, missing = results.hits, [] if results.degraded is None else [results.degraded]
        try:
            with span("memory.search.rerank"):
                hits = await self._reorder(query, hits, sent)
        except RerankerUnavailable as error:
            log.warning("reranker_failed", reason=error.message)
            missing.append("reranker")
        spent = (perf_counter() - began) * 1000
        timings = {"rerank_ms": spent, "total_ms": results.timings.total_ms + spent}
        return SearchResults(
            hits=hits,
            timings=results.timings.model_copy(update=timings),
            degraded=" and ".join(missing) or None,
        )

    async def _reorder(self, query: str, hits: Sequence[SearchHit], sent: Callable[[str], str]) -> list[SearchHit]:
        best, rest = hits[: self.depth], hits[self.depth :]
        read = [hit for hit in best if hit.memory.classification.may_leave]
        if not read:
            return list(hits)
        texts = [sent(indexed_text(hit.memory.content, hit.memory.actor)[:RERANKED_CHARACTERS]) for hit in read]
        again = iter(reordered(read, await self.reranker.rerank(sent(query), texts)))
        # What may not be sent keeps its place among the others.
        return [*(next(again) if hit.memory.classification.may_leave else hit for hit in best), *rest]


def reordered(hits: Sequence[SearchHit], relevances: Sequence[float]) -> list[SearchHit]:
    """Sort hits by relevance, the most relevant first; those of one relevance stay as they were.

    The scores stay in their places: whoever comes first has the highest. So they fall from hit to hit, compare between
    queries, and do not depend on the scale of the reranker; the signal ``reranker`` says what that gave to a hit.
    """
    order = sorted(range(len(hits)), key=lambda number: -relevances[number])
    return [_moved(hits[number], relevances[number], place.score) for number, place in zip(order, hits, strict=True)]


def _moved(hit: SearchHit, relevance: float, score: float) -> SearchHit:
    signals = hit.signals
    if signals is not None:
        signals = {**signals, "reranker": Signal(value=relevance, contribution=score - hit.score)}
    return hit.model_copy(update={"score": score, "signals": signals})
