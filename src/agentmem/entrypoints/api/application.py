"""The whole server as one ASGI application: a skin around limits around routes."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from functools import partial

from fastapi import FastAPI
from fastapi.routing import APIRoute
from starlette.types import ASGIApp, Scope

from agentmem.entrypoints.api import health, openapi, problems
from agentmem.entrypoints.api.bodies import Bodies
from agentmem.entrypoints.api.context import RouteRules, context_of
from agentmem.entrypoints.api.cors import Cors
from agentmem.entrypoints.api.docs import Docs, openapi_router
from agentmem.entrypoints.api.doorstep import Doorstep
from agentmem.entrypoints.api.draining import Drained, Draining
from agentmem.entrypoints.api.matching import RouteTable
from agentmem.entrypoints.api.measuring import metrics_router
from agentmem.entrypoints.api.observing import Observed
from agentmem.entrypoints.api.overload import Overload
from agentmem.entrypoints.api.routes.all import routers
from agentmem.entrypoints.api.serving import Served
from agentmem.entrypoints.api.skin import Skin
from agentmem.foundation.state.port import Admission
from agentmem.foundation.telemetry.metrics import Metrics
from agentmem.kit.networks import Address, parse_network
from agentmem.settings import Settings


def create_api(served: Served) -> ASGIApp:
    """Make the server's application; raises :class:`ConfigurationError` for a route that names no permission."""
    return surround(
        create_routes(served), served.app.settings, served.metrics, served.draining, served.admission.admit_address
    )


def surround(
    api: FastAPI,
    settings: Settings,
    metrics: Metrics,
    draining: Draining,
    charge: Callable[[Address, int], Awaitable[Admission]],
) -> ASGIApp:
    """Put the layers of the server around its routes; ``charge`` counts a request to its address."""
    table = RouteTable((route for route in api.routes if isinstance(route, APIRoute)), settings)
    overload = Overload.of(settings, api, _rules)
    # Around the turns: a body that is refused, and whoever goes on sending it, holds none.
    bounded = Bodies(app=overload, limit_of=lambda scope: _rules(scope).body_bytes, seconds=settings.body_timeout)
    doorstep = Doorstep(app=bounded, charge=charge, rules_of=_rules)
    observed = Observed(app=Drained(app=doorstep, draining=draining), metrics=metrics, find=table.find)
    return Skin(
        app=observed,
        cors=Cors.of(settings.cors_origins, credentials=settings.cors_credentials),
        trusted=[parse_network(network) for network in settings.trusted_proxies],
    )


def create_routes(served: Served) -> FastAPI:
    """Make the routes alone, as the OpenAPI document describes them."""
    # Its own documentation, telemetry and redirects are off: ours have no foreign origin, no raw path, no bare body.
    api = FastAPI(
        title="AgentMem",
        docs_url=None,
        redoc_url=None,
        openapi_url=None,
        redirect_slashes=False,
        telemetry={
            "tracing": False,
            "metrics": False,
            "logs": False,
            "operation_spans": False,
            "auto_configure": False,
        },
    )
    api.state.served = served
    problems.install(api)
    made = [*routers(), health.router(), metrics_router(), openapi_router()]
    if served.app.settings.docs:
        made.append(Docs.read().router())
    for router in made:
        # Flat: an included router would look at each of its routes behind a second one of the framework's.
        api.router.routes.extend(router.routes)
    api.openapi = partial(openapi.document, api)  # type: ignore[method-assign]  # the framework's documented way
    return api


def _rules(scope: Scope) -> RouteRules:
    rules = context_of(scope).rules
    if rules is None:
        raise AssertionError("the route of a request is found before its limits are asked for")
    return rules
