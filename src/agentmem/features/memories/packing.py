"""Rewriting packed postings: merging small rows, and taking places out of the rows that hold them.

Adding only ever inserts rows; whoever rewrites them holds the organization's lock, so that two rewriters cannot undo
each other's work.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import AsyncIterator, Iterable, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray
from sqlalchemy import ARRAY, BigInteger, and_, any_, delete, func, literal, select, tuple_
from sqlalchemy.sql import ColumnElement

from agentmem.features.memories.index_writing import POSTING, insert_blocks, pack_blocks
from agentmem.features.memories.tables import postings
from agentmem.foundation.database.transaction import Transaction

REWRITING: Final = 0x706F7374  # "post" in ASCII; the lock's other half is the organization
SMALL_ROW: Final = 256
"""Postings below which a row counts as small."""

PACK_TERMS: Final = 500
ROWS_AT_ONCE: Final = 2000
"""Rows of postings that are read together: 12 MiB at most."""

TermOfUser = tuple[int, str]
Key = tuple[int, str, int]


@dataclass(frozen=True, kw_only=True, slots=True)
class PostingRow:
    """One row of packed postings; ``block`` is absent when its bytes are not what is written there."""

    term: int
    user_id: str
    first_place: int
    block: NDArray[np.void] | None

    @property
    def key(self) -> Key:
        """The row's key within its organization."""
        return self.term, self.user_id, self.first_place


async def hold_rewriting(tx: Transaction) -> None:
    """Wait until nobody else rewrites the organization's postings, and keep others from it until the end."""
    await tx.execute(select(func.pg_advisory_xact_lock(REWRITING, func.hashtext(str(tx.organization_id)))))


async def try_rewriting(tx: Transaction) -> bool:
    """Take the same lock if it is free, and say whether it was."""
    lock = func.pg_try_advisory_xact_lock(REWRITING, func.hashtext(str(tx.organization_id)))
    return bool((await tx.execute(select(lock))).scalar_one())


async def pack_some(tx: Transaction, after: TermOfUser | None, loose_rows: int) -> tuple[TermOfUser | None, int]:
    """Merge the small rows of the next terms that have more than ``loose_rows``; give the last term and the number."""
    key = (postings.c.term, postings.c.user_id)
    size = func.octet_length(postings.c.packed)
    small = and_(size < POSTING.itemsize * SMALL_ROW, size % POSTING.itemsize == 0)
    loose = select(*key).where(tx.own(postings), small).group_by(*key).having(func.count() > loose_rows)
    if after is not None:
        loose = loose.where(tuple_(*key) > after)
    chosen = [(term, user) for term, user in await tx.execute(loose.order_by(*key).limit(PACK_TERMS))]
    if not chosen:
        return None, 0
    taken = await tx.execute(
        delete(postings)
        .where(tx.own(postings), tuple_(*key).in_(chosen), small)
        .returning(postings.c.term, postings.c.user_id, postings.c.packed)
    )
    found: dict[TermOfUser, list[bytes]] = defaultdict(list)
    for term, user_id, packed in taken:
        found[term, user_id].append(packed)
    await insert_blocks(
        tx,
        [
            (term, user_id, block)
            for (term, user_id), rows in sorted(found.items())
            for block in pack_blocks(np.frombuffer(b"".join(rows), dtype=POSTING))
        ],
    )
    return chosen[-1], len(chosen)


def is_any(column: ColumnElement[int], values: Sequence[int]) -> ColumnElement[bool]:
    """Build the condition that a number is one of any number of values: one parameter, however many they are."""
    return column == any_(literal(list(values), ARRAY(BigInteger)))


async def read_rows(tx: Transaction, terms: Sequence[int] | None = None) -> AsyncIterator[list[PostingRow]]:
    """Read the organization's postings, or those of some terms, in the order of their keys and in bounded batches."""
    key = (postings.c.term, postings.c.user_id, postings.c.first_place)
    statement = select(*key, postings.c.packed).where(tx.own(postings)).order_by(*key).limit(ROWS_AT_ONCE)
    if terms is not None:
        statement = statement.where(is_any(postings.c.term, terms))
    after: Key | None = None
    while True:
        step = statement if after is None else statement.where(tuple_(*key) > after)
        rows = [
            PostingRow(term=term, user_id=user, first_place=first, block=_unpacked(first, packed))
            for term, user, first, packed in await tx.execute(step)
        ]
        if not rows:
            return
        yield rows
        after = rows[-1].key


def _unpacked(first_place: int, packed: bytes) -> NDArray[np.void] | None:
    if not packed or len(packed) % POSTING.itemsize:
        return None
    block = np.frombuffer(packed, dtype=POSTING)
    ordered = block["place"][0] == first_place and bool((np.diff(block["place"]) > 0).all())
    return block if ordered else None


async def strip(
    tx: Transaction, places: NDArray[np.int64], terms: Sequence[int] | None = None, users: Iterable[str] | None = None
) -> int:
    """Take places out of all postings, or out of those of some terms and users, and say how many postings went.

    Rows whose bytes are damaged go too. The caller holds the lock.
    """
    allowed = None if users is None else frozenset(users)
    removed = 0
    async for rows in read_rows(tx, terms):
        gone: list[Key] = []
        rewritten: list[tuple[int, str, NDArray[np.void]]] = []
        for row in rows:
            if allowed is not None and row.user_id not in allowed:
                continue
            if row.block is None:
                gone.append(row.key)
                continue
            kept = row.block[~np.isin(row.block["place"], places)]
            if len(kept) < len(row.block):
                removed += len(row.block) - len(kept)
                gone.append(row.key)
                if len(kept):
                    rewritten.append((row.term, row.user_id, kept))
        await _replace(tx, gone, rewritten)
    return removed


async def _replace(
    tx: Transaction, gone: Sequence[Key], rewritten: Sequence[tuple[int, str, NDArray[np.void]]]
) -> None:
    key = tuple_(postings.c.term, postings.c.user_id, postings.c.first_place)
    for start in range(0, len(gone), 1000):
        await tx.execute(delete(postings).where(tx.own(postings), key.in_(gone[start : start + 1000])))
    await insert_blocks(tx, rewritten)
