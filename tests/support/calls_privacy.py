"""An example of each operation about persons, with somebody else's ids."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import replace
from datetime import timedelta

from agentmem.features.memories.retention import MemoryRetention
from agentmem.features.privacy import repository
from agentmem.foundation.database.transaction import Transaction
from agentmem.schemas.privacy import SubjectMarks
from agentmem.schemas.retention import RetentionRule
from tests.support.foreign import Call, Foreign


def _later(service: MemoryRetention) -> MemoryRetention:
    """Give it two days from now, when there is something to remove."""
    return replace(service, database=replace(service.database, ahead=timedelta(days=2)))


CALLS: dict[str, Call] = {
    "MemoryErasing.erase": lambda s, c, f: s.erase(c, f.user_id),
    "MemoryErasing.erase_rest": lambda s, c, f: s.erase_rest(c, f.user_id),
    "MemoryErasing.written_before": lambda s, c, f: s.written_before(c, {}),
    "PrivacyService.begin": lambda s, c, f: s.begin(c, f.user_id),
    "PrivacyService.get": lambda s, c, f: s.get(c, f.erasure_id),
    "PrivacyService.whom": lambda s, c, f: s.whom(c, f.erasure_id),
    "PrivacyService.count": lambda s, c, f: s.count(c, f.erasure_id, {"memories": 1}),
    "PrivacyService.finish": lambda s, c, f: s.finish(c, f.erasure_id, []),
    "PrivacyService.mark": lambda s, c, f: s.mark(c, SubjectMarks(user_id=f.user_id, held=True)),
    "PrivacyService.marks": lambda s, c, f: s.marks(c, f.user_id),
    "PrivacyService.begin_export": lambda s, c, f: s.begin_export(c, "nobody"),
    "PrivacyService.erasures_of": lambda s, c, f: s.erasures_of(c, f.user_id),
    "SubjectMemories.own": lambda s, c, f: s.own(c, f.user_id, -1, 100),
    "SubjectMemories.derived": lambda s, c, f: s.derived(c, [f.live, f.deleted]),
    "SubjectMemories.several": lambda s, c, f: s.several(c, [f.live, f.deleted]),
    "MemoryRetention.due": lambda s, c, f: _later(s).due(c, RetentionRule(days=1)),
    "MemoryRetention.remove": lambda s, c, f: _later(s).remove(c, RetentionRule(days=1)),
    "MemoryRetention.order": lambda s, c, f: s.order(c),
    "AuditService.about": lambda s, c, f: s.about(c, [f.live, f.deleted], None, 100),
    "PrivacyService.waiting_since": lambda s, c, f: s.waiting_since(c),
    "PrivacyService.note_rewritten": lambda s, c, f: s.note_rewritten(c, s.database.clock()),
}

NOT_FOUND = frozenset({"PrivacyService.get", "PrivacyService.whom", "PrivacyService.count", "PrivacyService.finish"})
"""Operations that answer an id that is not theirs as one that nobody has."""

DIRECT_CALLS: dict[str, Callable[[Transaction, Foreign], Awaitable[object]]] = {
    "privacy.repository.finish": lambda tx, f: repository.finish(tx, f.erasure_id, b"of somebody else", []),
}
"""Functions that operations call only once they have found the erasure."""
