"""The way into every route: who is asking, may they, what do they expect, and have they asked it before.

All of it is decided before the body is looked at, so that a stranger cannot make the server parse anything.
"""

from __future__ import annotations

from collections.abc import Callable, Coroutine
from dataclasses import dataclass, replace
from functools import partial
from typing import Any, Final, cast

from fastapi import APIRouter
from fastapi.exceptions import RequestValidationError
from fastapi.routing import APIRoute
from starlette.requests import Request
from starlette.responses import Response

from agentmem.bootstrap import App
from agentmem.entrypoints.api.access import ANY_KEY, PUBLIC, Access
from agentmem.entrypoints.api.context import context_of
from agentmem.entrypoints.api.etags import expected_version
from agentmem.entrypoints.api.idempotency import answered_once
from agentmem.entrypoints.api.json_body import JsonRequest
from agentmem.entrypoints.api.problems import invalid_input
from agentmem.entrypoints.api.serving import Served
from agentmem.errors import AgentMemError, PermissionDenied, Unauthenticated
from agentmem.foundation.authorization.caller import Caller, Permission
from agentmem.foundation.state.charging import rate_headers
from agentmem.pipelines.admission.admission import Admitted, Presented

Handler = Callable[[Request], Coroutine[Any, Any, Response]]


def served_of(request: Request) -> Served:
    """Give what the server works with."""
    return cast("Served", request.app.state.served)


def app_of(request: Request) -> App:
    """Give the application behind the server."""
    return served_of(request).app


def admitted_of(request: Request) -> Admitted:
    """Give what admission said of the request's key."""
    admitted = request.scope.get(_ADMITTED)
    if not isinstance(admitted, Admitted):
        raise Unauthenticated("The request carries no valid API key.")
    return admitted


def caller_of(request: Request) -> Caller:
    """Give who is asking."""
    return admitted_of(request).caller


def address_of(request: Request, path: str) -> str:
    """Give where clients reach a path: under the server's public URL if it knows that, else the path alone."""
    return f"{(app_of(request).settings.public_url or '').rstrip('/')}{path}"


def if_version_of(request: Request) -> int | None:
    """Give the version that the change expects, ``None`` for any."""
    return expected_version(request, required=caller_of(request).require_if_match)


class GatedRoute(APIRoute):
    """A route that lets nobody in unasked."""

    def get_route_handler(self) -> Handler:
        """Give the handler behind its gate."""
        gate = _Gate(rules=Access.of(self.openapi_extra, self.path), inner=super().get_route_handler())
        field = self.body_field
        if field is not None:
            gate = replace(gate, takes_json=True, may_be_empty=not field.field_info.is_required())
        return gate.answer


@dataclass(frozen=True, kw_only=True, slots=True)
class _Gate:
    """What stands before one route; ``inner`` is the framework's handler, which reads arguments and calls ours."""

    rules: Access
    inner: Handler
    takes_json: bool = False
    may_be_empty: bool = False

    async def answer(self, request: Request) -> Response:
        request = JsonRequest(request.scope, request.receive)
        rules, context, admission = self.rules, context_of(request.scope), served_of(request).admission
        if rules.permission is PUBLIC:
            admitted = await admission.admit_stranger(context.address, rules.cost, context.levels)
            context.headers.update(rate_headers(admitted))
            return await self._handle(request)
        caller = (await self._admit(request)).caller
        status = 500
        try:
            response = await self._let_in(request, caller)
            status = response.status_code
        except AgentMemError as error:
            status = error.status
            raise
        finally:
            admission.meter.count(caller, context.route, status, rules.cost + context.cost)
        return response

    async def _admit(self, request: Request) -> Admitted:
        context = context_of(request.scope)
        presented = Presented(
            authorization=request.headers.get("authorization"),
            address=context.address,
            request_id=context.request_id,
            levels=context.levels,
        )
        admission = served_of(request).admission
        admitted = await admission.admit(presented, self.rules.cost)
        if not self.rules.timed:
            caller = replace(admitted.caller, renewed=partial(admission.readmit, presented))
            admitted = replace(admitted, caller=caller)
        context.headers.update(rate_headers(admitted.admission))
        request.scope[_ADMITTED] = admitted
        if context.turn is not None:
            await context.turn.enter(str(admitted.caller.organization_id))
        return admitted

    async def _let_in(self, request: Request, caller: Caller) -> Response:
        if self.rules.permission not in {ANY_KEY, PUBLIC}:
            await _require(request, caller, Permission(self.rules.permission))
        if self.rules.if_match:
            if_version_of(request)
        if request.method == "POST":
            return await answered_once(request, served_of(request), caller, self.rules, self._handle)
        return await self._handle(request)

    async def _handle(self, request: Request) -> Response:
        # The framework would hide what is wrong with the body: it is read before.
        if self.takes_json and not (self.may_be_empty and not await request.body()):
            await request.json()
        try:
            return await self.inner(request)
        except RequestValidationError as error:
            raise invalid_input(error) from None


async def _require(request: Request, caller: Caller, permission: Permission) -> None:
    try:
        caller.require(permission)
    except PermissionDenied:
        route = f"{request.method} {context_of(request.scope).route}"
        await served_of(request).admission.note_refusal(caller, permission, route)
        raise


def router(tag: str) -> APIRouter:
    """Make the router of one group of operations, each named by its function."""
    return APIRouter(
        prefix="/v1", tags=[tag], route_class=GatedRoute, generate_unique_id_function=lambda route: route.name
    )


_ADMITTED: Final = "agentmem.admitted"
