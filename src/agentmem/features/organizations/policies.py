"""Operations on the policies of the caller's organization."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from agentmem.errors import Conflict
from agentmem.features.organizations import policy_rows
from agentmem.features.organizations.work import ALL, SEAL_METADATA
from agentmem.foundation.authorization.caller import Permission
from agentmem.foundation.authorization.platform import platform_id
from agentmem.foundation.database.database import Database
from agentmem.foundation.database.sensitive import let_writers_end
from agentmem.foundation.database.system import SystemPurpose, SystemTransaction
from agentmem.foundation.database.transaction import Transaction
from agentmem.foundation.jobs.queue import enqueue
from agentmem.kit.ids import OrganizationId
from agentmem.kit.versions import require_version
from agentmem.operations import operation, system_operation
from agentmem.schemas.policies import ClassificationPolicy, Policy, PolicyInForce, PolicyKind


@dataclass(frozen=True, kw_only=True)
class PolicyService:
    """Operations on the policies of the caller's organization."""

    database: Database

    @operation(Permission.ORGANIZATION_READ, read_only=True)
    async def view(self, tx: Transaction, kind: PolicyKind) -> PolicyInForce:
        """Read a policy, the default where the organization has not set one."""
        return await policy_rows.fetch_policy(tx, kind)

    @operation(Permission.ORGANIZATION_WRITE, audit="policy.updated")
    async def update(self, tx: Transaction, policy: Policy, if_version: int | None = None) -> PolicyInForce:
        """Set a policy; raises :class:`VersionConflict`, and :class:`Conflict` for one that is the platform's alone.

        Where other metadata is sensitive than before no later writer stores it in clear, and a job seals what is there.
        """
        if policy.kind is PolicyKind.LOCKOUT and tx.organization_id != platform_id():
            raise Conflict(
                "Accounts belong to the platform, and with them the policy of how they are locked.",
                hint="Ask whoever operates it.",
            )
        found = await policy_rows.fetch_policy(tx, policy.kind)
        require_version(f"The policy {policy.kind.value}", found.version, if_version)
        tx.touch([tx.organization_id])
        written = await policy_rows.write_policy(tx, policy, found)
        if _sensitive(policy) != _sensitive(found.policy):
            await let_writers_end(tx)
            await enqueue(tx, SEAL_METADATA, once=ALL)
        return written

    @system_operation(SystemPurpose.AUTHENTICATE, read_only=True)
    async def of(
        self, tx: SystemTransaction, organization_ids: Sequence[OrganizationId], kind: PolicyKind
    ) -> list[Policy]:
        """Read the policy of each of these organizations."""
        found: list[Policy] = []
        for organization_id in organization_ids:
            await tx.bind(organization_id)
            found.append((await policy_rows.fetch_policy(tx, kind)).policy)
        return found


def _sensitive(policy: Policy) -> set[str]:
    return set(policy.sensitive_keys) if isinstance(policy, ClassificationPolicy) else set()
