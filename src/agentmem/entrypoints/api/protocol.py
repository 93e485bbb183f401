"""HTTP as the server speaks it: what is no HTTP gets a problem like any other, and whoever dawdles is let go."""

from __future__ import annotations

import asyncio
from typing import Any, Final

import h11
import uvicorn
from starlette.types import ASGIApp
from uvicorn.protocols.http.h11_impl import H11Protocol
from uvicorn.server import ServerState

from agentmem.entrypoints.api.connections import Connections
from agentmem.entrypoints.api.overload import MOST_HEADER_BYTES
from agentmem.entrypoints.api.problems import problem
from agentmem.entrypoints.api.skin import API_HEADERS
from agentmem.entrypoints.api.turns import RETRY_AFTER
from agentmem.errors import AgentMemError, HeaderTooLarge, MalformedRequest, Overloaded, RequestTimeout
from agentmem.kit.ids import uuid7
from agentmem.kit.networks import parse_network
from agentmem.settings import Settings

MOST_HEAD_BYTES: Final = 2 * MOST_HEADER_BYTES
"""What is read of a request's head before it is given up; the limit of its headers is told within the application."""

_BACKLOG: Final = 2048
_LINGER_SECONDS: Final = 1.0


class HttpConfig(uvicorn.Config):
    """uvicorn's own settings, and the bounds of connections that it does not have."""

    def __init__(self, app: ASGIApp, settings: Settings) -> None:
        super().__init__(
            app,
            http=SkinnedProtocol,
            ws="none",
            lifespan="off",
            log_config=None,
            access_log=False,
            proxy_headers=False,
            server_header=False,
            backlog=_BACKLOG,
            timeout_keep_alive=settings.keep_alive,
            timeout_graceful_shutdown=settings.shutdown_seconds,
            h11_max_incomplete_event_size=MOST_HEAD_BYTES,
        )
        self.head_seconds = settings.head_timeout
        self.send_seconds = settings.send_timeout
        self.open_connections = Connections(
            most=settings.max_connections,
            trusted=[parse_network(network) for network in settings.trusted_proxies],
        )


class SkinnedProtocol(H11Protocol):
    """uvicorn's own protocol, but for what it cannot read, for connections beyond the limit, and for who dawdles.

    A request's head must be whole within a time, and so must the rest of a body that nobody reads any more. An answer
    must be taken: the connection is cut when nothing of it is for a while.
    """

    def __init__(
        self,
        config: HttpConfig,
        server_state: ServerState,
        app_state: dict[str, Any],
        _loop: asyncio.AbstractEventLoop | None = None,
    ) -> None:
        super().__init__(config, server_state, app_state, _loop)
        self._bounds = config
        self._refused = False
        self._counted_as: str | None = None
        self._reading: asyncio.TimerHandle | None = None
        self._sending: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]  # as uvicorn has it
        """Begin to wait for a request, unless there are too many connections."""
        super().connection_made(transport)
        # Whatever waits to be sent is watched, also the end of an answer.
        transport.set_write_buffer_limits(high=0)
        self._counted_as = self._bounds.open_connections.enter(None if self.client is None else self.client[0])
        if self._counted_as is None:
            self._refused = True
            self._send_problem(
                Overloaded(
                    "There are as many connections as the server takes, in all or of one address.",
                    retry_after=RETRY_AFTER,
                )
            )
            transport.close()  # at once: one that lingers would be one too many
        else:
            self._watch_reading()

    def connection_lost(self, exc: Exception | None) -> None:
        """Forget the connection."""
        if self._counted_as is not None:
            self._bounds.open_connections.leave(self._counted_as)
            self._counted_as = None
        for timer in (self._reading, self._sending):
            if timer is not None:
                timer.cancel()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        """Read what the client sends; nothing more once it was refused."""
        if not self._refused:
            super().data_received(data)
            self._watch_reading()

    def pause_writing(self) -> None:
        """Note that the client does not take its answer as fast as it is made."""
        super().pause_writing()
        self._watch_sending()

    def resume_writing(self) -> None:
        """Note that the client has taken all of it."""
        if self._sending is not None:
            self._sending.cancel()
            self._sending = None
        super().resume_writing()

    def send_400_response(self, msg: str) -> None:  # noqa: ARG002  # the library's words are replaced by ours
        """Answer what is no request by a problem, and end the connection."""
        too_large = len(self.conn.trailing_data[0]) > MOST_HEAD_BYTES
        self._refuse(
            HeaderTooLarge("The head of the request is too large.")
            if too_large
            else MalformedRequest("The request is not HTTP.")
        )

    def _watch_reading(self) -> None:
        """Start or stop the clock of a request's head: it stands still while a request is being answered."""
        if not getattr(self.cycle, "response_complete", True):  # there is none before the first request
            if self._reading is not None:
                self._reading.cancel()
                self._reading = None
        elif self._reading is None:
            self._reading = self.loop.call_later(self._bounds.head_seconds, self._give_up_reading)

    def _give_up_reading(self) -> None:
        self._reading = None
        if self._refused or self.transport.is_closing():
            return
        if self.conn.our_state is h11.IDLE and self.conn.trailing_data[0]:
            seconds = f"{self._bounds.head_seconds:g}"
            self._refuse(RequestTimeout(f"The head of the request was not whole within {seconds} seconds."))
        else:
            self.transport.close()

    def _watch_sending(self) -> None:
        waiting = self.transport.get_write_buffer_size()
        self._sending = self.loop.call_later(self._bounds.send_seconds, self._give_up_sending, waiting)

    def _give_up_sending(self, before: int) -> None:
        if self.transport.get_write_buffer_size() < before:
            self._watch_sending()
        else:
            self.transport.abort()

    def _refuse(self, error: AgentMemError) -> None:
        """Answer by a problem with the skin of every response, and end the connection.

        Not at once: closing on a client that still sends would take the answer from it.
        """
        self._refused = True
        if self.conn.our_state not in {h11.IDLE, h11.SEND_RESPONSE}:
            self.transport.close()
            return
        self._send_problem(error)
        self.transport.write_eof()
        self.loop.call_later(_LINGER_SECONDS, self.transport.close)

    def _send_problem(self, error: AgentMemError) -> None:
        request_id = f"req_{uuid7().hex}"
        response = problem(error, request_id)
        headers = [
            *response.raw_headers,
            *API_HEADERS,
            (b"vary", b"Origin"),
            (b"x-request-id", request_id.encode()),
            (b"connection", b"close"),
        ]
        for event in (
            h11.Response(status_code=response.status_code, headers=headers),
            h11.Data(data=bytes(response.body)),
            h11.EndOfMessage(),
        ):
            self.transport.write(self.conn.send(event) or b"")
