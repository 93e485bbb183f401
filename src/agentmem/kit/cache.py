"""What a process keeps of values that live elsewhere: a bounded number of them, each for a bounded time."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Hashable
from time import monotonic
from typing import Generic, TypeVar

Key = TypeVar("Key", bound=Hashable)
Value = TypeVar("Value")


class Cache(Generic[Key, Value]):
    """Keeps up to ``capacity`` values for ``seconds`` each; the least recently used is forgotten first.

    For what is immutable or may be believed for that long: losing all of it costs time and nothing else.
    """

    def __init__(self, *, capacity: int, seconds: float, clock: Callable[[], float] = monotonic) -> None:
        """Make it empty; ``clock`` gives seconds."""
        self._capacity = capacity
        self._seconds = seconds
        self._clock = clock
        self._kept: OrderedDict[Key, tuple[float, Value]] = OrderedDict()

    def get(self, key: Key) -> Value | None:
        """Give a value, unless it is not kept or its time is over."""
        kept = self._kept.get(key)
        if kept is None:
            return None
        until, value = kept
        if self._clock() >= until:
            del self._kept[key]
            return None
        self._kept.move_to_end(key)
        return value

    def put(self, key: Key, value: Value, *, until: float | None = None) -> None:
        """Keep a value in place of the one under this key, up to a time of the clock if one is given."""
        self._kept[key] = (self._clock() + self._seconds if until is None else until, value)
        self._kept.move_to_end(key)
        while len(self._kept) > self._capacity:
            self._kept.popitem(last=False)

    def drop(self, key: Key) -> None:
        """Forget a value; nothing happens if it is not kept."""
        self._kept.pop(key, None)

    def clear(self) -> None:
        """Forget everything."""
        self._kept.clear()

    def __contains__(self, key: Key) -> bool:
        return key in self._kept

    def keys(self) -> list[Key]:
        """Name what is kept, the time of some of it over perhaps."""
        return list(self._kept)
