"""What callers may give to be remembered, as drafts: texts, chat messages, and lists of either."""

from __future__ import annotations

from collections.abc import Sequence

from agentmem.pipelines.ingestion.pipeline import Draft
from agentmem.schemas.items import Attributes, items_of, memory_of
from agentmem.schemas.keywords import Given
from agentmem.schemas.memories import OnDuplicate


def drafts_of_call(
    given: Given | Sequence[Given], attributes: Attributes, on_duplicate: OnDuplicate | None
) -> list[Draft]:
    """Read the content of one ``add``; all turns of it are one conversation, each text stands alone.

    By default a text that its scope holds already is not stored again; a turn of a conversation always is.
    """
    reader = DraftReader(attributes, on_duplicate)
    return [reader.read(item) for item in items_of(given)]


class DraftReader:
    """Reads a stream of items; turns that follow each other in one scope are one conversation."""

    def __init__(self, attributes: Attributes, on_duplicate: OnDuplicate | None = None) -> None:
        self._attributes = {key: value for key, value in attributes.items() if value is not None}
        self._on_duplicate = on_duplicate
        self._thread = 0
        self._speaking: tuple[str | None, ...] | None = None

    def read(self, item: Given) -> Draft:
        """Read one item; raises :class:`InvalidInput` that names the field at fault."""
        new = memory_of(item, self._attributes)
        scope = (new.user_id, new.agent_id, new.run_id, new.app_id) if new.role is not None else None
        if scope is None or scope != self._speaking:
            self._thread += 1
        self._speaking = scope
        default = OnDuplicate.RETURN if new.role is None else OnDuplicate.KEEP
        return Draft(new=new, thread=self._thread, on_duplicate=self._on_duplicate or default)
