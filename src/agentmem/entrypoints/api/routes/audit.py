"""The audit trail."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Annotated, Final
from uuid import UUID

from fastapi import Query
from starlette.requests import Request
from starlette.responses import Response

from agentmem.bootstrap import App
from agentmem.entrypoints.api.access import access
from agentmem.entrypoints.api.answers import answer
from agentmem.entrypoints.api.gate import app_of, caller_of, router
from agentmem.entrypoints.api.lines import MEDIA_TYPE, streamed
from agentmem.entrypoints.api.paging import page_answer
from agentmem.features.audit.formats import line_of
from agentmem.foundation.authorization.caller import Caller, Permission
from agentmem.schemas.audit import AuditEntry, AuditFormat, AuditVerification
from agentmem.schemas.memories import Page
from agentmem.schemas.queries import AuditExportQuery, AuditHeadQuery, AuditListQuery

audit = router("audit")
EXPORTED_AT_ONCE: Final = 1000


@audit.get("/audit", response_model=Page[AuditEntry], openapi_extra=access(Permission.AUDIT_READ))
async def audit_entries(request: Request, query: Annotated[AuditListQuery, Query()]) -> Response:
    """List audit entries that meet every given condition, oldest first, a page at a time."""
    return page_answer(request, await app_of(request).audit.page(caller_of(request), query.asked))


@audit.get("/audit/export", openapi_extra=access(Permission.AUDIT_READ, cost=20, untimed=True))
async def export_audit(request: Request, query: Annotated[AuditExportQuery, Query()]) -> Response:
    """Write the whole audit trail, an entry a line: as JSON, in CEF, or as JSON of OCSF."""
    media_type = "text/plain" if query.format is AuditFormat.CEF else MEDIA_TYPE
    return await streamed(_lines(app_of(request), caller_of(request), query.format), media_type)


@audit.post(
    "/audit/verify",
    response_model=AuditVerification,
    openapi_extra=access(Permission.AUDIT_VERIFY, cost=20, untimed=True),
)
async def verify_audit(request: Request, query: Annotated[AuditHeadQuery, Query()]) -> Response:
    """Check that no sealed entry of the audit trail was changed, removed or put in later.

    `seal` and `digest` are the `head` of an earlier answer: with them it is also checked that nothing up to it was cut
    off at the end.
    """
    return answer(await app_of(request).audit.verify(caller_of(request), query.head))


async def _lines(app: App, caller: Caller, form: AuditFormat) -> AsyncIterator[str]:
    after: UUID | None = None
    while entries := await app.audit.read(caller, after, EXPORTED_AT_ONCE):
        for entry in entries:
            yield line_of(entry, caller.organization_id, form)
        after = entries[-1].id
