"""An example of each operation on background jobs, called with what belongs to somebody else."""

from __future__ import annotations

from agentmem.schemas.jobs import JobQuery
from tests.support.foreign import Call

CALLS: dict[str, Call] = {
    "JobService.page": lambda s, c, f: s.page(c, JobQuery()),
    "JobService.get": lambda s, c, f: s.get(c, f.job_id),
    "JobService.retry": lambda s, c, f: s.retry(c, f.job_id),
    "JobService.discard": lambda s, c, f: s.discard(c, f.job_id),
    "JobService.sweep": lambda s, c, f: s.sweep(c),
}

NOT_FOUND = frozenset({"JobService.get", "JobService.retry", "JobService.discard"})
"""Operations that answer the id of somebody else as they do one that nobody has."""
