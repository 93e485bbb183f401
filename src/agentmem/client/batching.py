"""A bulk add cut into calls: between two conversations where that is possible."""

from __future__ import annotations

from typing import Final

from agentmem.errors import InvalidInput
from agentmem.schemas.items import Attributes, memory_of
from agentmem.schemas.keywords import Given
from agentmem.schemas.memories import NewMemory

BATCH: Final = 256
"""Memories of a bulk add that are sent together; up to twice as many where a conversation goes on."""


class Batcher:
    """Reads items, and gives them in batches."""

    def __init__(self, attributes: Attributes) -> None:
        self._attributes = {key: value for key, value in attributes.items() if value is not None}
        self._waiting: list[NewMemory] = []
        self._read = 0

    def take(self, item: Given) -> list[NewMemory]:
        """Take one item, and give the batch that ends before it, if one does."""
        self._read += 1
        try:
            new = memory_of(item, self._attributes)
        except InvalidInput as error:
            raise InvalidInput(
                f"Item {self._read}: {error.message}", hint="The batches before it are stored."
            ) from None
        full = len(self._waiting) >= BATCH and (
            len(self._waiting) >= 2 * BATCH or not _same_talk(self._waiting[-1], new)
        )
        batch = self.rest() if full else []
        self._waiting.append(new)
        return batch

    def rest(self) -> list[NewMemory]:
        """Give what is waiting, as the last batch."""
        batch, self._waiting = self._waiting, []
        return batch


def _same_talk(before: NewMemory, new: NewMemory) -> bool:
    return new.role is not None and before.role is not None and _scope(before) == _scope(new)


def _scope(new: NewMemory) -> tuple[str | None, ...]:
    return (new.user_id, new.agent_id, new.run_id, new.app_id)
