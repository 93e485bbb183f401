"""HTTP as the server speaks it: a request that is no HTTP is answered like any other error."""

from __future__ import annotations

from typing import Final

import h11
from uvicorn.protocols.http.h11_impl import H11Protocol

from agentmem.entrypoints.api.overload import MOST_HEADER_BYTES
from agentmem.entrypoints.api.problems import problem
from agentmem.entrypoints.api.skin import API_HEADERS
from agentmem.errors import AgentMemError, HeaderTooLarge, MalformedRequest
from agentmem.kit.ids import uuid7

MOST_HEAD_BYTES: Final = 2 * MOST_HEADER_BYTES
"""What is read of a request's head before it is given up; the limit of its headers is told within the application."""

_LINGER_SECONDS: Final = 1.0


class SkinnedProtocol(H11Protocol):
    """uvicorn's own protocol, but for the answer to what it cannot read."""

    _refused = False

    def data_received(self, data: bytes) -> None:
        """Read what the client sends; nothing more once it was refused."""
        if not self._refused:
            super().data_received(data)

    def send_400_response(self, msg: str) -> None:  # noqa: ARG002  # the library's words are replaced by ours
        """Answer by a problem with the skin of every response, and end the connection.

        Not at once: closing on a client that still sends would take the answer from it.
        """
        self._refused = True
        if self.conn.our_state not in {h11.IDLE, h11.SEND_RESPONSE}:
            self.transport.close()
            return
        self._send_problem()
        self.transport.write_eof()
        self.loop.call_later(_LINGER_SECONDS, self.transport.close)

    def _send_problem(self) -> None:
        too_large = len(self.conn.trailing_data[0]) > MOST_HEAD_BYTES
        error: AgentMemError = (
            HeaderTooLarge("The head of the request is too large.")
            if too_large
            else MalformedRequest("The request is not HTTP.")
        )
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
