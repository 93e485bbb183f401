"""A real HTTP server that answers as a vendor of embeddings does; its vectors are counts of words."""

from __future__ import annotations

import hashlib
import json
import re
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

DIMENSIONS = 64
KEY = "sk-the-secret-of-this-test"


def words_vector(text: str) -> list[float]:
    vector = [0.01] * DIMENSIONS
    for word in re.findall(r"\w+", text.lower()):
        vector[hashlib.sha256(word.encode()).digest()[0] % DIMENSIONS] += 1.0
    return vector


@dataclass
class Vendor:
    """What the server has seen, and what it answers instead of embeddings."""

    url: str = ""
    batches: list[list[str]] = field(default_factory=list)
    keys: list[str | None] = field(default_factory=list)
    status: int = 200
    answer: bytes | None = None
    hold: threading.Event = field(default_factory=threading.Event)

    def reply(self, texts: list[str]) -> bytes:
        if self.answer is not None:
            return self.answer
        # backwards: a client must go by the index, not by the order
        data = [{"index": number, "embedding": words_vector(text)} for number, text in enumerate(texts)][::-1]
        return json.dumps({"object": "list", "data": data}).encode()


@contextmanager
def embedding_vendor() -> Iterator[Vendor]:
    vendor = Vendor()
    vendor.hold.set()

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self) -> None:
            body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            vendor.batches.append(body["input"])
            vendor.keys.append(self.headers.get("Authorization"))
            vendor.hold.wait()
            found = self.path == "/v1/embeddings"
            reply = vendor.reply(body["input"]) if found else b"{}"
            self.send_response(vendor.status if found else 404)
            self.send_header("Content-Length", str(len(reply)))
            self.end_headers()
            self.wfile.write(reply)

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
