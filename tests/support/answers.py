"""A real HTTP server whose answers a test writes down beforehand."""

from __future__ import annotations

import json
import socket
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qsl, urlsplit


@dataclass(frozen=True, kw_only=True)
class Asked:
    """One request as the server got it; the names of its header fields are in lower case."""

    method: str
    path: str
    query: Sequence[tuple[str, str]]
    headers: Mapping[str, str]
    body: bytes

    def json(self) -> object:
        return json.loads(self.body)


@dataclass(frozen=True, kw_only=True)
class Reply:
    """One answer. ``cut`` closes the connection: instead of the answer, or after so many bytes of its body."""

    status: int = 200
    body: bytes = b"{}"
    headers: Mapping[str, str] = field(default_factory=dict)
    cut: int | None = None


def reply(value: object, status: int = 200, **headers: str) -> Reply:
    """Answer with a JSON value; a header's name is written with underscores."""
    fields = {name.replace("_", "-"): text for name, text in headers.items()}
    return Reply(status=status, body=json.dumps(value).encode(), headers=fields)


def refusal(status: int, code: str, detail: str = "No.", **headers: str) -> Reply:
    """Answer with a problem."""
    return reply({"status": status, "code": code, "detail": detail}, status, **headers)


METHODS = ("GET", "POST", "PUT", "PATCH", "DELETE")
CUT = Reply(cut=-1)
"""The connection is closed before anything is answered."""


@dataclass
class Script:
    """The server's address, the answers that wait, and the requests that came."""

    url: str = ""
    replies: list[Reply] = field(default_factory=list)
    asked: list[Asked] = field(default_factory=list)
    speaking: threading.Event = field(default_factory=threading.Event)
    """While it is clear, requests are read and nothing is answered."""


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    script: Script

    def answer(self) -> None:
        parts = urlsplit(self.path)
        headers = {name.lower(): value for name, value in self.headers.items()}
        self.script.asked.append(
            Asked(
                method=self.command,
                path=parts.path,
                query=parse_qsl(parts.query, keep_blank_values=True),
                headers=headers,
                body=self.body(),
            )
        )
        self.script.speaking.wait()
        prepared = self.script.replies.pop(0) if len(self.script.replies) > 1 else self.script.replies[0]
        if prepared.cut is not None and prepared.cut < 0:
            self.close_connection = True
            self.connection.shutdown(socket.SHUT_RDWR)
            return
        self.send_response(prepared.status)
        for name, value in prepared.headers.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(prepared.body)))
        self.end_headers()
        self.wfile.write(prepared.body[: prepared.cut])
        if prepared.cut is not None:
            self.close_connection = True

    def body(self) -> bytes:
        if self.headers.get("Transfer-Encoding") != "chunked":
            return self.rfile.read(int(self.headers.get("Content-Length", 0)))
        whole = b""
        while size := int(self.rfile.readline(), 16):
            whole += self.rfile.read(size)
            self.rfile.readline()
        self.rfile.readline()
        return whole

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 (the base class names it so)
        pass


@contextmanager
def answering(*replies: Reply) -> Iterator[Script]:
    """Run a server that gives these answers in order, the last of them again and again."""
    script = Script(replies=list(replies))
    script.speaking.set()
    handler = type(
        "Handler", (_Handler,), {"script": script, **{f"do_{method}": _Handler.answer for method in METHODS}}
    )
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        server.daemon_threads = True
        server.block_on_close = False
        script.url = f"http://127.0.0.1:{server.server_port}"
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
        thread.start()
        try:
            yield script
        finally:
            script.speaking.set()
            server.shutdown()
            thread.join()
