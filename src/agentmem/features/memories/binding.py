"""What a caller's binding reaches: every operation on memories narrows what it is asked for by these."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

from agentmem.errors import PermissionDenied
from agentmem.features.memories.repository import not_found
from agentmem.features.memories.visibility import View, scope_values
from agentmem.foundation.authorization.caller import Binding, Caller
from agentmem.schemas.memories import MemoryRecord, NewMemory, Scope

HINT = "This key is bound: it reaches the memories of its own ids alone."


def bound_scope(caller: Caller, scope: Scope) -> Scope:
    """Narrow a scope to what the caller's binding reaches; without a binding it is the scope itself.

    Raises :class:`PermissionDenied` for an id that is asked for and not reached.
    """
    return scope if caller.binding.is_empty else scope.model_copy(update=_filled(caller.binding, scope))


def bound_view(caller: Caller, view: View) -> View:
    """Narrow a view in the same way."""
    return view if caller.binding.is_empty else replace(view, scope=bound_scope(caller, view.scope))


def admit_new(caller: Caller, new: NewMemory) -> NewMemory:
    """Give a new memory the ids of the caller's binding that it does not name.

    Raises :class:`PermissionDenied` for an id of another value: what is written must be within reach of its writer.
    """
    return new if caller.binding.is_empty else new.model_copy(update=_filled(caller.binding, new))


def as_bound(caller: Caller, new: NewMemory) -> NewMemory:
    """Give a new memory the ids of the caller's binding; :func:`admit_new` refuses other ones when it is written."""
    return new.model_copy(update=_bound_ids(caller.binding))


def reaches(caller: Caller, record: MemoryRecord) -> bool:
    """Tell whether the caller's binding reaches a memory."""
    return all(getattr(record, name) == value for name, value in _bound_ids(caller.binding).items())


def require_reach(caller: Caller, records: Iterable[MemoryRecord]) -> None:
    """Raise :class:`~agentmem.errors.NotFound` for the first memory out of the caller's reach, as for an absent one."""
    for record in records:
        if not reaches(caller, record):
            raise not_found(record.id)


def require_unbound(caller: Caller, what: str) -> None:
    """Raise :class:`PermissionDenied` when the caller is bound; ``what`` is not done for a part of an organization."""
    if not caller.binding.is_empty:
        raise PermissionDenied(f"{what} needs a key that is not bound to a scope.", hint=HINT)


def request_key(caller: Caller, key: str) -> str:
    """Give an idempotency key the caller's namespace: the same word of two callers is two keys.

    The embedded library has one caller, whose keys stand as they are.
    """
    alone = caller.api_key_id is None and caller.binding.is_empty
    return key if alone else f"{caller.namespace}/{key}"


def _filled(binding: Binding, scope: Scope) -> dict[str, str]:
    bound = _bound_ids(binding)
    asked = {name.removeprefix("scope_"): value for name, value in scope_values(scope).items()}
    for name, value in bound.items():
        if asked.get(name, value) != value:
            raise PermissionDenied(f"This key does not reach {name} {asked[name]!r}.", hint=HINT)
    return bound


def _bound_ids(binding: Binding) -> dict[str, str]:
    given = {
        "user_id": binding.user_id,
        "agent_id": binding.agent_id,
        "run_id": binding.run_id,
        "app_id": binding.app_id,
    }
    return {name: value for name, value in given.items() if value is not None}
