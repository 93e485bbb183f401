"""AgentMem: memory for agents.

``Memory`` and ``AsyncMemory`` open a store in this process; ``Client`` and ``AsyncClient`` use a server.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from agentmem.client.asynchronous import AsyncClient
    from agentmem.client.person import Person
    from agentmem.client.synchronous import Client
    from agentmem.entrypoints.embedded.memory import AsyncMemory
    from agentmem.entrypoints.embedded.sync import Memory
    from agentmem.errors import AgentMemError

__all__ = ["AgentMemError", "AsyncClient", "AsyncMemory", "Client", "Memory", "Person", "errors"]

_HOMES: Final = {
    "AgentMemError": "agentmem.errors",
    "AsyncClient": "agentmem.client.asynchronous",
    "AsyncMemory": "agentmem.entrypoints.embedded.memory",
    "Client": "agentmem.client.synchronous",
    "Memory": "agentmem.entrypoints.embedded.sync",
    "Person": "agentmem.client.person",
}


def __getattr__(name: str) -> object:
    """Import a public name when it is first used, so that the parts not used cost nothing."""
    if name == "errors":
        return importlib.import_module("agentmem.errors")
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(_HOMES[name]), name)
