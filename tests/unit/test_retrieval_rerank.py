"""What the order of a reranker does to hits and to their scores."""

from __future__ import annotations

from datetime import UTC, datetime
from uuid import uuid4

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agentmem.pipelines.retrieval.rerank import reordered
from agentmem.schemas.memories import Kind, MemoryRecord, Origin, SearchHit, Signal

NOW = datetime(2026, 11, 27, tzinfo=UTC)
RELEVANCES = st.lists(st.floats(-1e6, 1e6), max_size=8)


def hits(count: int, *, explained: bool = True) -> list[SearchHit]:
    return [
        SearchHit(
            memory=MemoryRecord(
                id=uuid4(),
                content=f"memory {number}",
                kind=Kind.EPISODIC,
                origin=Origin.USER,
                authority=Origin.USER,
                metadata={},
                importance=0.5,
                pinned=False,
                occurred_at=NOW,
                created_at=NOW,
                updated_at=NOW,
                version=1,
            ),
            score=0.9 - number / 10,
            signals={"words": Signal(value=1, contribution=0.9 - number / 10)} if explained else None,
        )
        for number in range(count)
    ]


@given(RELEVANCES)
def test_most_relevant_comes_first_and_the_scores_stay_in_their_places(relevances: list[float]) -> None:
    before = hits(len(relevances))
    after = reordered(before, relevances)
    said = {hit.memory.id: relevance for hit, relevance in zip(before, relevances, strict=True)}

    assert [said[hit.memory.id] for hit in after] == sorted(relevances, reverse=True)
    assert [hit.score for hit in after] == [hit.score for hit in before]


@given(RELEVANCES)
def test_signals_add_up_to_the_new_score_and_say_what_the_reranker_said(relevances: list[float]) -> None:
    before = hits(len(relevances))
    said = {hit.memory.id: relevance for hit, relevance in zip(before, relevances, strict=True)}
    for hit in reordered(before, relevances):
        assert hit.signals is not None
        assert set(hit.signals) == {"words", "reranker"}
        assert hit.signals["reranker"].value == said[hit.memory.id]
        assert sum(signal.contribution for signal in hit.signals.values()) == pytest.approx(hit.score)


def test_hits_of_one_relevance_stay_as_they_were() -> None:
    before = hits(4, explained=False)
    after = reordered(before, [0.2, 0.7, 0.2, 0.7])

    assert [hit.memory for hit in after] == [before[place].memory for place in (1, 3, 0, 2)]
    assert all(hit.signals is None for hit in after)
