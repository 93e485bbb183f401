"""The stream of an organization's events (server-sent events, as the HTML standard defines them)."""

from __future__ import annotations

from collections.abc import AsyncIterator
from time import monotonic
from typing import Annotated, Final

from fastapi import Query
from starlette.requests import Request
from starlette.responses import Response, StreamingResponse

from agentmem.entrypoints.api.access import access
from agentmem.entrypoints.api.gate import app_of, caller_of, router, served_of
from agentmem.errors import AgentMemError, Fault, MalformedRequest
from agentmem.foundation.authorization.caller import Permission
from agentmem.pipelines.events.following import Place
from agentmem.schemas.events import LARGEST_SEQUENCE, Event
from agentmem.schemas.queries import EventsQuery

events_routes = router("events")
MEDIA_TYPE: Final = "text/event-stream"
_AGAIN: Final = "retry: 1000\n\n"
"""Milliseconds after which a reader whose stream has ended comes again."""


@events_routes.get("/events", openapi_extra=access(Permission.EVENT_READ, cost=20, untimed=True))
async def events(request: Request, query: Annotated[EventsQuery, Query()]) -> Response:
    """Follow what is done in the organization, as it happens; `Last-Event-ID` or `after` goes on where a stream ended.

    Each event has its place in the organization's order as `id` and its type as `event`. A stream ends when its server
    is stopped or its key is: come again with the last `id`, and nothing is lost or told twice. With `seconds` it ends
    then; with 0, when it has told what is there.
    """
    after = _last_seen(request)
    draining = served_of(request).draining
    ends = None if query.seconds is None else monotonic() + query.seconds

    def ended() -> bool:
        return draining.begun or (ends is not None and monotonic() >= ends)

    place = query.after if after is None else after
    found = app_of(request).events.following.follow(caller_of(request), place, query.types, ended)
    first = await anext(found)
    headers = {"X-Accel-Buffering": "no"}  # what nginx would gather, its reader is waiting for
    return StreamingResponse(_written(first, found), media_type=MEDIA_TYPE, headers=headers)


async def _written(first: Event | Place, rest: AsyncIterator[Event | Place]) -> AsyncIterator[str]:
    yield _AGAIN + _message(first)
    try:
        async for item in rest:
            yield _message(item)
    except AgentMemError:
        # The answer has begun, and a stream may end at any time: whoever comes again is told why by a status.
        return


def _message(item: Event | Place) -> str:
    if isinstance(item, Place):
        return f": still here\nid: {item.sequence}\n\n"
    return f"id: {item.sequence}\nevent: {item.type}\ndata: {item.model_dump_json()}\n\n"


def _last_seen(request: Request) -> int | None:
    given = request.headers.get("last-event-id")
    if given is None:
        return None
    if not (given.isascii() and given.isdigit() and len(given) <= 19 and int(given) <= LARGEST_SEQUENCE):
        message = "is not the id of an event of this stream"
        raise MalformedRequest(
            f"Input is not valid: header.Last-Event-ID: {message}.",
            faults=[Fault(field="header.Last-Event-ID", message=message)],
        )
    return int(given)
