"""Who asked for a job, as they stand when it runs."""

from __future__ import annotations

from dataclasses import dataclass

from agentmem.errors import OrganizationSuspended, PermissionDenied
from agentmem.features.identity.model import member_named
from agentmem.features.organizations.members import MemberService
from agentmem.foundation.authorization.caller import LOCAL, SERVICE, Caller, local_operator, service_caller
from agentmem.foundation.authorization.roles import ORIGIN_OF_ROLE, ROLES
from agentmem.kit.ids import OrganizationId, PrincipalId
from agentmem.pipelines.admission.standing import roles_of
from agentmem.schemas.organizations import OrganizationStatus


@dataclass(frozen=True, kw_only=True)
class Acting:
    """Authorizes the principals of jobs anew: what a member may do is what its role says now."""

    members: MemberService

    async def authorize(self, organization_id: OrganizationId, principal_id: PrincipalId) -> Caller:
        """Give a principal of an organization as a caller.

        Raises :class:`PermissionDenied` for one that is disabled or gone, :class:`OrganizationSuspended` for one of an
        organization that cannot be used, and :class:`NotFound` when there is no such organization any more.
        """
        if principal_id == SERVICE:
            return service_caller(organization_id)
        if principal_id == LOCAL:
            return local_operator(organization_id)
        member_id = member_named(principal_id)
        standing = await self.members.standing(organization_id, [] if member_id is None else [member_id])
        if standing.status is not OrganizationStatus.ACTIVE:
            raise OrganizationSuspended("The organization is suspended or about to be deleted.")
        role = None if member_id is None else roles_of(standing).get(member_id)
        if role is None:
            raise PermissionDenied(f"{principal_id}, who asked for the job, is no member any more.")
        return Caller(
            organization_id=organization_id,
            principal_id=principal_id,
            origin=ORIGIN_OF_ROLE[role],
            permissions=ROLES[role],
            limits=standing.limits,
        )
