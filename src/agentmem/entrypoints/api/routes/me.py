"""Who is asking."""

from __future__ import annotations

from dataclasses import asdict

from starlette.requests import Request
from starlette.responses import Response

from agentmem.entrypoints.api.access import ANY_KEY, access
from agentmem.entrypoints.api.answers import answer
from agentmem.entrypoints.api.gate import admitted_of, app_of, router
from agentmem.foundation.authorization.caller import Permission
from agentmem.schemas.memories import Scope
from agentmem.schemas.organizations import Me, OrganizationLimits

myself = router("me")


@myself.get("/me", response_model=Me, openapi_extra=access(ANY_KEY))
async def me(request: Request) -> Response:
    """Tell who the key acts as, and what it may do.

    `organization` is the organization's name if the key may read it, else its id.
    """
    admitted = admitted_of(request)
    caller, name = admitted.caller, str(admitted.caller.organization_id)
    if Permission.ORGANIZATION_READ in caller.permissions:
        name = await app_of(request).organizations.name(caller)
    return answer(
        Me(
            organization_id=caller.organization_id,
            organization=name,
            principal=caller.principal_id,
            member_id=admitted.member_id,
            role=admitted.role,
            api_key_id=caller.api_key_id,
            permissions=sorted(caller.permissions),
            binding=Scope(**asdict(caller.binding)),
            expires_at=admitted.expires_at,
            limits=OrganizationLimits(**asdict(caller.limits)),
        )
    )
