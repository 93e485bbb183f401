"""Checks that compare whole tables with each other, each in one statement that PostgreSQL runs in bounded memory."""

from __future__ import annotations

from sqlalchemy import Interval, Select, and_, distinct, exists, func, literal, or_, select, union, union_all
from sqlalchemy.dialects.postgresql import distinct_on
from sqlalchemy.sql import ColumnElement

from agentmem.features.memories.examination import MOST_DAMAGE, Damage, Examination
from agentmem.features.memories.model import ALONE, INSTANT, LAST_POSITION, POSITION_BITS
from agentmem.features.memories.quota import usage_error
from agentmem.features.memories.tables import index_entries, memories, scope_statistics, sessions, vectors
from agentmem.foundation.database.transaction import Transaction
from agentmem.foundation.ledger.audit import Outcome
from agentmem.foundation.ledger.tables import audit_entries
from agentmem.schemas.classification import Classification
from agentmem.schemas.health import FindingCode

SESSION_NO = memories.c.place.op(">>", return_type=memories.c.place.type)(literal(POSITION_BITS))
POSITION = memories.c.place.op("&", return_type=memories.c.place.type)(literal(LAST_POSITION))


async def cross_check(tx: Transaction, examination: Examination) -> None:
    """Compare versions with the audit, places, sessions, statistics and indexes with the memories they are about."""
    for row in await tx.execute(_unaudited(tx).limit(MOST_DAMAGE)):
        what = f"Version {row.version}: No audit entry names it."
        examination.found(
            Damage(code=FindingCode.AUDIT_MISSING, what=what, memory_id=row.memory_id, version=row.version)
        )
    for row in await tx.execute(_shared_places(tx).limit(MOST_DAMAGE)):
        what = f"{row.owners} memories have the place {row.place}."
        examination.found(Damage(code=FindingCode.PLACE_SHARED, what=what, place=row.place))
    for row in await tx.execute(short_sessions(tx).limit(MOST_DAMAGE)):
        what = f"Session {row.session_no} ends at {row.last_position}, and a turn stands at {row.furthest}."
        examination.found(Damage(code=FindingCode.SESSION_WRONG, what=what))
    for row in await tx.execute(lost_sessions(tx).limit(MOST_DAMAGE)):
        what = f"Session {row.session_no} of a run is not known any more."
        examination.found(Damage(code=FindingCode.SESSION_WRONG, what=what))
    for row in await tx.execute(statistics_errors(tx).limit(MOST_DAMAGE)):
        who = "memories without a user" if not row.user_id else f"the user {row.user_id!r:.80}"
        what = f"The statistics of {who} are {row.documents:+} documents and {row.length:+} terms away from the truth."
        examination.found(Damage(code=FindingCode.STATISTICS_WRONG, what=what))
    if error := await usage_error(tx):
        what = (
            f"The counts of what the organization stores are {error.memories:+} memories, {error.versions:+} versions "
            f"and {error.content_bytes:+} bytes away from the truth."
        )
        examination.found(Damage(code=FindingCode.USAGE_WRONG, what=what))
    for row in await tx.execute(orphans(tx).limit(MOST_DAMAGE)):
        what = f"The indexes name the place {row.place}, which no memory has that may be indexed."
        examination.found(Damage(code=FindingCode.INDEX_FOREIGN, what=what, place=row.place))


def _unaudited(tx: Transaction) -> Select[tuple[object, int]]:
    """Find versions that no entry of the audit accounts for: written at that moment, or imported.

    A version that a slow clock wrote begins just after the one before it, and its entry has the clock's own time: then
    there are as many entries up to that moment as versions.
    """
    named = (
        select(func.unnest(audit_entries.c.targets).label("memory_id"), audit_entries.c.at, audit_entries.c.action)
        .where(tx.own(audit_entries), audit_entries.c.outcome == Outcome.DONE.value)
        .subquery()
    )
    own = named.c.memory_id == memories.c.memory_id
    accounted = exists().where(own, or_(named.c.at == memories.c.updated_at, named.c.action == "memory.imported"))
    before = memories.alias()
    moved = exists().where(
        tx.own(before),
        before.c.memory_id == memories.c.memory_id,
        before.c.version == memories.c.version - 1,
        before.c.updated_at + literal(INSTANT, Interval) == memories.c.updated_at,
    )
    entries = select(func.count()).where(own, named.c.at <= memories.c.updated_at).scalar_subquery()
    missing = and_(~accounted, ~and_(moved, entries >= memories.c.version))
    return select(memories.c.memory_id, memories.c.version).where(tx.own(memories), missing)


def _shared_places(tx: Transaction) -> Select[tuple[int, int]]:
    owners = func.count(distinct(memories.c.memory_id))
    return (
        select(memories.c.place, owners.label("owners"))
        .where(tx.own(memories))
        .group_by(memories.c.place)
        .having(owners > 1)
    )


def short_sessions(tx: Transaction) -> Select[tuple[int, int, int]]:
    """Find sessions that end before their last turn."""
    furthest = func.max(POSITION)
    return (
        select(sessions.c.session_no, sessions.c.last_position, furthest.label("furthest"))
        .join(
            memories,
            and_(memories.c.organization_id == sessions.c.organization_id, sessions.c.session_no == SESSION_NO),
        )
        .where(tx.own(sessions), tx.own(memories))
        .group_by(sessions.c.session_no, sessions.c.last_position)
        .having(furthest > sessions.c.last_position)
    )


def lost_sessions(tx: Transaction) -> Select[tuple[int, int, str | None, str | None, str | None, str | None]]:
    """Find runs of which turns are stored and no session is; the next turn would not be a neighbour of the last."""
    same = [_same(sessions.c[name], memories.c[name]) for name in ("run_id", "user_id", "agent_id", "app_id")]
    known = exists().where(tx.own(sessions), *same)
    scope = (memories.c.run_id, memories.c.user_id, memories.c.agent_id, memories.c.app_id)
    last = func.max(memories.c.place)
    return (
        select(
            last.op(">>", return_type=memories.c.place.type)(literal(POSITION_BITS)).label("session_no"),
            last.op("&", return_type=memories.c.place.type)(literal(LAST_POSITION)).label("furthest"),
            *scope,
        )
        .where(tx.own(memories), memories.c.run_id.is_not(None), POSITION != ALONE, ~known)
        .group_by(*scope)
    )


def _same(one: ColumnElement[str | None], other: ColumnElement[str | None]) -> ColumnElement[bool]:
    return one.is_not_distinct_from(other)


def statistics_errors(tx: Transaction) -> Select[tuple[str, int, int]]:
    """Find users whose counts differ from what is indexed, and by how much."""
    texts = (
        select(index_entries.c.user_id, index_entries.c.length)
        .ext(distinct_on(index_entries.c.place))
        .where(tx.own(index_entries))
        .order_by(index_entries.c.place)
        .subquery()
    )
    both = union_all(
        select(texts.c.user_id, literal(-1).label("documents"), (-texts.c.length).label("length")),
        select(scope_statistics.c.user_id, scope_statistics.c.documents, scope_statistics.c.length).where(
            tx.own(scope_statistics)
        ),
    ).subquery()
    documents, length = func.sum(both.c.documents), func.sum(both.c.length)
    return (
        select(both.c.user_id, documents.label("documents"), length.label("length"))
        .group_by(both.c.user_id)
        .having(or_(documents != 0, length != 0))
    )


def orphans(tx: Transaction) -> Select[tuple[int]]:
    """Find places that have an index entry or a vector, and no memory that may be indexed."""
    indexed = memories.c.classification != Classification.RESTRICTED.value
    parts = [
        select(table.c.place).where(
            tx.own(table), ~exists().where(tx.own(memories), memories.c.place == table.c.place, indexed)
        )
        for table in (index_entries, vectors)
    ]
    return select(union(*parts).subquery().c.place)
