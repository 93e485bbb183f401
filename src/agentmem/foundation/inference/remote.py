"""The embedder behind an HTTP endpoint that speaks OpenAI's ``/embeddings``: OpenAI, or a server of one's own."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, Self

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, SecretStr

from agentmem.errors import EmbedderUnavailable
from agentmem.foundation.inference.endpoint import EMBEDDER, Endpoint, sendable
from agentmem.foundation.inference.port import Embedding
from agentmem.foundation.resilience.guarded import Guarded

OPENAI_URL: Final = "https://api.openai.com/v1"
QUERY_SECONDS: Final = 5.0
"""Seconds for the embedding of a query: somebody waits for the search, which can go by words."""
_TEXTS_PER_REQUEST: Final = 128


@dataclass(frozen=True, kw_only=True)
class RemoteModel:
    """Where a remote model is.

    ``base_url`` is the endpoint without ``/embeddings``, ``dimensions`` is the length of its vectors (sent to the
    vendor, and checked).
    """

    name: str
    dimensions: int
    base_url: str = OPENAI_URL
    api_key: SecretStr | None = None


class _Item(BaseModel):
    index: int
    embedding: list[float]


class _Answer(BaseModel):
    data: list[_Item]


class OpenAICompatibleEmbedder:
    """Pooled vectors by HTTP; no token vectors, so search does without late interaction.

    Every failure of the vendor, of the network or of the answer is :class:`EmbedderUnavailable`; the key is never in a
    message.
    """

    def __init__(self, remote: RemoteModel, endpoint: Endpoint) -> None:
        self._remote = remote
        self._endpoint = endpoint

    @classmethod
    def open(cls, remote: RemoteModel, guarded: Guarded | None = None) -> Self:
        """Prepare the connection pool; nothing is sent yet. Without guards that it shares it has its own.

        Raises :class:`ConfigurationError` without the extra, or if the address is not an HTTP one.
        """
        endpoint = Endpoint(
            f"embedding model {remote.name}",
            remote.base_url,
            api_key=remote.api_key,
            error=EmbedderUnavailable,
            guarded=guarded or Guarded(EMBEDDER),
        )
        return cls(remote, endpoint)

    @property
    def model(self) -> str:
        """The model's stable id."""
        return f"{self._remote.name}@{self._remote.dimensions}"

    @property
    def dimensions(self) -> int:
        """The length of a pooled vector."""
        return self._remote.dimensions

    @property
    def token_dimensions(self) -> int:
        """The length of a token vector; 0: a remote model gives none."""
        return 0

    @property
    def sends_texts(self) -> bool:
        """Whether texts leave this machine."""
        return True

    async def embed_documents(self, texts: Sequence[str]) -> list[Embedding]:
        """Embed texts in their order, at most 128 in a request."""
        embeddings: list[Embedding] = []
        for start in range(0, len(texts), _TEXTS_PER_REQUEST):
            embeddings += await self._request(texts[start : start + _TEXTS_PER_REQUEST])
        return embeddings

    async def embed_query(self, text: str) -> Embedding:
        """Embed a query."""
        return (await self._request([text], seconds=QUERY_SECONDS))[0]

    async def aclose(self) -> None:
        """Close the connections."""
        await self._endpoint.aclose()

    async def _request(self, texts: Sequence[str], *, seconds: float | None = None) -> list[Embedding]:
        answer = await self._endpoint.post(
            "/embeddings",
            {
                "input": [sendable(text) for text in texts],
                "model": self._remote.name,
                "dimensions": self._remote.dimensions,
                "encoding_format": "float",
            },
            _Answer,
            seconds=seconds,
        )
        return self._embeddings(answer, len(texts))

    def _embeddings(self, answer: _Answer, count: int) -> list[Embedding]:
        items = sorted(answer.data, key=lambda item: item.index)
        if [item.index for item in items] != list(range(count)):
            raise self._endpoint.unavailable(f"gave {len(items)} embeddings for {count} texts")
        return [self._embedding(np.array(item.embedding)) for item in items]

    def _embedding(self, vector: NDArray[np.float64]) -> Embedding:
        with np.errstate(over="ignore"):  # a length that is not finite is refused below
            length = float(np.linalg.norm(vector))
        if vector.shape != (self._remote.dimensions,):
            raise self._endpoint.unavailable(f"gave vectors of {vector.size} dimensions, not {self._remote.dimensions}")
        if not np.isfinite(length) or length == 0:
            raise self._endpoint.unavailable("gave a vector without a direction")
        return Embedding(
            pooled=(vector / length).astype(np.float32),
            tokens=np.zeros((0, 0), dtype=np.int8),
            spans=np.zeros((0, 2), dtype=np.int32),
        )
