"""The embedder behind an HTTP endpoint that speaks OpenAI's ``/embeddings``: OpenAI, or a server of one's own."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, Self

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, SecretStr, ValidationError

from agentmem.errors import Closed, ConfigurationError, EmbedderUnavailable
from agentmem.foundation.inference.port import Embedding

try:
    import httpx

    _INSTALLED = True
except ModuleNotFoundError:  # the extra is not installed: said when a remote model is asked for
    _INSTALLED = False

OPENAI_URL: Final = "https://api.openai.com/v1"
_TEXTS_PER_REQUEST: Final = 128


@dataclass(frozen=True, kw_only=True)
class RemoteModel:
    """Where a remote model is and how long to wait for it.

    ``base_url`` is the endpoint without ``/embeddings``, ``dimensions`` is the length of its vectors (sent to the
    vendor, and checked), ``timeout`` counts seconds for each request of at most 128 texts.
    """

    name: str
    dimensions: int
    base_url: str = OPENAI_URL
    api_key: SecretStr | None = None
    timeout: float = 30.0


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

    def __init__(self, remote: RemoteModel, client: httpx.AsyncClient) -> None:
        self._remote = remote
        self._client = client

    @classmethod
    def open(cls, remote: RemoteModel) -> Self:
        """Prepare the connection pool; nothing is sent yet.

        Raises :class:`ConfigurationError` without the extra, or if the address is not an HTTP one.
        """
        if not _INSTALLED:
            raise ConfigurationError(
                "A remote embedding model needs the package httpx, which is not installed.",
                hint='Install it with: pip install "agentmem[remote]"',
            )
        try:
            address = httpx.URL(remote.base_url)
        except httpx.InvalidURL:
            address = httpx.URL()
        if address.scheme not in {"http", "https"} or not address.host:
            raise ConfigurationError(
                f"The address of the embedding model {remote.name} is not an http(s) URL.",
                hint=f"Write it like {OPENAI_URL}.",
            )
        headers = {} if remote.api_key is None else {"Authorization": f"Bearer {remote.api_key.get_secret_value()}"}
        return cls(remote, httpx.AsyncClient(headers=headers, timeout=remote.timeout))

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

    async def embed_documents(self, texts: Sequence[str]) -> list[Embedding]:
        """Embed texts in their order, at most 128 in a request."""
        embeddings: list[Embedding] = []
        for start in range(0, len(texts), _TEXTS_PER_REQUEST):
            embeddings += await self._request(texts[start : start + _TEXTS_PER_REQUEST])
        return embeddings

    async def embed_query(self, text: str) -> Embedding:
        """Embed a query."""
        return (await self._request([text]))[0]

    async def aclose(self) -> None:
        """Close the connections."""
        await self._client.aclose()

    async def _request(self, texts: Sequence[str]) -> list[Embedding]:
        if self._client.is_closed:
            raise Closed("The embedder is closed.", hint="Open the store again.")
        body = {
            # JSON has no lone surrogates; an empty text is refused by some vendors
            "input": [text.encode("utf-8", "replace").decode() or " " for text in texts],
            "model": self._remote.name,
            "dimensions": self._remote.dimensions,
            "encoding_format": "float",
        }
        try:
            response = await self._client.post(f"{self._remote.base_url.rstrip('/')}/embeddings", json=body)
        except httpx.HTTPError as error:
            raise self._unavailable(f"could not be reached ({type(error).__name__})") from None
        if response.status_code != httpx.codes.OK:
            raise self._unavailable(f"answered with HTTP status {response.status_code}")
        try:
            answer = _Answer.model_validate_json(response.content)
        except ValidationError:
            raise self._unavailable("gave an answer that is not a list of embeddings") from None
        return self._embeddings(answer, len(texts))

    def _embeddings(self, answer: _Answer, count: int) -> list[Embedding]:
        items = sorted(answer.data, key=lambda item: item.index)
        if [item.index for item in items] != list(range(count)):
            raise self._unavailable(f"gave {len(items)} embeddings for {count} texts")
        return [self._embedding(np.array(item.embedding)) for item in items]

    def _embedding(self, vector: NDArray[np.float64]) -> Embedding:
        with np.errstate(over="ignore"):  # a length that is not finite is refused below
            length = float(np.linalg.norm(vector))
        if vector.shape != (self._remote.dimensions,):
            raise self._unavailable(f"gave vectors of {vector.size} dimensions, not {self._remote.dimensions}")
        if not np.isfinite(length) or length == 0:
            raise self._unavailable("gave a vector without a direction")
        return Embedding(
            pooled=(vector / length).astype(np.float32),
            tokens=np.zeros((0, 0), dtype=np.int8),
            spans=np.zeros((0, 2), dtype=np.int32),
        )

    def _unavailable(self, what: str) -> EmbedderUnavailable:
        # the host alone: an address may carry a name and a password
        host = httpx.URL(self._remote.base_url).host
        return EmbedderUnavailable(f"The embedding model {self._remote.name} at {host} {what}.")
