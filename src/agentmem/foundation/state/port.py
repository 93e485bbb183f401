"""What AgentMem asks of the state that its processes share: short-lived, fast, and never the only copy of anything."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from typing import Final, Protocol

PUBLIC: Final = "public"
"""The tag of what belongs to no organization."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Quota:
    """One dimension of a request: at most ``limit`` cost units in ``window`` seconds, given back evenly.

    ``name`` is what the header calls it ("ip", "key", "organization", "failures"). ``subject`` is who is counted: an
    id, an address or its network, never a name or a secret. All of the limit may be taken at once.
    """

    name: str
    subject: str
    limit: int
    window: float = 60.0


@dataclass(frozen=True, kw_only=True, slots=True)
class Level:
    """What is left of a quota: cost units, seconds until all of it is back, and seconds until this request passes.

    ``retry_after`` is 0 where this dimension admits the request.
    """

    quota: Quota
    remaining: int
    reset_after: float
    retry_after: float


@dataclass(frozen=True, kw_only=True, slots=True)
class Admission:
    """Whether a request may go on, and the level of each of its quotas, in the order they were given."""

    allowed: bool
    levels: tuple[Level, ...]


class State(Protocol):
    """Counts, messages, cached values and locks that the processes of one installation share.

    A ``tag`` is the id of the organization that something belongs to, the address that is counted, or :data:`PUBLIC`:
    what one tag holds, another never sees. Every method raises :class:`StateUnavailable` when the state does not answer
    in time.
    """

    async def take(self, tag: str, quotas: Sequence[Quota], cost: int) -> Admission:
        """Charge all quotas in one step, or none of them unless each admits the cost.

        A cost above a quota's limit counts as the limit, so that no request is refused for ever. A cost of 0 charges
        nothing, and is admitted while a cost of 1 would be.
        """
        ...

    async def publish(self, channel: str, message: str) -> None:
        """Send a message, not empty, to all who listen now."""
        ...

    def subscribe(self, channel: str) -> AbstractAsyncContextManager[AsyncIterator[str]]:
        """Listen to a channel: the messages from now on, and an empty one after each gap.

        After a gap messages may have been lost: the reader must then drop what it had kept on their word. Entering the
        block never raises: when nobody answers, that is a gap too. The messages end when the state is closed.
        """
        ...

    async def get(self, tag: str, key: str) -> bytes | None:
        """Give a value that was put, unless its time is over or it was dropped for others."""
        ...

    async def put(self, tag: str, key: str, value: bytes, *, seconds: float) -> None:
        """Keep a value for a while, in place of the one under this key."""
        ...

    async def once(self, tag: str, key: str, value: bytes, *, seconds: float) -> bytes | None:
        """Keep a value for a while unless one is kept under this key already, and give that one.

        Of all who ask, in every process, one is given ``None``. Nothing takes the place of the shared state here, and
        nothing that is kept is dropped for others: a state that is full raises :class:`StateUnavailable`.
        """
        ...

    async def pop(self, tag: str, key: str) -> bytes | None:
        """Give a value that was put and forget it, in one step: of those who ask at once, one gets it."""
        ...

    async def lock(self, tag: str, name: str, token: str, *, seconds: float) -> bool:
        """Take a lock that nobody has, or extend the token's own, and tell whether the token has it now.

        It ends by itself after ``seconds``.
        """
        ...

    async def unlock(self, tag: str, name: str, token: str) -> bool:
        """Release the token's own lock, and tell whether it still had it."""
        ...

    async def ping(self) -> None:
        """Raise :class:`StateUnavailable` unless the shared state itself answers."""
        ...

    async def aclose(self) -> None:
        """Close every connection and end every subscription; closing twice is allowed."""
        ...
