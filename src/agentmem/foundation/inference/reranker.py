"""What AgentMem asks of a reranker: a score for each text, given the query."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol


class Reranker(Protocol):
    """Reads query and text together and scores how well the text answers; slower and finer than an embedder."""

    @property
    def model(self) -> str:
        """The model's name."""
        ...

    async def rerank(self, query: str, texts: Sequence[str]) -> list[float]:
        """Score every text, in order; higher is better, and scores are comparable within one call only.

        Raises :class:`RerankerUnavailable` if the model fails. The caller sets the deadline: an adapter must stop when
        its task is cancelled.
        """
        ...

    async def aclose(self) -> None:
        """Free what the reranker holds; later calls raise :class:`Closed`. Closing twice is allowed."""
        ...
