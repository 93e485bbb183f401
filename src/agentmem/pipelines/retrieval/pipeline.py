"""From a question to the memories that answer it: read the query, embed it, one read operation, rerank, results."""

from __future__ import annotations

from dataclasses import dataclass, field
from time import perf_counter

import structlog

from agentmem.errors import Conflict, DatabaseUnavailable, EmbedderUnavailable
from agentmem.features.memories.index_reading import NEAREST_LIMIT
from agentmem.features.memories.searching import Found, MemorySearch, Query
from agentmem.features.memories.visibility import View
from agentmem.features.organizations.rules import Rules
from agentmem.foundation.authorization.caller import Caller
from agentmem.foundation.inference.loaded import Models
from agentmem.foundation.inference.port import Embedder, Embedding
from agentmem.foundation.telemetry.traces import span
from agentmem.kit.clock import Clock
from agentmem.pipelines.retrieval.embeddings import QueryEmbeddings
from agentmem.pipelines.retrieval.pack import pack
from agentmem.pipelines.retrieval.query import parse_query
from agentmem.pipelines.retrieval.ranking import QueryRanking
from agentmem.pipelines.retrieval.rerank import Reranking
from agentmem.schemas import filters
from agentmem.schemas.memories import PackedContext, SearchHit, SearchMode, SearchResults, Timings
from agentmem.schemas.requests import ContextRequest, ReadRequest, SearchRequest

CONTEXT_HITS = 100
MODEL_CHANGES = 2
"""How often a store may change its embedding model during one search."""

log = structlog.get_logger(__name__)


@dataclass(frozen=True, kw_only=True, slots=True)
class EmbeddedQuery:
    """A query's vectors and the model that made them; none when the words alone are to be searched."""

    model: str
    embedding: Embedding | None
    seconds: float


@dataclass(frozen=True, kw_only=True)
class Retrieval:
    """Finds memories."""

    search_operation: MemorySearch
    models: Models
    rules: Rules
    clock: Clock
    embeddings: QueryEmbeddings = field(default_factory=QueryEmbeddings)
    reranking: Reranking | None = None

    async def search(self, caller: Caller, request: SearchRequest) -> SearchResults:
        """Find up to ``limit`` memories, best first.

        When the embedder fails, a hybrid search goes by words alone and says so in ``degraded``; a semantic one raises
        :class:`EmbedderUnavailable`. Where there is a reranker it gives the best of a hybrid search their order; when
        it fails or is late they keep the one they have, and ``degraded`` says so too.
        """
        reranking = self.reranking if request.mode is SearchMode.HYBRID else None
        with span("memory.search", mode=request.mode.value, limit=request.limit):
            if reranking is None:
                return await self._search(caller, request, request.limit)
            found = await self._search(caller, request, max(request.limit, reranking.depth))
            rule = await self.rules.masking(caller.organization_id)
            results = await reranking.apply(request.query, found, rule.sent)
            return results.model_copy(update={"hits": results.hits[: request.limit]})

    async def _search(self, caller: Caller, request: SearchRequest, limit: int) -> SearchResults:
        began = perf_counter()
        parsed = parse_query(request.query, request.as_of or request.known_at or self.clock())
        view, by_words = view_of(request), request.mode is not SearchMode.SEMANTIC
        embed_seconds, embedder = 0.0, self.models.current
        for _ in range(MODEL_CHANGES + 1):
            embedded = await self._embed(caller, request, embedder)
            embed_seconds += embedded.seconds
            embedding = embedded.embedding
            ranking = QueryRanking(parsed, embedding, limit=limit, by_words=by_words)
            query = Query(
                terms=list(parsed.terms),
                model=embedded.model,
                pooled=None if embedding is None else embedding.pooled,
                most=max(NEAREST_LIMIT, limit),
            )
            try:
                with span("memory.search.find"):
                    found = await self.search_operation.search(caller, view, query, ranking)
            except Conflict:  # the model was changed during the search: the next one sees it
                embedder = self.models.current
                continue
            if request.mode is not SearchMode.LEXICAL and embedded.model != found.model:
                # Another process has put another model in force.
                embedder = await self.models.require(found.model)
                continue
            return SearchResults(
                hits=_hits(found, ranking, explain=request.explain),
                timings=_timings(embed_seconds, ranking.seconds, perf_counter() - began),
                degraded="embedder" if embedding is None and request.mode is SearchMode.HYBRID else None,
            )
        raise DatabaseUnavailable("The store changes its embedding model again and again.", hint="Retry.")

    async def context(self, caller: Caller, request: ContextRequest) -> PackedContext:
        """Pack the best memories for a query into a token budget, with citations."""
        values = {name: getattr(request, name) for name in ReadRequest.model_fields}
        results = await self.search(caller, SearchRequest(query=request.query, limit=CONTEXT_HITS, **values))
        packed = pack([hit for hit in results.hits if hit.score > 0], request.budget)
        return packed.model_copy(update={"degraded": results.degraded})

    async def _embed(self, caller: Caller, request: SearchRequest, embedder: Embedder) -> EmbeddedQuery:
        # Another search may exchange the model while this one embeds: what is embedded keeps the name of its model.
        embedding, began = None, perf_counter()
        if request.mode is not SearchMode.LEXICAL:
            try:
                with span("memory.search.embed"):
                    query = request.query
                    if embedder.sends_texts:
                        query = (await self.rules.masking(caller.organization_id)).sent(query)
                    embedding = await self.embeddings.embed(caller, embedder, query)
            except EmbedderUnavailable as error:
                if request.mode is SearchMode.SEMANTIC:
                    raise
                log.warning("embedder_failed", searching="by words", reason=error.code)
        return EmbeddedQuery(model=embedder.model, embedding=embedding, seconds=perf_counter() - began)


def view_of(request: ReadRequest) -> View:
    """Read the view of a request: its scope, its filters as a tree, and its moments."""
    return View(
        scope=request.scope,
        filters=filters.narrowed(filters.parse(request.filters) if request.filters else None, request.min_authority),
        as_of=request.as_of,
        known_at=request.known_at,
    )


def _hits(found: Found, ranking: QueryRanking, *, explain: bool) -> list[SearchHit]:
    return [
        SearchHit(memory=record, score=ranking.score(place), signals=ranking.explain(place) if explain else None)
        for place, record in found.best
    ]


def _timings(embedding: float, own: float, total: float) -> Timings:
    return Timings(
        embed_ms=embedding * 1000,
        database_ms=max(0.0, total - embedding - own) * 1000,
        rank_ms=own * 1000,
        total_ms=total * 1000,
    )
