"""The embedding model that a process has loaded, and its exchange when the store's model changes."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

import structlog

from agentmem.errors import ConfigurationError, IntegrityError
from agentmem.foundation.inference.absent import AbsentEmbedder
from agentmem.foundation.inference.port import Embedder

Opener = Callable[[str], Awaitable[Embedder]]
log = structlog.get_logger(__name__)


class Models:
    """Holds one loaded embedder; another process may change the store's model at any time.

    An embedder that was exchanged is freed with the next exchange, or at the end: calls may still be using it.
    """

    def __init__(self, current: Embedder, opener: Opener) -> None:
        self.current = current
        self._opener = opener
        self._changing = asyncio.Lock()
        self._retired: Embedder | None = None

    async def require(self, model: str) -> Embedder:
        """Give the embedder for a model id, loading it in place of the present one when they differ.

        One that cannot be loaded is an absent one, which fails when it is used; the present one stays.
        """
        async with self._changing:
            found = await self._find(model)
            if found is not self.current and not isinstance(found, AbsentEmbedder):
                await self._exchange(found)
            return found

    async def follow(self, model: str) -> Embedder:
        """Do the same for the model of the store as a whole: an absent one takes the place of the present one too."""
        async with self._changing:
            found = await self._find(model)
            if found is not self.current:
                await self._exchange(found)
            return found

    async def adopt(self, embedder: Embedder) -> None:
        """Use an embedder that :meth:`open` gave in place of the present one; it is closed here from now on."""
        async with self._changing:
            await self._exchange(embedder)

    async def open(self, name: str) -> Embedder:
        """Load another model beside the current one; the caller closes it."""
        return await self._opener(name)

    async def aclose(self) -> None:
        """Free the model."""
        if self._retired is not None:
            await self._retired.aclose()
        await self.current.aclose()

    async def _find(self, model: str) -> Embedder:
        if self.current.model == model and not isinstance(self.current, AbsentEmbedder):
            return self.current
        try:
            return await self._opener(model)
        except (ConfigurationError, IntegrityError) as error:
            log.warning("model_absent", model=model, reason=error.message)
            return AbsentEmbedder(model, error)

    async def _exchange(self, embedder: Embedder) -> None:
        before, self._retired, self.current = self._retired, self.current, embedder
        if before is not None:
            await before.aclose()
