"""What AgentMem asks of an embedding model: one pooled vector a text and, if the model can, one vector a wordpiece."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

MAX_TOKEN_ROWS = 256
"""The most token vectors that one embedding carries; a longer text has vectors for its beginning only."""


@dataclass(frozen=True, kw_only=True, eq=False)
class Embedding:
    """The vectors of one text; the arrays are read-only, so that an embedding may be shared and cached.

    ``pooled`` has shape ``(dimensions,)``, float32 and length 1, so a dot product is a cosine. ``tokens`` has shape
    ``(n, token_dimensions)``, int8: one row for each wordpiece except special tokens, of length 127 before rounding,
    so a dot product divided by 127² is a cosine. ``spans`` has shape ``(n, 2)``, int32: where each wordpiece stands in
    the text, in characters, the end excluded. ``n`` is at most 256, and 0 for a model without token vectors.
    """

    pooled: NDArray[np.float32]
    tokens: NDArray[np.int8]
    spans: NDArray[np.int32]

    def __post_init__(self) -> None:
        for array in (self.pooled, self.tokens, self.spans):
            array.setflags(write=False)


class Embedder(Protocol):
    """Turns texts into vectors. Every method may be called from many tasks of one event loop at once.

    ``model`` names the model and its exact weights ("all-minilm-l6-v2-int8@1a2b3c4d"): vectors of different names are
    never compared.
    """

    @property
    def model(self) -> str:
        """The model's stable id."""
        ...

    @property
    def dimensions(self) -> int:
        """The length of a pooled vector."""
        ...

    @property
    def token_dimensions(self) -> int:
        """The length of a token vector; 0 if the model has none."""
        ...

    @property
    def sends_texts(self) -> bool:
        """Whether texts leave this machine for the provider of the model."""
        ...

    async def embed_documents(self, texts: Sequence[str]) -> list[Embedding]:
        """Embed texts that will be searched for, in order; raises :class:`EmbedderUnavailable` if the model fails."""
        ...

    async def embed_query(self, text: str) -> Embedding:
        """Embed a text that searches; raises :class:`EmbedderUnavailable` if the model fails."""
        ...

    async def aclose(self) -> None:
        """Free the model; later calls raise :class:`Closed`. Closing twice is allowed."""
        ...
