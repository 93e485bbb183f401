"""AgentMem: memory for agents. Import ``Memory`` or ``AsyncMemory`` to begin."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from agentmem.entrypoints.embedded.memory import AsyncMemory
    from agentmem.entrypoints.embedded.sync import Memory
    from agentmem.errors import AgentMemError

__all__ = ["AgentMemError", "AsyncMemory", "Memory", "errors"]

_HOMES: Final = {
    "AgentMemError": "agentmem.errors",
    "AsyncMemory": "agentmem.entrypoints.embedded.memory",
    "Memory": "agentmem.entrypoints.embedded.sync",
}


def __getattr__(name: str) -> object:
    """Import a public name when it is first used, so that the parts not used cost nothing."""
    if name == "errors":
        return importlib.import_module("agentmem.errors")
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(_HOMES[name]), name)
