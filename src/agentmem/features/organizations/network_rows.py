"""All SQL about the networks that requests may come from, or may not."""

from __future__ import annotations

from datetime import timedelta
from typing import Any, Final
from uuid import UUID

from sqlalchemy import ColumnElement, Row, Text, and_, cast, delete, func, insert, or_, select

from agentmem.errors import NotFound
from agentmem.features.organizations.network_lists import NetworkRules, Reach
from agentmem.features.organizations.tables import network_rules
from agentmem.foundation.database.system import SystemTransaction
from agentmem.foundation.database.transaction import Transaction
from agentmem.kit.networks import parse_network
from agentmem.schemas.networks import NetworkList, NetworkRule, NewNetworkRule

AnyTransaction = Transaction | SystemTransaction
RULES: Final = network_rules


async def hold_rules(tx: Transaction) -> None:
    """Let one transaction at a time change the lists of an organization."""
    await tx.execute(select(func.pg_advisory_xact_lock(func.hashtextextended(f"networks {tx.organization_id}", 0))))


async def insert_rule(tx: Transaction, reach: Reach, rule_id: UUID, new: NewNetworkRule) -> NetworkRule:
    """Write a rule, and give it as it then stands."""
    ends = None if new.expires_in_seconds is None else tx.now + timedelta(seconds=new.expires_in_seconds)
    row = {
        "organization_id": tx.organization_id,
        "rule_id": rule_id,
        "reach": reach.value,
        "list": new.list.value,
        "network": new.network,
        "reason": new.reason,
        "created_by": tx.caller.principal_id,
        "created_at": tx.now,
        "expires_at": ends,
    }
    await tx.execute(insert(RULES), row)
    return (await fetch_page(tx, reach, None, 1, rule_id))[0]


async def fetch_page(
    tx: Transaction, reach: Reach, after: UUID | None, limit: int, only: UUID | None = None
) -> list[NetworkRule]:
    """Read up to ``limit`` rules that are in force, the oldest first, or the one that is named."""
    statement = select(RULES).where(_in_force(tx, reach))
    if after is not None:
        statement = statement.where(RULES.c.rule_id > after)
    if only is not None:
        statement = statement.where(RULES.c.rule_id == only)
    return [_to_rule(row) for row in await tx.execute(statement.order_by(RULES.c.rule_id).limit(limit))]


async def count_rules(tx: Transaction, reach: Reach) -> int:
    """Count the rules that are in force."""
    return int((await tx.execute(select(func.count()).select_from(RULES).where(_in_force(tx, reach)))).scalar_one())


async def remove_rule(tx: Transaction, reach: Reach, rule_id: UUID) -> None:
    """Remove a rule, or raise :class:`NotFound`."""
    statement = delete(RULES).where(_in_force(tx, reach), RULES.c.rule_id == rule_id)
    if (await tx.execute(statement)).rowcount != 1:
        raise NotFound(f"There is no network rule {rule_id}.")


async def forget_expired(tx: Transaction, reach: Reach) -> None:
    """Remove the rules whose time is over."""
    await tx.execute(delete(RULES).where(tx.own(RULES), RULES.c.reach == reach.value, RULES.c.expires_at <= tx.now))


async def fetch_mark(tx: AnyTransaction, reach: Reach) -> int:
    """Read a number that changes with the rules in force; none of them is changed, so that their ids tell."""
    of_ids = func.bit_xor(func.hashtextextended(cast(RULES.c.rule_id, Text), 0))
    return int((await tx.execute(select(func.coalesce(of_ids, 0)).where(_in_force(tx, reach)))).scalar_one())


async def fetch_rules(tx: AnyTransaction, reach: Reach) -> NetworkRules:
    """Read the rules in force."""
    rows = (await tx.execute(select(RULES.c.list, RULES.c.network).where(_in_force(tx, reach)))).all()
    allowed, denied = (
        tuple(parse_network(row.network) for row in rows if row.list == named.value)
        for named in (NetworkList.ALLOW, NetworkList.DENY)
    )
    return NetworkRules(allowed=allowed, denied=denied)


def _in_force(tx: AnyTransaction, reach: Reach) -> ColumnElement[bool]:
    return and_(
        tx.own(RULES),
        RULES.c.reach == reach.value,
        or_(RULES.c.expires_at.is_(None), RULES.c.expires_at > tx.now),
    )


def _to_rule(row: Row[Any]) -> NetworkRule:
    return NetworkRule(
        id=row.rule_id,
        network=row.network,
        list=NetworkList(row.list),
        reason=row.reason,
        created_by=row.created_by,
        created_at=row.created_at,
        expires_at=row.expires_at,
    )
