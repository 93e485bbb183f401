"""The systems whose retrieval is measured: AgentMem through its public face, and the baselines."""

from __future__ import annotations

import sys
import time
from collections.abc import AsyncIterator, Awaitable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from statistics import fmean
from tempfile import TemporaryDirectory
from typing import Final, TypeAlias, TypeVar
from uuid import UUID

import numpy as np

from agentmem import AsyncMemory
from agentmem.foundation.inference.port import Embedder
from benchmarks.baselines import Bm25, Scores, best, fused_by_rank, mem0_scores
from benchmarks.datasets import Conversation, Dataset, Turn
from benchmarks.metrics import Ranking

LIMIT: Final = 50
BUDGET: Final = 2000
Outcome = TypeVar("Outcome")
Rankings: TypeAlias = dict[str, list[Ranking]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Context:
    """What packed contexts cost and hold: tokens, and the share of the evidence in them, averaged."""

    budget: int
    tokens: float
    evidence: float


class Stored:
    """A dataset in a store of AgentMem; ``together`` puts all conversations into one scope."""

    def __init__(self, memory: AsyncMemory, dataset: Dataset, *, together: bool) -> None:
        self._memory = memory
        self._dataset = dataset
        self._together = together
        self._turns: dict[UUID, str] = {}
        self._sessions = {turn.id: turn.session for c in dataset.conversations for turn in c.turns}

    async def fill(self) -> None:
        """Store every turn, a session a call, as a program that follows a conversation would."""
        for conversation in self._dataset.conversations:
            for session in _sessions(conversation):
                added = await self._memory.add(
                    [_message(turn) for turn in session],
                    user_id=self._user(conversation.name),
                    run_id=session[0].session,
                    on_duplicate="keep",
                )
                self._turns |= {m.id: turn.id for m, turn in zip(added.memories, session, strict=True)}

    async def rankings(self, mode: str) -> list[Ranking]:
        """Search for every question."""
        ranked = []
        for question in self._dataset.questions:
            user = self._user(question.conversation)
            results = await self._memory.search(question.text, user_id=user, limit=LIMIT, mode=mode)
            turns = [self._turns[hit.memory.id] for hit in results.hits]
            ranked.append(Ranking(question=question, turns=turns, sessions=self._sessions))
        return ranked

    async def context(self, budget: int) -> Context:
        """Pack a context for every question."""
        tokens, evidence = [], []
        for question in self._dataset.questions:
            user = self._user(question.conversation)
            packed = await self._memory.context(question.text, user_id=user, budget=budget)
            cited = {self._turns[citation.memory_id] for citation in packed.citations}
            tokens.append(packed.tokens)
            evidence.append(len(cited & question.evidence) / len(question.evidence))
        return Context(budget=budget, tokens=round(fmean(tokens), 1), evidence=round(100 * fmean(evidence), 2))

    def _user(self, conversation: str) -> str:
        return "everybody" if self._together else conversation


async def agentmem(dataset: Dataset, *, model: str) -> tuple[Rankings, Context]:
    """Rank with AgentMem as it ships, with its words alone, and with all conversations in one scope."""
    found: Rankings = {}
    async with _store(model) as memory:
        stored = Stored(memory, dataset, together=False)
        await _told(f"{dataset.name}: storing", stored.fill())
        found["agentmem"] = await _told("searching", stored.rankings("hybrid"))
        found["agentmem-lexical"] = await _told("searching by words", stored.rankings("lexical"))
        context = await _told("packing contexts", stored.context(BUDGET))
    if len(dataset.conversations) > 1:
        async with _store(model) as memory:
            stored = Stored(memory, dataset, together=True)
            await _told("storing in one scope", stored.fill())
            found["agentmem-one-scope"] = await _told("searching", stored.rankings("hybrid"))
    return found, context


async def baselines(dataset: Dataset, embedder: Embedder) -> Rankings:
    """Rank with BM25, dense vectors, their fusion by ranks, and mem0's formula."""
    found: Rankings = {name: [] for name in ("bm25", "dense", "rrf", "mem0")}
    for conversation in dataset.conversations:
        documents = [turn.spoken for turn in conversation.turns]
        vectors = np.stack([embedding.pooled for embedding in await embedder.embed_documents(documents)])
        sessions = {turn.id: turn.session for turn in conversation.turns}
        bm25, mem0_bm25 = Bm25(documents, k1=0.9, b=0.4), Bm25(documents, k1=1.2, b=0.75)
        for question in conversation.questions:
            query = question.text
            dense = (vectors @ (await embedder.embed_query(query)).pooled).astype(np.float64)
            lexical = bm25.scores(query)
            scores: Mapping[str, Scores] = {
                "bm25": lexical,
                "dense": dense,
                "rrf": fused_by_rank([best(lexical, len(documents)), best(dense, len(documents))], len(documents)),
                "mem0": mem0_scores(query, dense, mem0_bm25.scores(query), limit=LIMIT),
            }
            for name, ranked in scores.items():
                turns = [conversation.turns[place].id for place in best(ranked, LIMIT)]
                found[name].append(Ranking(question=question, turns=turns, sessions=sessions))
    return found


def _sessions(conversation: Conversation) -> list[list[Turn]]:
    """Group turns by session, in order."""
    sessions: dict[str, list[Turn]] = {}
    for turn in conversation.turns:
        sessions.setdefault(turn.session, []).append(turn)
    return list(sessions.values())


def _message(turn: Turn) -> dict[str, object]:
    name = {"name": turn.speaker} if turn.speaker else {}
    return {"role": "user", **name, "content": turn.text, "occurred_at": turn.occurred_at}


async def _told(what: str, work: Awaitable[Outcome]) -> Outcome:
    """Say on standard error what is being done, and how long it took."""
    started = time.perf_counter()
    outcome = await work
    print(f"  {what}: {time.perf_counter() - started:.1f} s", file=sys.stderr)
    return outcome


@asynccontextmanager
async def _store(model: str) -> AsyncIterator[AsyncMemory]:
    with TemporaryDirectory(prefix="agentmem-bench-", ignore_cleanup_errors=True) as directory:
        async with AsyncMemory(data_directory=Path(directory) / "store", embedding_model=model, linger=0) as memory:
            yield memory
