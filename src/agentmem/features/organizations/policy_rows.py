"""All SQL about policies."""

from __future__ import annotations

from typing import Any, Final

from pydantic import TypeAdapter
from sqlalchemy import Row, select
from sqlalchemy.dialects.postgresql import insert as upsert

from agentmem.errors import VersionConflict
from agentmem.features.organizations.tables import organization_policies as policies
from agentmem.foundation.database.system import SystemTransaction
from agentmem.foundation.database.transaction import Transaction
from agentmem.schemas.policies import DEFAULTS, Policy, PolicyInForce, PolicyKind

_READ: Final[TypeAdapter[Policy]] = TypeAdapter(Policy)
_FIRST: Final = 1
"""The version of a policy that nobody has set."""


async def fetch_policy(tx: Transaction | SystemTransaction, kind: PolicyKind) -> PolicyInForce:
    """Read a policy of the organization, or the default."""
    row = (await tx.execute(select(policies).where(tx.own(policies), policies.c.kind == kind.value))).first()
    return PolicyInForce(policy=DEFAULTS[kind], version=_FIRST) if row is None else _to_policy(row)


async def write_policy(tx: Transaction, policy: Policy, found: PolicyInForce) -> PolicyInForce:
    """Write a policy in place of the one that was found; raises :class:`VersionConflict` if that is no more."""
    new = upsert(policies).values(
        organization_id=tx.organization_id,
        kind=policy.kind.value,
        body=policy.model_dump(mode="json", exclude_unset=True, exclude={"kind"}),
        updated_at=tx.now,
        version=_FIRST + 1,
    )
    statement = new.on_conflict_do_update(
        index_elements=["organization_id", "kind"],
        set_={"body": new.excluded.body, "updated_at": new.excluded.updated_at, "version": policies.c.version + 1},
        where=policies.c.version == found.version,
    ).returning(policies)
    row = (await tx.execute(statement)).first()
    if row is None:
        raise VersionConflict("The policy has just been changed.", hint="Read it again, then decide.")
    return _to_policy(row)


def _to_policy(row: Row[Any]) -> PolicyInForce:
    policy = _READ.validate_python({**row.body, "kind": row.kind})
    return PolicyInForce(policy=policy, updated_at=row.updated_at, version=row.version)
