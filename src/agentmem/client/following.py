"""A stream of events, and going on with it where it broke off; nothing here does I/O."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Final

from pydantic import ValidationError

from agentmem.client.answers import nothing
from agentmem.client.calls import Call, get_from
from agentmem.client.encoding import path_of, query_of
from agentmem.errors import AgentMemError, InvalidInput, Unavailable
from agentmem.schemas.base import parse
from agentmem.schemas.events import Event
from agentmem.schemas.queries import EventsQuery

FIRST_PAUSE: Final = 0.5
LONGEST_PAUSE: Final = 30.0
SILENCE: Final = 45.0
"""Seconds without a word after which a stream is taken to be dead: the server says one every 15."""


class Follower:
    """Reads one stream after another as one: knows where to go on, and when not to."""

    def __init__(self, types: Sequence[str], after: int | None) -> None:
        """Begin after a place, or with what happens from now on; raises :class:`InvalidInput`."""
        if isinstance(types, str):
            raise InvalidInput("types is a list of types of events, not one text.", hint='Write ["memory.*"].')
        self._asked = parse(EventsQuery, {"types": list(types), "after": after})
        self._place = after
        self._data: list[str] = []
        self._id: int | None = None
        self._failed = 0
        self._opened = False

    def call(self) -> Call[None]:
        """Give the call that opens the next stream."""
        query = (*(("types", kind) for kind in self._asked.types), *query_of({"after": self._place}))
        return replace(get_from(path_of("events"), nothing, query), silence=SILENCE)

    def take(self, line: str) -> Iterator[Event]:
        """Take a line of a stream, and give the event that it completes; an empty line ends one."""
        self._opened = True
        name, _, value = line.partition(":")
        value = value.removeprefix(" ")
        if name == "data":
            self._data.append(value)
        elif name == "id" and value.isascii() and value.isdigit():
            self._id = int(value)
        if line:
            return
        text, self._data = "\n".join(self._data), []
        if text:
            yield _event(text)
        # Noted only now that it was read: what breaks off before is asked for again.
        self._failed, self._place = 0, self._place if self._id is None else self._id

    def pause(self, error: AgentMemError | None) -> float:
        """Give the seconds until the next stream is opened.

        Raises what coming again would not mend, and whatever befell the first stream: its address may be a wrong one.
        """
        self._data, self._id = [], None
        if error is not None and not (error.retryable and self._opened):
            raise error
        self._failed += 1
        backoff: float = min(LONGEST_PAUSE, FIRST_PAUSE * 2.0 ** min(self._failed - 1, 10))
        asked = None if error is None else error.retry_after
        return backoff if asked is None else max(asked, FIRST_PAUSE)


def _event(text: str) -> Event:
    try:
        return Event.model_validate_json(text, extra="ignore")
    except ValidationError:
        raise Unavailable("The stream holds what this client does not read as an event.") from None
