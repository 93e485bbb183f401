"""Every operation of every service, found by looking; and an example call of each with the ids of somebody else."""

from __future__ import annotations

import importlib
import inspect
import pkgutil
from collections.abc import Awaitable, Callable, Iterator
from types import ModuleType

import agentmem
from agentmem.foundation.authorization.caller import Permission
from agentmem.foundation.database.database import Database
from agentmem.foundation.database.system import SystemPurpose
from tests.support import (
    calls_accounts,
    calls_encryption,
    calls_events,
    calls_factors,
    calls_identity,
    calls_jobs,
    calls_memories,
    calls_privacy,
    calls_sessions,
    calls_tenants,
)
from tests.support.foreign import Call, Foreign, foreign_of

__all__ = ["CALLS", "Foreign", "foreign_of", "needed", "operations", "service_classes", "service_modules", "service_of"]

CALLS: dict[str, Call] = {
    **calls_memories.CALLS,
    **calls_tenants.CALLS,
    **calls_identity.CALLS,
    **calls_jobs.CALLS,
    **calls_events.CALLS,
    **calls_accounts.CALLS,
    **calls_factors.CALLS,
    **calls_sessions.CALLS,
    **calls_encryption.CALLS,
    **calls_privacy.CALLS,
}
"""An example of each operation, called with what belongs to somebody else."""


def service_classes() -> list[type]:
    """Find the classes of the features that have operations, of callers or of the system."""
    return sorted(
        {owner for owner, _ in _members("operation", "system_operation")}, key=lambda owner: owner.__qualname__
    )


def operations() -> dict[str, Callable[..., Awaitable[object]]]:
    """Find every operation by its name, ``Class.method``."""
    return {f"{owner.__qualname__}.{name}": getattr(owner, name) for owner, name in _members("operation")}


def system_operations() -> dict[str, SystemPurpose]:
    """Find every operation of the system itself, which no caller asks for, and why it is one."""
    return {
        f"{owner.__qualname__}.{name}": getattr(owner, name).__dict__["system_operation"]
        for owner, name in _members("system_operation")
    }


def service_modules() -> Iterator[ModuleType]:
    """Import every module of the features."""
    features = importlib.import_module("agentmem.features")
    for found in pkgutil.walk_packages(features.__path__, f"{agentmem.__name__}.features."):
        yield importlib.import_module(found.name)


def _members(*marks: str) -> Iterator[tuple[type, str]]:
    for module in service_modules():
        for _, owner in inspect.getmembers(module, inspect.isclass):
            if owner.__module__ == module.__name__:
                marked = (
                    (name, value) for name, value in vars(owner).items() if any(hasattr(value, mark) for mark in marks)
                )
                yield from ((owner, name) for name, _ in marked)


def needed(name: str) -> tuple[Permission, str | None]:
    """Give the permission that an operation asks for, and the name of its audit entry."""
    declared: tuple[Permission, str | None] = operations()[name].__dict__["operation"]
    return declared


def service_of(name: str, database: Database) -> object:
    """Make the service of an operation over a database."""
    owner = {cls.__qualname__: cls for cls in service_classes()}[name.split(".", maxsplit=1)[0]]
    return owner(database=database)


DECIDING = {"SessionService.refresh": {"session.refreshed", "session.reuse_detected"}}
"""Operations that write down themselves what they have decided, and by which names."""
