"""One-time codes by SMS, over a gateway of the operator's."""

from __future__ import annotations

import json
from dataclasses import dataclass, field

from agentmem.errors import Unavailable
from agentmem.foundation.outbound.port import Message, Sender


@dataclass(frozen=True, kw_only=True)
class GatewayCodes:
    """Hands codes to a gateway that turns them into messages: a POST of ``{"to": ..., "text": ...}`` to its URL."""

    sender: Sender
    url: str = field(repr=False)

    async def send(self, receiver: str, code: str) -> None:
        """Send a code to a telephone number; raises :class:`Unavailable` when the gateway did not take it."""
        body = json.dumps({"to": receiver, "text": f"Your AgentMem code is {code}."}).encode()
        outcome = await self.sender.send(Message(url=self.url, headers={"Content-Type": "application/json"}, body=body))
        if not outcome.taken:
            raise Unavailable("The gateway for SMS did not take the code.", hint="Retry, or use another factor.")
