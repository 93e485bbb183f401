"""Which route a request is for, found before anything reads it: its limits depend on it."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import replace
from typing import Final

from fastapi.routing import APIRoute
from starlette.types import Scope

from agentmem.entrypoints.api.bodies import SMALL_BYTES, BodyLimit
from agentmem.entrypoints.api.context import UNMATCHED, RouteRules
from agentmem.errors import ConfigurationError
from agentmem.settings import Settings

PERMISSION: Final = "x-agentmem-permission"
COST: Final = "x-agentmem-cost"
BODY: Final = "x-agentmem-body"
SECONDS: Final = "x-agentmem-timeout"
HEALTH: Final = "/health"


class RouteTable:
    """The rules of every route, by method and path."""

    def __init__(self, routes: Iterable[APIRoute], settings: Settings) -> None:
        self._unmatched = RouteRules(
            path=UNMATCHED,
            allowed="",
            body_bytes=SMALL_BYTES,
            seconds=settings.request_timeout,
            exempt=False,
            cost=1,
        )
        self._exact: dict[tuple[str, str], RouteRules] = {}
        self._patterns: list[tuple[re.Pattern[str], frozenset[str], RouteRules]] = []
        self._paths: dict[str, RouteRules] = {}
        known = list(routes)
        taken: dict[str, set[str]] = {}
        for route in known:
            taken.setdefault(route.path_format, set()).update(route.methods or ())
        for route in known:
            methods = frozenset(route.methods or ())
            rules = _rules_of(route, ", ".join(sorted(taken[route.path_format])), settings)
            if route.param_convertors:
                self._patterns.append((route.path_regex, methods, rules))
            else:
                self._exact.update({(method, route.path): rules for method in methods})
                self._paths[route.path] = _of_path(rules)

    def find(self, scope: Scope) -> RouteRules:
        """Give the rules of the route that takes a request; of a path alone, if it does not take the method."""
        method, path = scope["method"], scope["path"]
        exact = self._exact.get((method, path))
        if exact is not None:
            return exact
        near = self._paths.get(path)
        for pattern, methods, rules in self._patterns:
            if pattern.match(path):
                if method in methods and near is None:
                    return rules
                near = near or _of_path(rules)
        return self._unmatched if near is None else near


def _of_path(rules: RouteRules) -> RouteRules:
    """Give what holds for a method that the path does not take: nothing is done for it."""
    return replace(rules, cost=1)


def _rules_of(route: APIRoute, allowed: str, settings: Settings) -> RouteRules:
    extra = route.openapi_extra or {}
    if PERMISSION not in extra:
        raise ConfigurationError(f"The route {route.path} does not say who may use it.", hint="Declare its access.")
    seconds = extra.get(SECONDS, settings.request_timeout)
    return RouteRules(
        path=route.path_format,
        allowed=allowed,
        body_bytes=BodyLimit(extra.get(BODY, BodyLimit.SMALL)).bytes(settings.max_body_bytes),
        seconds=None if seconds is None else float(seconds),
        exempt=route.path == HEALTH or route.path.startswith(f"{HEALTH}/"),
        cost=int(extra.get(COST, 1)),
    )
