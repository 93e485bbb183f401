"""What the server knows of one request, from its first byte on; every layer reads and fills the same object."""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from ipaddress import IPv4Address, IPv6Address
from typing import Final

from starlette.types import Scope

from agentmem.entrypoints.api.turns import Turn
from agentmem.foundation.state.port import Level

UNMATCHED: Final = "unmatched"
_KEY: Final = "agentmem.request"


@dataclass(frozen=True, kw_only=True, slots=True)
class RouteRules:
    """What the server grants the requests of a route, before it looks at them.

    ``path`` is the route's template, ``allowed`` the methods that the path takes. ``seconds`` is ``None`` where a
    request may take any time. An ``exempt`` route answers however busy the server is, and counts against no limit;
    another one is charged ``cost`` units.
    """

    path: str
    allowed: str
    body_bytes: int
    seconds: float | None
    exempt: bool
    cost: int


@dataclass(kw_only=True, slots=True)
class RequestContext:
    """One request: its id, where it comes from, the route that takes it, and headers that its answer must carry.

    ``headers`` go out with whatever answers, an error included; a name that the answer has itself is left alone.
    """

    request_id: str
    address: IPv4Address | IPv6Address
    rules: RouteRules | None = None
    headers: dict[str, str] = field(default_factory=dict)
    started: float = field(default_factory=time.perf_counter)
    close: bool = False
    """Whether the connection must end with this answer."""
    cost: int = 0
    """Units that it was charged for its items, beside the cost of its route."""
    levels: tuple[Level, ...] = ()
    """What is left of the limit of its address."""
    turn: Turn | None = None
    """Its place among those that are worked on."""
    code: str | None = None
    """Code of the error that the answer tells, if it does."""

    @property
    def route(self) -> str:
        """The template of the route that takes it (``/v1/memories/{memory_id}``), or ``unmatched``."""
        return UNMATCHED if self.rules is None else self.rules.path

    @property
    def instance(self) -> str | None:
        """What a problem says of where it arose: the route's template, nothing for an unknown path."""
        return None if self.route == UNMATCHED else self.route


def bind_context(scope: Scope, context: RequestContext) -> None:
    """Attach a context to a request's scope."""
    scope[_KEY] = context


def context_of(scope: Scope) -> RequestContext:
    """Give the context of the request that a scope belongs to."""
    context = scope[_KEY]
    if not isinstance(context, RequestContext):
        raise TypeError("the scope carries no request context")
    return context
