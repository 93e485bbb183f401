"""What is asked of whoever sends requests to receivers of webhooks."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Protocol


@dataclass(frozen=True, kw_only=True, slots=True)
class Outcome:
    """How a request ended: the status of the answer, or a word for what went wrong before there was one."""

    status: int | None = None
    error: str | None = None
    duration_ms: int

    @property
    def taken(self) -> bool:
        """Whether the receiver took what was sent."""
        return self.status is not None and 200 <= self.status < 300


@dataclass(frozen=True, kw_only=True, slots=True)
class Message:
    """A request to a receiver; its URL may hold a secret of the receiver's."""

    url: str = field(repr=False)
    headers: Mapping[str, str] = field(repr=False)
    body: bytes = field(repr=False)


class Fetcher(Protocol):
    """Asks servers of others."""

    async def fetch(self, method: str, message: Message) -> tuple[int, bytes]:
        """Ask something, and give the status and the body; raises :class:`Unavailable` where there is no answer."""
        ...

    async def aclose(self) -> None:
        """End what is under way."""
        ...


class Sender(Protocol):
    """Sends messages; never raises for what a receiver or the network does."""

    async def send(self, message: Message) -> Outcome:
        """Send a message by POST, and say how it ended."""
        ...

    async def aclose(self) -> None:
        """End what is under way."""
        ...
