"""What every reranker does, whoever scores the texts."""

from __future__ import annotations

import asyncio
import math
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager

import pytest
from pydantic import SecretStr

from agentmem.errors import Closed
from agentmem.foundation.inference.remote_reranker import RemoteReranker
from agentmem.foundation.inference.reranker import Reranker
from tests.support.rerank_vendor import KEY, rerank_vendor

QUERY = "Where does the kitten sleep?"
TEXTS = ["The report is late.", "The kitten does sleep on the sofa.", "A dog barks.", "The kitten eats."]


@asynccontextmanager
async def remote() -> AsyncIterator[Reranker]:
    with rerank_vendor() as vendor:
        yield RemoteReranker.open("words", base_url=vendor.url, api_key=SecretStr(KEY))


Open = Callable[[], AbstractAsyncContextManager[Reranker]]


@pytest.fixture(params=[remote])
async def reranker(request: pytest.FixtureRequest) -> AsyncIterator[Reranker]:
    opened: Open = request.param
    async with opened() as each:
        yield each
        await each.aclose()


async def test_no_texts_have_no_scores(reranker: Reranker) -> None:
    assert await reranker.rerank(QUERY, []) == []


async def test_every_text_has_a_score_in_the_order_of_the_texts(reranker: Reranker) -> None:
    scores = await reranker.rerank(QUERY, TEXTS)
    assert len(scores) == len(TEXTS)
    assert max(scores) == scores[1]
    assert scores[1] > scores[3] > scores[2]
    assert await reranker.rerank(QUERY, TEXTS[::-1]) == scores[::-1]


@pytest.mark.parametrize("text", ["", " ", "\ud800", "a\x00b", "🙂" * 40, "long " * 2000, "猫在窗台上睡觉"])
async def test_any_text_has_a_score(reranker: Reranker, text: str) -> None:
    assert all(map(math.isfinite, await reranker.rerank(text, [text, "another"])))


async def test_callers_at_once_each_get_their_own(reranker: Reranker) -> None:
    scores = await reranker.rerank(QUERY, TEXTS)
    found = await asyncio.gather(*(reranker.rerank(QUERY, [text]) for text in TEXTS * 3))
    assert [score for [score] in found] == scores * 3


async def test_a_closed_reranker_says_so(reranker: Reranker) -> None:
    await reranker.aclose()
    await reranker.aclose()
    with pytest.raises(Closed):
        await reranker.rerank(QUERY, TEXTS)
