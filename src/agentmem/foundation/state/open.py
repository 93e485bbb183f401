"""Which state a process uses."""

from __future__ import annotations

from collections.abc import Callable

from agentmem.foundation.resilience.guarded import Guarded
from agentmem.foundation.state.fallback import FallbackState
from agentmem.foundation.state.memory import MemoryState
from agentmem.foundation.state.port import State
from agentmem.foundation.telemetry.watchers import unheard
from agentmem.settings import Settings


def open_state(settings: Settings, guarded: Guarded, *, fell_back: Callable[[], None] = unheard) -> State:
    """Open the state in Redis if the settings name one, else that of a single process; connects when first used.

    Redis is asked behind its guards; ``fell_back`` is called for each call that it did not answer. Raises
    :class:`ConfigurationError` for a malformed URL.
    """
    if settings.redis_url is None:
        return MemoryState()
    from agentmem.foundation.state.redis import RedisState  # noqa: PLC0415  # a single process starts without

    shared = RedisState(settings.redis_url.get_secret_value())
    return FallbackState(shared, MemoryState(), guarded=guarded, fell_back=fell_back)
