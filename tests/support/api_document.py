"""The server's OpenAPI document, as tests read it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from agentmem.bootstrap import App
from agentmem.entrypoints.api.application import create_routes
from tests.support.served import served_by


@dataclass(frozen=True, kw_only=True)
class Operation:
    """One operation of the document."""

    method: str
    path: str
    said: dict[str, Any]

    @property
    def name(self) -> str:
        return str(self.said["operationId"])

    @property
    def body(self) -> tuple[str, object] | None:
        """The media type and the example of its body."""
        for media, content in self.said.get("requestBody", {}).get("content", {}).items():
            return media, content["example"]
        return None

    @property
    def takes_json(self) -> bool:
        return self.body is not None and not self.said.get("x-agentmem-form")


def document_of(app: App) -> dict[str, Any]:
    """Write the document of a server over an application."""
    return create_routes(served_by(app)).openapi()


def operations_of(document: dict[str, Any]) -> Iterator[Operation]:
    """Give every operation of a document."""
    for path, item in document["paths"].items():
        for method, said in item.items():
            yield Operation(method=method.upper(), path=path, said=said)
