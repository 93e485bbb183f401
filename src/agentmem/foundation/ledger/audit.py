"""Writing audit entries: who did what to which ids, and how it ended; never content."""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum

from agentmem.foundation.authorization.caller import Caller
from agentmem.foundation.database.bulk import Rows, as_arrays, insert_arrays, write_together
from agentmem.foundation.database.transaction import Transaction
from agentmem.foundation.ledger.outbox import waiting
from agentmem.foundation.ledger.tables import audit_entries
from agentmem.kit.ids import uuid7


class Outcome(StrEnum):
    """How an operation ended."""

    DONE = "done"
    DENIED = "denied"
    FAILED = "failed"


def origin_of(caller: Caller) -> dict[str, str]:
    """Name the key or the session, and the request, that an entry of the server comes from; a library has none."""
    named = {"api_key": caller.api_key_id, "session": caller.session_id, "request_id": caller.request_id}
    return {name: str(value) for name, value in named.items() if value is not None}


INSERT_ENTRIES = insert_arrays(audit_entries)


async def write_audit_entry(
    tx: Transaction, action: str, outcome: Outcome, detail: Mapping[str, str] | None = None
) -> None:
    """Append one entry for the operation, naming the ids it touched; one of what was done becomes an event too."""
    entry_id = uuid7()
    entry = {
        "entry_id": entry_id,
        "at": tx.now,
        "actor": tx.caller.principal_id,
        "action": action,
        "outcome": outcome.value,
        "targets": tx.touched,
        "detail": dict(detail or {}),
    }
    parts = [Rows(statement=INSERT_ENTRIES, values=as_arrays(audit_entries, [entry]))]
    if outcome is Outcome.DONE:
        parts.append(waiting(tx, entry_id))
    await write_together(tx, parts)
