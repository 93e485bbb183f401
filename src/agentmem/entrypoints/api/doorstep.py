"""The first limit that a request meets: that of its address, whatever it asks and whoever it says it is."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from starlette.types import ASGIApp, Receive, Scope, Send

from agentmem.entrypoints.api.context import RouteRules, context_of
from agentmem.entrypoints.api.problems import problem
from agentmem.errors import RateLimited
from agentmem.foundation.state.charging import rate_headers
from agentmem.foundation.state.port import Admission
from agentmem.kit.networks import Address


@dataclass(frozen=True, kw_only=True)
class Doorstep:
    """Charges every request to its address before anything is done for it; health is free.

    ``charge`` raises :class:`RateLimited` when an address has used its limit up.
    """

    app: ASGIApp
    charge: Callable[[Address, int], Awaitable[Admission]]
    rules_of: Callable[[Scope], RouteRules]

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request."""
        context, rules = context_of(scope), self.rules_of(scope)
        if not rules.exempt:
            try:
                admission = await self.charge(context.address, rules.cost)
            except RateLimited as error:
                context.code = error.code
                await problem(error, context.request_id, instance=context.instance)(scope, receive, send)
                return
            context.levels = admission.levels
            context.headers.update(rate_headers(admission))
        await self.app(scope, receive, send)
