"""The place of an embedding model that a store records and this process cannot load."""

from __future__ import annotations

from collections.abc import Sequence

from agentmem.errors import AgentMemError, EmbedderUnavailable
from agentmem.foundation.inference.port import Embedding


class AbsentEmbedder:
    """Has the model's name, and fails: its store is open, finds by words, and can be embedded by another model."""

    def __init__(self, model: str, reason: AgentMemError) -> None:
        self._model = model
        self._reason = reason

    @property
    def model(self) -> str:
        """The id that the store records."""
        return self._model

    @property
    def dimensions(self) -> int:
        """The length of a pooled vector; 0: not known."""
        return 0

    @property
    def token_dimensions(self) -> int:
        """The length of a token vector; 0: not known."""
        return 0

    @property
    def sends_texts(self) -> bool:
        """Whether texts leave this machine."""
        return False

    async def embed_documents(self, texts: Sequence[str]) -> list[Embedding]:  # noqa: ARG002  # named by the port
        """Raise :class:`EmbedderUnavailable`."""
        raise self._unavailable()

    async def embed_query(self, text: str) -> Embedding:  # noqa: ARG002  # named by the port
        """Raise :class:`EmbedderUnavailable`."""
        raise self._unavailable()

    async def aclose(self) -> None:
        """There is nothing to free."""

    def _unavailable(self) -> EmbedderUnavailable:
        return EmbedderUnavailable(
            f"The embedding model {self._model} of this store cannot be loaded: {self._reason.message}",
            hint="Make it available again, or change the model: agentmem reembed --model default.",
        )
