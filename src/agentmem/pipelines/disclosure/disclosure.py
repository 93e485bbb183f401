"""What callers are given of memories: masked as their organization says, and written down if it wants to know."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Iterator
from dataclasses import dataclass
from functools import partial
from typing import TypeVar
from uuid import UUID

from pydantic import BaseModel

from agentmem.features.audit.service import AuditService
from agentmem.features.organizations.rules import Rules
from agentmem.foundation.authorization.caller import Caller, Permission
from agentmem.foundation.masking.engine import partial_view
from agentmem.foundation.masking.rule import MaskingRule
from agentmem.schemas.memories import Citation, MemoryRecord, PackedContext

View = TypeVar("View", bound=BaseModel)


@dataclass(frozen=True, kw_only=True)
class Disclosure:
    """The last step before a view leaves."""

    rules: Rules
    audit: AuditService

    async def show(self, caller: Caller, view: View) -> View:
        """Mask the memories of a view, for callers without ``pii:read`` where their organization has that rule."""
        if Permission.PII_READ in caller.permissions:
            return view
        rule = await self.rules.masking(caller.organization_id)
        return _mapped(view, partial(_masked, rule)) if rule.policy.answers else view

    async def tell(self, caller: Caller, view: View) -> View:
        """Show what was read and, where the organization audits reads, write down first which memories that is."""
        if (await self.rules.audit(caller.organization_id)).reads:
            await self.audit.note_read(caller, list(dict.fromkeys(_ids(view))))
        return await self.show(caller, view)

    async def lines(self, caller: Caller, views: AsyncIterator[BaseModel]) -> AsyncIterator[str]:
        """Write an export, a view a line."""
        async for view in views:
            yield (await self.tell(caller, view)).model_dump_json(exclude_none=True)


def _masked(rule: MaskingRule, view: BaseModel) -> BaseModel | None:
    if isinstance(view, PackedContext):
        return view.model_copy(update={"text": rule.shown(view.text)})
    if not isinstance(view, MemoryRecord):
        return None
    shown = {
        "content": rule.shown(view.content),
        "actor": None if view.actor is None else rule.shown(view.actor),
        "metadata": rule.masker.mask_json(view.metadata, partial_view),
    }
    return view.model_copy(update=shown)


def _mapped(view: View, change: Callable[[BaseModel], BaseModel | None]) -> View:
    """Change the parts of a view that are to be changed, however deep they are."""
    changed = change(view)
    if changed is not None:
        return changed  # type: ignore[return-value]  # a change gives what it was given, with other texts
    parts: dict[str, object] = {}
    for name in type(view).model_fields:
        value = getattr(view, name)
        if isinstance(value, BaseModel):
            parts[name] = _mapped(value, change)
        elif isinstance(value, list) and value and isinstance(value[0], BaseModel):
            parts[name] = [_mapped(item, change) for item in value]
    return view.model_copy(update=parts) if parts else view


def _ids(view: BaseModel) -> Iterator[UUID]:
    """Name the memories that a view tells of."""
    if isinstance(view, MemoryRecord):
        yield view.id
    elif isinstance(view, Citation):
        yield view.memory_id
    else:
        for name in type(view).model_fields:
            value = getattr(view, name)
            for item in value if isinstance(value, list) else [value]:
                if isinstance(item, BaseModel):
                    yield from _ids(item)
