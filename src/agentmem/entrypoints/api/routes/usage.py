"""What an organization uses."""

from __future__ import annotations

from typing import Annotated

from fastapi import Query
from starlette.requests import Request
from starlette.responses import Response

from agentmem.entrypoints.api.access import access
from agentmem.entrypoints.api.answers import answer
from agentmem.entrypoints.api.gate import app_of, caller_of, router
from agentmem.foundation.authorization.caller import Permission
from agentmem.schemas.organizations import OrganizationLimits
from agentmem.schemas.queries import DaysQuery
from agentmem.schemas.usage import UsageReport

usages = router("usage")


@usages.get("/usage", response_model=UsageReport, openapi_extra=access(Permission.USAGE_READ))
async def usage(request: Request, query: Annotated[DaysQuery, Query()]) -> Response:
    """Tell what the organization stores, what it may, and its requests on each day (UTC), at most 366 of them."""
    app, caller = app_of(request), caller_of(request)
    limits = OrganizationLimits(
        memories=caller.limits.memories,
        storage_bytes=caller.limits.storage_bytes,
        requests_per_minute=caller.limits.requests_per_minute,
    )
    days = await app.key_usage.of_organization(caller, *query.span())
    return answer(UsageReport(storage=await app.usage.current(caller), limits=limits, days=list(days)))
