"""Requests of many items cost more: one unit for each ten of them, beside what their route costs."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Final, TypeVar

from starlette.requests import Request

from agentmem.entrypoints.api.access import ITEMS_A_UNIT
from agentmem.entrypoints.api.context import context_of
from agentmem.entrypoints.api.gate import admitted_of, served_of
from agentmem.foundation.state.charging import rate_headers

Item = TypeVar("Item")
_PACED: Final = 10
"""Units of a stream that are charged together."""


async def charge_items(request: Request, count: int) -> None:
    """Charge a request for its items, of which the first ten are in the route's cost; raises :class:`RateLimited`."""
    units = (count - 1) // ITEMS_A_UNIT
    if units > 0:
        context = context_of(request.scope)
        admission = await served_of(request).admission.charge_more(admitted_of(request), units)
        context.cost += units
        context.headers.update(rate_headers(admission))


async def charged(request: Request, items: AsyncIterator[Item]) -> AsyncIterator[Item]:
    """Charge for the items of a stream as they come; while a limit is used up they are waited for, and not refused."""
    context, admission = context_of(request.scope), served_of(request).admission
    count = 0
    async for item in items:
        yield item
        count += 1
        if count % (ITEMS_A_UNIT * _PACED) == 0:
            await admission.pace(admitted_of(request), _PACED)
            context.cost += _PACED
