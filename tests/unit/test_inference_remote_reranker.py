"""The remote reranker: what it sends, and what becomes of a vendor's failures."""

from __future__ import annotations

import json
from collections.abc import Iterator

import pytest
from pydantic import SecretStr

from agentmem.errors import ConfigurationError, RerankerUnavailable
from agentmem.foundation.inference.remote_reranker import RemoteReranker
from tests.support.rerank_vendor import KEY, RerankVendor, rerank_vendor


@pytest.fixture
def vendor() -> Iterator[RerankVendor]:
    with rerank_vendor() as running:
        yield running


async def failure(url: str) -> str:
    reranker = RemoteReranker.open("words", base_url=url, api_key=SecretStr(KEY))
    with pytest.raises(RerankerUnavailable) as caught:
        await reranker.rerank("one", ["one", "two"])
    await reranker.aclose()
    assert KEY not in str(caught.value)
    return str(caught.value)


async def test_query_and_texts_are_sent_in_one_request_with_the_key(vendor: RerankVendor) -> None:
    reranker = RemoteReranker.open("words", base_url=f"{vendor.url}/", api_key=SecretStr(KEY))
    assert await reranker.rerank("one two", ["three", "one"]) == [0.0, 0.5]
    await reranker.aclose()
    assert vendor.bodies == [{"model": "words", "query": "one two", "documents": ["three", "one"], "top_n": 2}]
    assert vendor.keys == [f"Bearer {KEY}"]


async def test_an_endpoint_of_ones_own_needs_no_key(vendor: RerankVendor) -> None:
    reranker = RemoteReranker.open("words", base_url=vendor.url)
    assert await reranker.rerank("one", ["one"]) == [1.0]
    await reranker.aclose()
    assert vendor.keys == [None]


@pytest.mark.parametrize("status", [400, 401, 404, 429, 500, 503])
async def test_a_refusal_makes_the_reranker_unavailable(vendor: RerankVendor, status: int) -> None:
    vendor.status = status
    vendor.answer = json.dumps({"message": f"key {KEY} is wrong"}).encode()
    assert str(status) in await failure(vendor.url)


def answer(*scores: float, shift: int = 0) -> bytes:
    results = [{"index": number + shift, "relevance_score": score} for number, score in enumerate(scores)]
    return json.dumps({"results": results}).encode()


@pytest.mark.parametrize(
    "reply",
    [
        b"",
        b"<html>",
        b"[]",
        b'{"results": [{"index": 0}]}',
        b'{"results": [{"index": 0, "relevance_score": 1}, {"index": 0, "relevance_score": 1}]}',
        answer(0.5),
        answer(0.5, 0.4, 0.3),
        answer(0.5, 0.4, shift=1),
        answer(0.5, float("nan")),
        answer(0.5, float("inf")),
    ],
    ids="empty html list lacking twice too-few too-many wrong-index nan infinite".split(),
)
async def test_an_answer_that_is_not_scores_makes_the_reranker_unavailable(vendor: RerankVendor, reply: bytes) -> None:
    vendor.answer = reply
    assert "gave" in await failure(vendor.url)


async def test_an_address_where_nothing_answers_makes_the_reranker_unavailable() -> None:
    assert "password" not in await failure("http://name:password@127.0.0.1:1/v1")


@pytest.mark.parametrize("url", [None, "nonsense", "http://[::1", "http://name:password@", "ftp://127.0.0.1/v1", ""])
def test_an_address_that_is_none_is_refused(url: str | None) -> None:
    with pytest.raises(ConfigurationError) as caught:
        RemoteReranker.open("words", base_url=url)
    assert "password" not in str(caught.value)
