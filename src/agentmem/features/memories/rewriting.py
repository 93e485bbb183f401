"""Texts at their places: reading what is indexed there, taking it out of the postings, and moving it elsewhere."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final

import numpy as np
from sqlalchemy import ARRAY, BigInteger, func, literal, select, update
from sqlalchemy.dialects.postgresql import distinct_on

from agentmem.errors import DecryptionFailed
from agentmem.features.memories.index_entry import build
from agentmem.features.memories.index_writing import NOBODY, POSTING, SHORT, Block, insert_blocks
from agentmem.features.memories.model import StoredVersion
from agentmem.features.memories.packing import hold_rewriting, is_any, strip
from agentmem.features.memories.repository import RECORD_COLUMNS, to_version, unlock
from agentmem.features.memories.tables import index_entries, memories, vectors
from agentmem.foundation.database.transaction import Transaction
from agentmem.kit.ids import Place

TEXTS_AT_ONCE: Final = 500


async def texts_at(tx: Transaction, places: Sequence[int]) -> list[StoredVersion]:
    """Read the last version at each place, which says what is indexed there; those that do not open are left out."""
    statement = (
        select(*RECORD_COLUMNS)
        .ext(distinct_on(memories.c.place))
        .where(tx.own(memories), is_any(memories.c.place, places))
        .order_by(memories.c.place, memories.c.version.desc())
    )
    found = []
    for row in await unlock(tx, await tx.execute(statement)):
        try:
            found.append(to_version(tx, row))
        except DecryptionFailed:
            continue
    return found


def postings_of(tx: Transaction, stored: StoredVersion, place: Place) -> list[Block]:
    """Make the postings that a text has at a place: none where it may not be indexed."""
    record = stored.record
    if not record.classification.is_indexed:
        return []
    entry = build(record.content, record.actor, record.occurred_at, None)
    hashes = tx.keys.index.term_hashes(entry.terms)
    length = min(entry.length, SHORT)
    return [
        (term, record.user_id or NOBODY, np.array([(place, min(number, SHORT), length)], POSTING))
        for term, number in zip(hashes, entry.terms.values(), strict=True)
    ]


async def remove_postings(tx: Transaction, places: Sequence[int]) -> None:
    """Take places out of all postings; the caller holds the lock of those who rewrite them."""
    for start in range(0, len(places), TEXTS_AT_ONCE):
        some = places[start : start + TEXTS_AT_ONCE]
        texts = await texts_at(tx, some)
        blocks = [block for stored in texts for block in postings_of(tx, stored, stored.place)]
        await _strip(tx, some, blocks, complete=len(texts) == len(some))


async def _strip(tx: Transaction, places: Sequence[int], blocks: Sequence[Block], *, complete: bool) -> None:
    """Take places out of the postings: by the terms of their texts, and by reading everything if that is not all."""
    gone = np.array(sorted(places), np.int64)
    terms, users = {term for term, _, _ in blocks}, {user_id for _, user_id, _ in blocks}
    removed = await strip(tx, gone, sorted(terms), users) if terms else 0
    if removed != len(blocks) or not complete:
        await strip(tx, gone)


async def move_texts(tx: Transaction, moves: Mapping[Place, Place]) -> None:
    """Give texts other places, in everything that names them; the caller has locked their memories."""
    await hold_rewriting(tx)
    left = list(moves)
    for start in range(0, len(left), TEXTS_AT_ONCE):
        some = left[start : start + TEXTS_AT_ONCE]
        texts = await texts_at(tx, some)
        moved = [block for stored in texts for block in postings_of(tx, stored, moves[stored.place])]
        await _strip(tx, some, moved, complete=len(texts) == len(some))
        await insert_blocks(tx, moved)
    pairs = func.unnest(literal(left, ARRAY(BigInteger)), literal(list(moves.values()), ARRAY(BigInteger)))
    pair = pairs.table_valued("old", "new").render_derived(name="moved")
    for table in (memories, index_entries, vectors):
        here = (tx.own(table), is_any(table.c.place, left), table.c.place == pair.c.old)
        await tx.execute(update(table).where(*here).values(place=pair.c.new))
