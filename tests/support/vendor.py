"""A real HTTP server that answers as a vendor of models does, or as a vendor in trouble."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, ClassVar, TypeVar

KEY = "sk-the-secret-of-this-test"


@dataclass
class Vendor:
    """What the server has seen, and what it answers instead of its work."""

    route: ClassVar[str]

    url: str = ""
    bodies: list[dict[str, Any]] = field(default_factory=list)
    keys: list[str | None] = field(default_factory=list)
    status: int = 200
    answer: bytes | None = None
    hold: threading.Event = field(default_factory=threading.Event)

    def reply(self, body: dict[str, Any]) -> object:
        raise NotImplementedError


AnyVendor = TypeVar("AnyVendor", bound=Vendor)


@contextmanager
def serving(vendor: AnyVendor) -> Iterator[AnyVendor]:
    vendor.hold.set()

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self) -> None:
            body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            vendor.bodies.append(body)
            vendor.keys.append(self.headers.get("Authorization"))
            vendor.hold.wait()
            found = self.path == f"/v1{vendor.route}"
            reply = vendor.answer if vendor.answer is not None else json.dumps(vendor.reply(body)).encode()
            try:
                self.send_response(vendor.status if found else 404)
                self.send_header("Content-Length", str(len(reply)))
                self.end_headers()
                self.wfile.write(reply)
            except ConnectionError:  # the client did not wait
                self.close_connection = True

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002 (the base class names it so)
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        vendor.url = f"http://127.0.0.1:{server.server_port}/v1"
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
        thread.start()
        try:
            yield vendor
        finally:
            vendor.hold.set()
            server.shutdown()
            thread.join()
