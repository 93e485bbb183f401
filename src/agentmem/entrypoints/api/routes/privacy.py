"""What is done about a person: erasing, restricting, holding."""

from __future__ import annotations

from http import HTTPStatus
from typing import Annotated
from uuid import UUID

from fastapi import Query
from starlette.requests import Request
from starlette.responses import Response

from agentmem.entrypoints.api.access import access
from agentmem.entrypoints.api.answers import answer
from agentmem.entrypoints.api.gate import address_of, app_of, caller_of, router
from agentmem.entrypoints.api.lines import streamed
from agentmem.foundation.authorization.caller import Permission
from agentmem.schemas.privacy import Erasure, ErasureRequest, SubjectMarks, SubjectState
from agentmem.schemas.queries import SubjectQuery
from agentmem.schemas.retention import RetentionReport, RetentionRequest

privacy = router("privacy")
SUBJECTS = "/privacy/subjects"


@privacy.post(
    "/privacy/erasures",
    response_model=Erasure,
    status_code=HTTPStatus.ACCEPTED,
    openapi_extra=access(Permission.PRIVACY_MANAGE, cost=10),
)
async def erase_subject(request: Request, asked: ErasureRequest) -> Response:
    """Have everything removed that is stored about a user, in the background, and their key destroyed.

    From now on nothing is written about the user until it is done. One that is under way is answered again.
    """
    erasure = await app_of(request).custody.privacy.erase(caller_of(request), asked.user_id)
    headers = {"Location": address_of(request, f"/v1/privacy/erasures/{erasure.id}")}
    return answer(erasure, HTTPStatus.ACCEPTED, headers=headers)


@privacy.get("/privacy/erasures/{erasure_id}", response_model=Erasure, openapi_extra=access(Permission.PRIVACY_READ))
async def get_erasure(request: Request, erasure_id: UUID) -> Response:
    """Read how far an erasure is, and its certificate once it has finished: what was removed, by store."""
    return answer(await app_of(request).custody.privacy.certificate(caller_of(request), erasure_id))


@privacy.get(SUBJECTS, response_model=SubjectState, openapi_extra=access(Permission.PRIVACY_READ))
async def get_subject(request: Request, query: Annotated[SubjectQuery, Query()]) -> Response:
    """Read whether a user is held or restricted."""
    return answer(await app_of(request).custody.privacy.marks(caller_of(request), query.user_id))


@privacy.post(SUBJECTS, response_model=SubjectState, openapi_extra=access(Permission.PRIVACY_MANAGE))
async def mark_subject(request: Request, marks: SubjectMarks) -> Response:
    """Hold a user, who is then not erased, or restrict one, who is then neither read nor changed; or end that."""
    return answer(await app_of(request).custody.privacy.mark(caller_of(request), marks))


@privacy.get("/privacy/export", openapi_extra=access(Permission.PRIVACY_READ, cost=100, untimed=True))
async def export_subject(request: Request, query: Annotated[SubjectQuery, Query()]) -> Response:
    """Write everything that is stored about a user, one JSON object a line.

    These are their memories with histories and origins, what was derived from them, the agents, runs and apps that they
    name, earlier erasures, and what was done with them by whom. Users under restriction have this right too.
    """
    app, caller = app_of(request), caller_of(request)
    return await streamed(app.disclosure.lines(caller, app.custody.exports.lines(caller, query.user_id)))


@privacy.post(
    "/privacy/retention",
    response_model=RetentionReport,
    responses={202: {"model": RetentionReport, "description": "A job removes it in the background."}},
    openapi_extra=access(Permission.MEMORY_MAINTAIN, cost=20),
)
async def apply_retention(request: Request, asked: RetentionRequest) -> Response:
    """Say what the rules of the policy `retention` would remove now or, without `dry_run`, have a job remove it.

    A server does so by itself every day. Users who are held or restricted are spared.
    """
    report = await app_of(request).custody.retention.report(caller_of(request), dry_run=asked.dry_run)
    if report.job_id is None:
        return answer(report)
    headers = {"Location": address_of(request, f"/v1/jobs/{report.job_id}")}
    return answer(report, HTTPStatus.ACCEPTED, headers=headers)
