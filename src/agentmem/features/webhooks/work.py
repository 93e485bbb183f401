"""The jobs that send what is due to one webhook."""

from __future__ import annotations

from typing import Final
from uuid import UUID

from agentmem.foundation.database.transaction import Statements
from agentmem.foundation.jobs.model import JobKind
from agentmem.foundation.jobs.queue import enqueue_for

DELIVER: Final = JobKind(name="webhook.deliver", at_once=8)
"""Sends to a receiver that is well. One waits at a time for each webhook; its argument is ``webhook_id``."""
RETRY: Final = JobKind(name="webhook.retry", at_once=8)
"""Sends to one whose last answer was a failure, in a lane of its own: those that are well do not wait for it."""


async def ask_to_send(tx: Statements, webhook_id: UUID, *, failing: bool, delay: float = 0.0) -> None:
    """Have what is due to a webhook sent after so many seconds, if this transaction commits."""
    kind = RETRY if failing else DELIVER
    await enqueue_for(tx, kind, {"webhook_id": str(webhook_id)}, delay=delay, once=str(webhook_id))
