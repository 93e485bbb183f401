"""The reranker behind an HTTP endpoint that speaks the ``/rerank`` of Cohere and Jina, or a server of one's own."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Self

from pydantic import BaseModel, FiniteFloat, SecretStr

from agentmem.errors import ConfigurationError, RerankerUnavailable
from agentmem.foundation.inference.endpoint import RERANKER, Endpoint, sendable
from agentmem.foundation.resilience.guarded import Guarded


class _Result(BaseModel):
    index: int
    relevance_score: FiniteFloat


class _Answer(BaseModel):
    results: list[_Result]


class RemoteReranker:
    """Scores by HTTP.

    Every failure of the vendor, of the network or of the answer is :class:`RerankerUnavailable`; the key is never in a
    message.
    """

    def __init__(self, model: str, endpoint: Endpoint) -> None:
        self._model = model
        self._endpoint = endpoint

    @classmethod
    def open(
        cls,
        model: str,
        *,
        base_url: str | None,
        api_key: SecretStr | None = None,
        guarded: Guarded | None = None,
    ) -> Self:
        """Prepare the connection pool; nothing is sent yet. ``base_url`` is the endpoint without ``/rerank``.

        ``guarded`` says how long it has for an answer; without guards that it shares it has its own.
        Raises :class:`ConfigurationError` without the extra, without an address, or if it is not an HTTP one.
        """
        if base_url is None:
            raise ConfigurationError(
                f"The reranker {model} has no address.", hint="Set AGENTMEM_RERANKER_URL to its endpoint."
            )
        endpoint = Endpoint(
            f"reranker {model}",
            base_url,
            api_key=api_key,
            error=RerankerUnavailable,
            guarded=guarded or Guarded(RERANKER),
        )
        return cls(model, endpoint)

    @property
    def model(self) -> str:
        """The model's name."""
        return self._model

    async def rerank(self, query: str, texts: Sequence[str]) -> list[float]:
        """Score every text, in order."""
        if not texts:
            return []
        answer = await self._endpoint.post(
            "/rerank",
            {
                "model": self._model,
                "query": sendable(query),
                "documents": [sendable(text) for text in texts],
                "top_n": len(texts),
            },
            _Answer,
        )
        results = sorted(answer.results, key=lambda result: result.index)
        if [result.index for result in results] != list(range(len(texts))):
            raise self._endpoint.unavailable(f"gave {len(results)} scores for {len(texts)} texts")
        return [result.relevance_score for result in results]

    async def aclose(self) -> None:
        """Close the connections."""
        await self._endpoint.aclose()
