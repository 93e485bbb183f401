"""Background jobs of the organization."""

from __future__ import annotations

from typing import Annotated
from uuid import UUID

from fastapi import Query
from starlette.requests import Request
from starlette.responses import Response

from agentmem.entrypoints.api.access import access
from agentmem.entrypoints.api.answers import answer
from agentmem.entrypoints.api.gate import app_of, caller_of, router
from agentmem.entrypoints.api.paging import page_answer
from agentmem.foundation.authorization.caller import Permission
from agentmem.schemas.jobs import JobRecord
from agentmem.schemas.memories import Page
from agentmem.schemas.queries import JobListQuery

job_routes = router("jobs")


@job_routes.get("/jobs", response_model=Page[JobRecord], openapi_extra=access(Permission.JOB_READ))
async def list_jobs(request: Request, query: Annotated[JobListQuery, Query()]) -> Response:
    """List background jobs that meet every given condition, newest first, a page at a time."""
    return page_answer(request, await app_of(request).jobs.page(caller_of(request), query.asked))


@job_routes.get("/jobs/{job_id}", response_model=JobRecord, openapi_extra=access(Permission.JOB_READ))
async def get_job(request: Request, job_id: UUID) -> Response:
    """Read one background job: its state, how far it is, and why it failed if it did."""
    return answer(await app_of(request).jobs.get(caller_of(request), job_id))


@job_routes.post("/jobs/{job_id}/retry", response_model=JobRecord, openapi_extra=access(Permission.JOB_WRITE))
async def retry_job(request: Request, job_id: UUID) -> Response:
    """Have a job done again that failed or was discarded, with all its tries before it."""
    return answer(await app_of(request).jobs.retry(caller_of(request), job_id))


@job_routes.post("/jobs/{job_id}/discard", response_model=JobRecord, openapi_extra=access(Permission.JOB_WRITE))
async def discard_job(request: Request, job_id: UUID) -> Response:
    """Give a job up; one that runs is cut off within some seconds, and what it has stored stays."""
    return answer(await app_of(request).jobs.discard(caller_of(request), job_id))
