"""A real HTTP server that takes webhooks, or does not, and keeps what came."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from standardwebhooks import Webhook as Verifier

LOOPBACK = ("127.0.0.0/8",)
"""What the setting ``webhook_networks`` must name for it to be reached."""


@dataclass(frozen=True, kw_only=True)
class Taken:
    """One request that came."""

    headers: dict[str, str]
    body: str

    @property
    def message_id(self) -> str:
        return self.headers["webhook-id"]

    def verified(self, key: str) -> Any:
        """Read the message as a receiver does, after it checked the signature."""
        return Verifier(key).verify(self.body, self.headers)


@dataclass
class Receiver:
    """What came, and what is answered: the next of ``statuses`` while there are any, then 204."""

    url: str = ""
    taken: list[Taken] = field(default_factory=list)
    statuses: list[int] = field(default_factory=list)
    location: str | None = None
    hold: threading.Event = field(default_factory=threading.Event)
    """While it is not set, no request is answered."""

    @property
    def ids(self) -> list[str]:
        """The ids of the messages, in the order in which they came."""
        return [taken.message_id for taken in self.taken]


@contextmanager
def receiving() -> Iterator[Receiver]:
    receiver = Receiver()
    receiver.hold.set()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            # Traces are no text; what is text in them can be read all the same.
            body = self.rfile.read(int(self.headers["Content-Length"])).decode(errors="surrogateescape")
            headers = {name.lower(): value for name, value in self.headers.items()}
            receiver.taken.append(Taken(headers=headers, body=body))
            status = receiver.statuses.pop(0) if receiver.statuses else 204
            receiver.hold.wait()
            try:
                self.send_response(status)
                if receiver.location is not None:
                    self.send_header("Location", receiver.location)
                self.end_headers()
            except ConnectionError:  # the sender did not wait
                self.close_connection = True

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002 (the base class names it so)
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        server.daemon_threads = True
        receiver.url = f"http://127.0.0.1:{server.server_port}/hooks"
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
        thread.start()
        try:
            yield receiver
        finally:
            receiver.hold.set()
            server.shutdown()
            thread.join()
