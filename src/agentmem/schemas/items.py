"""What callers may give to be remembered, read as new memories: texts, chat messages, and lists of either."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final

from agentmem.errors import InvalidInput
from agentmem.schemas.base import parse
from agentmem.schemas.keywords import Given
from agentmem.schemas.memories import Message, NewMemory

Attributes = Mapping[str, object]
MOST_AT_ONCE: Final = 1000
_MESSAGE_KEYS: Final = frozenset(Message.model_fields)


def items_of(given: Given | Sequence[Given]) -> Sequence[Given]:
    """Give the items of one ``add``; raises :class:`InvalidInput` unless they are 1 to 1,000."""
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
    return items


def memory_of(item: Given, attributes: Attributes) -> NewMemory:
    """Read one item with the attributes of its call; raises :class:`InvalidInput` that names the field at fault."""
    if isinstance(item, NewMemory):
        return item
    if isinstance(item, str):
        return parse(NewMemory, {**attributes, "content": item})
    if isinstance(item, Message):
        return _turn(item, attributes)
    if not isinstance(item, Mapping):
        raise InvalidInput(f"An item is text or a message, not {type(item).__name__}.")
    if set(item) <= _MESSAGE_KEYS and ("role" in item or "name" in item):
        return _turn(parse(Message, dict(item)), attributes)
    return parse(NewMemory, {**attributes, **item})


def _turn(message: Message, attributes: Attributes) -> NewMemory:
    own = {
        "content": message.content,
        "role": message.role,
        "actor": message.name,
        "occurred_at": message.occurred_at,
    }
    given = {key: value for key, value in own.items() if value is not None}
    metadata = {**_mapping(attributes.get("metadata")), **(message.metadata or {})}
    return parse(NewMemory, {**attributes, **given, "metadata": metadata})


def _mapping(value: object) -> Mapping[str, object]:
    if value is None:
        return {}
    if not isinstance(value, Mapping):
        raise InvalidInput(f"metadata is an object, not {type(value).__name__}.")
    return value
