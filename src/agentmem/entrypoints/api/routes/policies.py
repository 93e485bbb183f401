"""What the caller's organization asks of those who use it, and of what it remembers."""

from __future__ import annotations

from typing import Annotated

from fastapi import Query
from starlette.requests import Request
from starlette.responses import Response

from agentmem.entrypoints.api.access import SENSITIVE, access
from agentmem.entrypoints.api.answers import answer
from agentmem.entrypoints.api.etags import not_modified
from agentmem.entrypoints.api.gate import app_of, caller_of, if_version_of, router
from agentmem.errors import Fault, InvalidInput
from agentmem.foundation.authorization.caller import Permission
from agentmem.pipelines.admission.demanding import require_signable
from agentmem.schemas.policies import NewPolicy, PolicyInForce, PolicyKind
from agentmem.schemas.queries import ForceQuery

policy_routes = router("policies")
PATH = "/organization/policies/{policy_kind}"


@policy_routes.get(PATH, response_model=PolicyInForce, openapi_extra=access(Permission.ORGANIZATION_READ))
async def get_policy(request: Request, policy_kind: PolicyKind) -> Response:
    """Read a policy of the organization, the default where it has not set one."""
    found = await app_of(request).accounts.policies.view(caller_of(request), policy_kind)
    return not_modified(request, found.version) or answer(found, version=found.version)


@policy_routes.put(
    PATH,
    response_model=PolicyInForce,
    openapi_extra=access(Permission.ORGANIZATION_WRITE, if_match=True, max_auth_age=SENSITIVE),
)
async def set_policy(
    request: Request, policy_kind: PolicyKind, new: NewPolicy, query: Annotated[ForceQuery, Query()]
) -> Response:
    """Set a policy of the organization; what is not given is as in the default.

    To demand signatures of whoever makes the change and could send none needs `force`.
    """
    app, caller, policy = app_of(request), caller_of(request), new.policy
    if policy.kind is not policy_kind:
        message = f"is {policy.kind.value}, and the path names {policy_kind.value}"
        raise InvalidInput(
            f"Input is not valid: body.policy.kind: {message}.",
            faults=[Fault(field="body.policy.kind", message=message)],
        )
    if not query.force:
        await require_signable(policy, caller, app.issuing.signers, app.settings.public_url)
    changed = await app.accounts.policies.update(caller, policy, if_version_of(request))
    app.rules.forget(caller.organization_id)
    return answer(changed, version=changed.version)
