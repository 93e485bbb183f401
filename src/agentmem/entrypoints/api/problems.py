"""Errors as responses: RFC 9457 problems, for every error of ours and of the framework."""

from __future__ import annotations

import json
import math
from http import HTTPStatus
from typing import Final

from fastapi import FastAPI
from fastapi.exceptions import RequestValidationError
from pydantic import Field
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response

from agentmem.entrypoints.api.context import context_of
from agentmem.errors import (
    AgentMemError,
    Fault,
    InvalidInput,
    MalformedRequest,
    MethodNotAllowed,
    PermissionDenied,
    RequestTooLarge,
    RouteNotFound,
    Unauthenticated,
    Unavailable,
)
from agentmem.schemas.base import Schema

MEDIA_TYPE: Final = "application/problem+json"
TYPES: Final = "/docs/errors"
"""Page on which each code is an anchor; the type of a problem is ``/docs/errors#<code>``."""


class FieldFault(Schema):
    """A field at fault and what is wrong with it."""

    field: str = Field(description="Where the fault is, for example `body.scope.user_id`.")
    message: str = Field(description="What is wrong, without the value.")


class Problem(Schema):
    """What every error of the server looks like (RFC 9457)."""

    type: str = Field(description="Address of the description of this kind of problem.")
    title: str = Field(description="What this kind of problem is.")
    status: int = Field(ge=400, le=599, description="The HTTP status.")
    detail: str = Field(description="What was wrong this time, and what to do.")
    instance: str | None = Field(default=None, description="Path template of the route that answered.")
    code: str = Field(description="Stable name of the kind of problem, for programs.")
    request_id: str = Field(description="Id of the request, as in the header `X-Request-ID` and the server's log.")
    hint: str | None = Field(default=None, description="What to do about it.")
    errors: list[FieldFault] | None = Field(default=None, description="The fields at fault, where there are any.")


def problem(error: AgentMemError, request_id: str, *, instance: str | None = None) -> Response:
    """Make the response for an error; the message of a failure of the server itself stays in its log."""
    shown = error.status < HTTPStatus.INTERNAL_SERVER_ERROR or isinstance(error, Unavailable)
    body: dict[str, object] = {
        "type": f"{TYPES}#{error.code}",
        "title": title_of(type(error)),
        "status": error.status,
        "detail": error.message if shown else "The server failed. Its log has the cause under this request's id.",
        "instance": instance,
        "code": error.code,
        "request_id": request_id,
        "hint": error.hint if shown else None,
        "errors": [{"field": fault.field, "message": fault.message} for fault in error.faults] or None,
    }
    content = json.dumps({name: value for name, value in body.items() if value is not None}).encode()
    return Response(content, status_code=error.status, headers=_headers_of(error), media_type=MEDIA_TYPE)


def title_of(error: type[AgentMemError]) -> str:
    """Say in a few words what a class of errors is: the first clause of its docstring."""
    return (error.__doc__ or error.code).partition("\n")[0].partition(";")[0].rstrip(".")


def _headers_of(error: AgentMemError) -> dict[str, str]:
    if isinstance(error, Unauthenticated):
        return {"WWW-Authenticate": "Bearer", **error.headers}
    headers = dict(error.headers)
    if error.retryable or error.retry_after is not None:
        headers["Retry-After"] = str(max(1, math.ceil(error.retry_after or 1)))
    return headers


def install(app: FastAPI) -> None:
    """Let every error of the application become a problem."""
    app.add_exception_handler(AgentMemError, _of_ours)
    app.add_exception_handler(RequestValidationError, _of_validation)
    app.add_exception_handler(HTTPException, _of_framework)
    app.add_exception_handler(Exception, _of_anything)


def respond(request: Request, error: AgentMemError) -> Response:
    """Make the response for an error that arose in this request."""
    context = context_of(request.scope)
    context.code = error.code
    return problem(error, context.request_id, instance=context.instance)


async def _of_ours(request: Request, error: Exception) -> Response:
    return respond(request, error if isinstance(error, AgentMemError) else AgentMemError("The server failed."))


async def _of_validation(request: Request, error: Exception) -> Response:
    if not isinstance(error, RequestValidationError):
        return await _of_anything(request, error)
    return respond(request, invalid_input(error))


def invalid_input(error: RequestValidationError) -> InvalidInput:
    """Say which fields are at fault, never with which value."""
    faults = [
        Fault(
            field=".".join(str(part) for part in fault["loc"])[:500] or "body",
            message=str(fault["msg"]).removeprefix("Value error, "),
        )
        for fault in error.errors()
    ]
    listed = "; ".join(f"{fault.field}: {fault.message}" for fault in faults[:10])
    return InvalidInput(f"Input is not valid: {listed}.", faults=faults)


async def _of_framework(request: Request, error: Exception) -> Response:
    if not isinstance(error, HTTPException):
        return await _of_anything(request, error)
    response = respond(request, _translated(error))
    for name, value in (error.headers or {}).items():
        response.headers[name] = value
    rules = context_of(request.scope).rules
    if error.status_code == HTTPStatus.METHOD_NOT_ALLOWED and rules is not None:
        response.headers["Allow"] = rules.allowed  # the framework names those of the first route only
    return response


def _translated(error: HTTPException) -> AgentMemError:
    match error.status_code:
        case HTTPStatus.NOT_FOUND:
            return RouteNotFound("The server has no such path.", hint="The paths are listed in /openapi.json.")
        case HTTPStatus.METHOD_NOT_ALLOWED:
            return MethodNotAllowed(
                "The path does not take this method.", hint="The header Allow names those it takes."
            )
        case HTTPStatus.REQUEST_ENTITY_TOO_LARGE:
            return RequestTooLarge("The body is too large.")
        case HTTPStatus.FORBIDDEN:
            return PermissionDenied("The caller may not do this.")
        case status if status < HTTPStatus.INTERNAL_SERVER_ERROR:
            return MalformedRequest("The request cannot be read.")
        case _:
            return AgentMemError("The server failed.")


async def _of_anything(request: Request, _error: Exception) -> Response:
    return respond(request, AgentMemError("The server failed."))
