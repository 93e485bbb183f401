"""What callers may give to be remembered, as drafts: texts, chat messages, and lists of either."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final

from agentmem.errors import InvalidInput
from agentmem.pipelines.ingestion.pipeline import Draft
from agentmem.schemas.base import parse
from agentmem.schemas.memories import Message, NewMemory, OnDuplicate

Given = str | Message | NewMemory | Mapping[str, object]
Attributes = Mapping[str, object]
MOST_AT_ONCE: Final = 1000
_MESSAGE_KEYS: Final = frozenset(Message.model_fields)


def drafts_of_call(
    given: Given | Sequence[Given], attributes: Attributes, on_duplicate: OnDuplicate | None
) -> list[Draft]:
    """Read the content of one ``add``; all turns of it are one conversation, each text stands alone.

    By default a text that its scope holds already is not stored again; a turn of a conversation always is.
    """
    items = [given] if isinstance(given, str | Message | NewMemory | Mapping) else given
    if not isinstance(items, list | tuple):
        raise InvalidInput(
            f"Content is text, a message, or a list of these, not {type(given).__name__}.",
            hint='For example add("likes tea") or add([{"role": "user", "content": "I like tea"}]).',
        )
    if not items:
        raise InvalidInput("There is nothing to add: the list is empty.")
    if len(items) > MOST_AT_ONCE:
        raise InvalidInput(
            f"One add takes up to {MOST_AT_ONCE} items, these are {len(items)}.", hint="Use add_many for any number."
        )
    reader = DraftReader(attributes, on_duplicate)
    return [reader.read(item) for item in items]


class DraftReader:
    """Reads a stream of items; turns that follow each other in one scope are one conversation."""

    def __init__(self, attributes: Attributes, on_duplicate: OnDuplicate | None = None) -> None:
        self._attributes = {key: value for key, value in attributes.items() if value is not None}
        self._on_duplicate = on_duplicate
        self._thread = 0
        self._speaking: tuple[str | None, ...] | None = None

    def read(self, item: Given) -> Draft:
        """Read one item; raises :class:`InvalidInput` that names the field at fault."""
        new = self._memory(item)
        scope = (new.user_id, new.agent_id, new.run_id, new.app_id) if new.role is not None else None
        if scope is None or scope != self._speaking:
            self._thread += 1
        self._speaking = scope
        default = OnDuplicate.RETURN if new.role is None else OnDuplicate.KEEP
        return Draft(new=new, thread=self._thread, on_duplicate=self._on_duplicate or default)

    def _memory(self, item: Given) -> NewMemory:
        if isinstance(item, NewMemory):
            return item
        if isinstance(item, str):
            return parse(NewMemory, {**self._attributes, "content": item})
        if isinstance(item, Message):
            return self._turn(item)
        if not isinstance(item, Mapping):
            raise InvalidInput(f"An item is text or a message, not {type(item).__name__}.")
        if set(item) <= _MESSAGE_KEYS and ("role" in item or "name" in item):
            return self._turn(parse(Message, dict(item)))
        return parse(NewMemory, {**self._attributes, **item})

    def _turn(self, message: Message) -> NewMemory:
        own = {
            "content": message.content,
            "role": message.role,
            "actor": message.name,
            "occurred_at": message.occurred_at,
        }
        given = {key: value for key, value in own.items() if value is not None}
        metadata = {**_mapping(self._attributes.get("metadata")), **(message.metadata or {})}
        return parse(NewMemory, {**self._attributes, **given, "metadata": metadata})


def _mapping(value: object) -> Mapping[str, object]:
    if value is None:
        return {}
    if not isinstance(value, Mapping):
        raise InvalidInput(f"metadata is an object, not {type(value).__name__}.")
    return value
