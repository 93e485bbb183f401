"""Operations on the networks that an organization, and the whole installation, may be asked from."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final
from uuid import UUID

from agentmem.errors import Conflict, QuotaExceeded
from agentmem.features.organizations import network_rows
from agentmem.features.organizations.network_lists import NetworkLists, Reach, Snapshot
from agentmem.foundation.authorization.caller import Permission
from agentmem.foundation.authorization.platform import platform_id
from agentmem.foundation.database.database import Database
from agentmem.foundation.database.system import SystemPurpose, SystemTransaction
from agentmem.foundation.database.transaction import Transaction
from agentmem.kit.ids import uuid7
from agentmem.kit.networks import Address
from agentmem.kit.paging import decode_id, query_fingerprint
from agentmem.operations import operation, system_operation
from agentmem.schemas.memories import Page, page_by_id
from agentmem.schemas.networks import NetworkRule, NewNetworkRule

_PAGES: Final = query_fingerprint("networks")
MOST_RULES: Final = {Reach.ORGANIZATION: 1000, Reach.INSTALLATION: 10_000}
"""Networks that one organization, and the installation, may have on their lists."""


@dataclass(frozen=True, kw_only=True)
class NetworkService:
    """Operations on the networks that the caller's organization is asked from.

    Those of the installation are rows of the platform's organization, with another reach than its own. Each change is
    in force on every server within a second. ``author`` is the address of whoever makes a change that must not lock
    them out; without one, nobody is looked after.
    """

    database: Database

    @operation(Permission.ORGANIZATION_READ, read_only=True)
    async def page(self, tx: Transaction, cursor: str | None = None, limit: int = 100) -> Page[NetworkRule]:
        """Read a page of the organization's networks, the oldest first; raises :class:`InvalidCursor`."""
        return await _page(tx, Reach.ORGANIZATION, cursor, limit)

    @operation(Permission.ORGANIZATION_WRITE, audit="network.added")
    async def add(self, tx: Transaction, new: NewNetworkRule, author: Address | None = None) -> NetworkRule:
        """Put a network on a list of the organization.

        Raises :class:`Conflict` if it would lock the author out, :class:`QuotaExceeded` for the 1,001st.
        """
        return await _add(tx, Reach.ORGANIZATION, new, author)

    @operation(Permission.ORGANIZATION_WRITE, audit="network.removed")
    async def remove(self, tx: Transaction, rule_id: UUID, author: Address | None = None) -> None:
        """Take a network off its list; raises :class:`Conflict` if that would lock the author out."""
        await _remove(tx, Reach.ORGANIZATION, rule_id, author)

    @operation(Permission.PLATFORM_MANAGE, read_only=True)
    async def page_installation(
        self, tx: Transaction, cursor: str | None = None, limit: int = 100
    ) -> Page[NetworkRule]:
        """Read a page of the installation's networks, the oldest first; raises :class:`InvalidCursor`."""
        return await _page(tx, Reach.INSTALLATION, cursor, limit)

    @operation(Permission.PLATFORM_MANAGE, audit="network.added")
    async def add_installation(
        self, tx: Transaction, new: NewNetworkRule, author: Address | None = None
    ) -> NetworkRule:
        """Put a network on a list of the installation, which is asked before it is known who asks; see :meth:`add`."""
        return await _add(tx, Reach.INSTALLATION, new, author)

    @operation(Permission.PLATFORM_MANAGE, audit="network.removed")
    async def remove_installation(self, tx: Transaction, rule_id: UUID, author: Address | None = None) -> None:
        """Take a network off its list of the installation; see :meth:`remove`."""
        await _remove(tx, Reach.INSTALLATION, rule_id, author)

    @system_operation(SystemPurpose.AUTHENTICATE, read_only=True)
    async def of_installation(self, tx: SystemTransaction, known: Snapshot) -> Snapshot:
        """Read the installation's lists; ``known`` itself while they are what they were."""
        await tx.bind(platform_id())
        mark = await network_rows.fetch_mark(tx, Reach.INSTALLATION)
        return (
            known
            if mark == known.mark
            else Snapshot(mark, NetworkLists.of(await network_rows.fetch_rules(tx, Reach.INSTALLATION)))
        )


async def _page(tx: Transaction, reach: Reach, cursor: str | None, limit: int) -> Page[NetworkRule]:
    found = await network_rows.fetch_page(tx, reach, decode_id(cursor, _PAGES), limit + 1)
    return page_by_id(found, limit, _PAGES)


async def _add(tx: Transaction, reach: Reach, new: NewNetworkRule, author: Address | None) -> NetworkRule:
    await network_rows.hold_rules(tx)
    await network_rows.forget_expired(tx, reach)
    if await network_rows.count_rules(tx, reach) >= MOST_RULES[reach]:
        raise QuotaExceeded(f"There are {MOST_RULES[reach]} networks on the lists.", hint="Remove one, or join some.")
    rule_id = uuid7()
    tx.touch([rule_id])
    rule = await network_rows.insert_rule(tx, reach, rule_id, new)
    await _require_author(tx, reach, author)
    return rule


async def _remove(tx: Transaction, reach: Reach, rule_id: UUID, author: Address | None) -> None:
    await network_rows.hold_rules(tx)
    tx.touch([rule_id])
    await network_rows.remove_rule(tx, reach, rule_id)
    await _require_author(tx, reach, author)


async def _require_author(tx: Transaction, reach: Reach, author: Address | None) -> None:
    """Refuse a change, which the transaction has made, that locks its author out."""
    if author is not None and not NetworkLists.of(await network_rows.fetch_rules(tx, reach)).admit(author):
        raise Conflict(
            f"After this change nothing would be taken from {author}, where it comes from.",
            hint="Allow that network first, or repeat the change with force.",
        )
