"""An example of each operation on background jobs, and of the functions below them, with somebody else's ids."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

from agentmem.features.jobs import repository
from agentmem.foundation.database.transaction import Transaction
from agentmem.schemas.jobs import JobQuery
from tests.support.foreign import Call, Foreign

DIRECT_CALLS: dict[str, Callable[[Transaction, Foreign], Awaitable[object]]] = {
    "jobs.repository.discard": lambda tx, f: repository.discard(tx, f.job_id),
    "jobs.repository.find_queued_twin": lambda tx, f: repository.find_queued_twin(tx, f.job_id),
    "jobs.repository.queue_again": lambda tx, f: repository.queue_again(tx, f.job_id),
}
"""Functions that operations call only once they have found the job."""

CALLS: dict[str, Call] = {
    "JobService.page": lambda s, c, f: s.page(c, JobQuery()),
    "JobService.get": lambda s, c, f: s.get(c, f.job_id),
    "JobService.retry": lambda s, c, f: s.retry(c, f.job_id),
    "JobService.discard": lambda s, c, f: s.discard(c, f.job_id),
    "JobService.sweep": lambda s, c, f: s.sweep(c),
}

NOT_FOUND = frozenset({"JobService.get", "JobService.retry", "JobService.discard"})
"""Operations that answer the id of somebody else as they do one that nobody has."""
