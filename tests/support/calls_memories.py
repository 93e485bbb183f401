"""An example of each operation on memories and on the audit trail, called with what belongs to somebody else."""

from __future__ import annotations

from datetime import UTC, datetime
from uuid import UUID

from agentmem.features.memories.examination import IndexedBy
from agentmem.features.memories.rolling_back import Changed
from agentmem.features.memories.service import IdempotentRequest
from agentmem.features.memories.upkeep import Embedded
from agentmem.features.memories.visibility import View
from agentmem.kit.ids import Place
from agentmem.schemas.audit import AuditQuery
from agentmem.schemas.classification import Classification
from agentmem.schemas.entities import EntityKind
from agentmem.schemas.memories import Order, Origin, Scope
from agentmem.schemas.provenance import Promotion, Rollback, Taint
from agentmem.schemas.requests import IdAtVersion, PatchOf
from tests.support.foreign import Call, Foreign

NO_MODEL = Embedded(model="no model", classes=tuple(Classification))
BEFORE = datetime(2020, 1, 1, tzinfo=UTC)


def _ids(foreign: Foreign) -> list[UUID]:
    return [foreign.live, foreign.deleted]


CALLS: dict[str, Call] = {
    "MemoryService.add": lambda s, c, f: s.add(c, [f.prepared], IdempotentRequest(key=f.key, digest=b"another")),
    "MemoryService.get": lambda s, c, f: s.get(c, f.live, View()),
    "MemoryService.page": lambda s, c, f: s.page(c, View(), Order.OLDEST, None, 100),
    "MemoryService.history": lambda s, c, f: s.history(c, f.deleted),
    "MemoryService.classes": lambda s, c, f: s.classes(c, _ids(f)),
    "MemoryService.stats": lambda s, c, f: s.stats(c, Scope()),
    "MemoryService.delete": lambda s, c, f: s.delete(c, f.live),
    "MemoryService.delete_some": lambda s, c, f: s.delete_some(c, f.scope),
    "MemoryService.restore": lambda s, c, f: s.restore(c, f.deleted),
    "MemorySearch.search": lambda s, c, f: s.search(c, View(), f.asked, f.ranking),
    "MemoryTransfer.read": lambda s, c, f: s.read(c, Scope(), -1, 100),
    "MemoryTransfer.unknown": lambda s, c, f: s.unknown(c, _ids(f)),
    "MemoryTransfer.write": lambda s, c, f: s.write(c, [(f.exported(), [f.prepared])]),
    "NearDuplicates.vectors": lambda s, c, f: s.vectors(c, Scope()),
    "NearDuplicates.pairs": lambda s, c, f: s.pairs(c, Scope(), f.alike),
    "VectorGraph.grow": lambda s, c, f: s.grow(c, f.model, len(f.vector)),
    "VectorGraph.has_long_tail": lambda s, c, f: s.has_long_tail(c, f.model),
    "VectorGraph.fit_width": lambda s, c, f: s.fit_width(c, f.model, len(f.vector)),
    "MemoryUpkeep.recorded_model": lambda s, c, f: s.recorded_model(c),
    "MemoryUpkeep.active_model": lambda s, c, f: s.active_model(c, f.model),
    "MemoryUpkeep.order_model": lambda s, c, f: s.order_model(c, "model of the attacker"),
    "MemoryUpkeep.activate_model": lambda s, c, f: s.activate_model(c, "model of the attacker"),
    "MemoryUpkeep.lacking": lambda s, c, f: s.lacking(c, NO_MODEL, Place(-1), 100),
    "MemoryUpkeep.pending": lambda s, c, f: s.pending(c, NO_MODEL, Place(-1), 100),
    "MemoryUpkeep.complete": lambda s, c, f: s.complete(c, f.seen),
    "MemoryUpkeep.drop_other_models": lambda s, c, f: s.drop_other_models(c, "no model"),
    "MemoryUpkeep.pack_postings": lambda s, c, f: s.pack_postings(c, None, 0),
    "MemoryUpkeep.purge": lambda s, c, f: s.purge(c, 0),
    "MemoryUpkeep.forget_idempotency_keys": lambda s, c, f: s.forget_idempotency_keys(c),
    "MemoryChecking.examine": lambda s, c, f: s.examine(
        c, IndexedBy(model=f.model, dimensions=len(f.vector), token_dimensions=0, classes=tuple(Classification))
    ),
    "MemoryChecking.some_embedded": lambda s, c, f: s.some_embedded(c, f.model, 1000),
    "MemoryChecking.embedded": lambda s, c, f: s.embedded(c, f.model, f.places),
    "MemoryChecking.keys": lambda s, c, f: s.keys(c),
    "MemoryMending.texts": lambda s, c, f: s.texts(c, f.places),
    "MemoryMending.rebuild_entries": lambda s, c, f: s.rebuild_entries(c, f.model, f.seen),
    "MemoryMending.rebuild_postings": lambda s, c, f: s.rebuild_postings(c, f.places),
    "MemoryMending.restore_digests": lambda s, c, f: s.restore_digests(c, [(item, 1) for item in _ids(f)]),
    "MemoryMending.recount": lambda s, c, f: s.recount(c),
    "MemoryMending.mend_sessions": lambda s, c, f: s.mend_sessions(c),
    "MemoryMending.remove_orphans": lambda s, c, f: s.remove_orphans(c),
    "MemoryBatches.present": lambda s, c, f: s.present(c, [IdAtVersion(id=f.live)]),
    "MemoryBatches.texts": lambda s, c, f: s.texts(c, [f.live, f.deleted]),
    "MemoryBatches.update": lambda s, c, f: s.update(c, [PatchOf(id=f.live, content="x")], {f.live: f.prepared}),
    "MemoryBatches.delete": lambda s, c, f: s.delete(c, [IdAtVersion(id=f.live)]),
    "MemorySealing.seal_metadata": lambda s, c, f: s.seal_metadata(c, None),
    "MemoryTrust.provenance": lambda s, c, f: s.provenance(c, f.live),
    "MemoryTrust.promote": lambda s, c, f: s.promote(c, f.live, Promotion(authority=Origin.OPERATOR)),
    "MemoryTrust.believed": lambda s, c, f: s.believed(c, Taint(ids=_ids(f))),
    "MemoryTrust.taint": lambda s, c, f: s.taint(c, Taint(ids=_ids(f), dry_run=False)),
    "MemoryRollback.changed": lambda s, c, f: s.changed(c, Rollback(to=BEFORE), None, 100),
    "MemoryRollback.roll_back": lambda s, c, f: s.roll_back(c, [Changed(current=f.latest[0], then=None)], {}),
    "Entities.page": lambda s, c, f: s.page(c, EntityKind.USERS, Scope(), None, 100),
    "Usage.current": lambda s, c, f: s.current(c),
    "AuditService.page": lambda s, c, f: s.page(c, AuditQuery()),
    "AuditService.read": lambda s, c, f: s.read(c, None, 1000),
    "AuditService.note_read": lambda s, c, f: s.note_read(c, [f.live]),
    "AuditService.seal": lambda s, c, f: s.seal(c),
    "AuditService.verify": lambda s, c, f: s.verify(c),
}
"""How the suites of isolation and permissions call them."""

NOT_FOUND = frozenset(
    {
        "MemoryService.get",
        "MemoryService.history",
        "MemoryService.delete",
        "MemoryService.restore",
        "MemoryBatches.present",
        "MemoryBatches.update",
        "MemoryBatches.delete",
        "MemoryTrust.provenance",
        "MemoryTrust.promote",
        "MemoryRollback.roll_back",
    }
)
"""What answers that there is no such memory."""
