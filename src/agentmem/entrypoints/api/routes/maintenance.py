"""Keeping a store healthy."""

from __future__ import annotations

from http import HTTPStatus

from starlette.requests import Request
from starlette.responses import Response

from agentmem.entrypoints.api.access import access
from agentmem.entrypoints.api.answers import answer
from agentmem.entrypoints.api.gate import address_of, app_of, caller_of, router
from agentmem.errors import Fault, InvalidInput
from agentmem.foundation.authorization.caller import Permission
from agentmem.schemas.health import HealthReport, Reembedded, StoreInfo, Vacuumed
from agentmem.schemas.jobs import OrderedJob
from agentmem.schemas.maintenance import DoctorRequest, ReembedRequest, VacuumRequest

maintenance = router("maintenance")


@maintenance.post(
    "/maintenance/doctor",
    response_model=HealthReport,
    openapi_extra=access(Permission.MEMORY_MAINTAIN, cost=100, untimed=True),
)
async def doctor(request: Request, asked: DoctorRequest) -> Response:
    """Prove that every version opens and that the indexes say what the texts say; report, or repair, what is wrong."""
    return answer(await app_of(request).doctor.examine(caller_of(request), repair=asked.repair))


@maintenance.post(
    "/maintenance/vacuum",
    response_model=Vacuumed,
    openapi_extra=access(Permission.MEMORY_MAINTAIN, cost=100, untimed=True),
)
async def vacuum(request: Request, asked: VacuumRequest) -> Response:
    """Remove for good what the organization deleted so many days ago, and tidy its indexes."""
    app = app_of(request)
    days = app.settings.purge_after_days if asked.purge_after_days is None else asked.purge_after_days
    return answer(await app.upkeep.vacuum(caller_of(request), days))


@maintenance.post(
    "/maintenance/reembed",
    response_model=Reembedded,
    responses={202: {"model": OrderedJob, "description": "A job does it in the background."}},
    openapi_extra=access(Permission.MEMORY_MAINTAIN, cost=100, untimed=True),
)
async def reembed(request: Request, asked: ReembedRequest) -> Response:
    """Embed every memory of the organization by the model that the server is set up with, and put it in force.

    A server loads one model for all its organizations, so that no other one can be named. With `background` the answer
    comes at once, and names the job that does it.
    """
    app = app_of(request)
    if asked.model != app.settings.embedding_model:
        message = f"is not the model that the server is set up with, {app.settings.embedding_model}"
        raise InvalidInput(
            f"Input is not valid: body.model: {message}.", faults=[Fault(field="body.model", message=message)]
        )
    if asked.background:
        job_id = await app.upkeep.memories.order_model(caller_of(request), asked.model)
        headers = {"Location": address_of(request, f"/v1/jobs/{job_id}")}
        return answer(OrderedJob(job_id=job_id), HTTPStatus.ACCEPTED, headers=headers)
    return answer(await app.upkeep.change_model(caller_of(request), asked.model))


@maintenance.get("/info", response_model=StoreInfo, openapi_extra=access(Permission.MEMORY_MAINTAIN, cost=2))
async def info(request: Request) -> Response:
    """Describe the organization's store: versions, counts and keys, without any secret.

    What concerns the whole server (its settings, folders and size) is shown to operators alone.
    """
    app, caller = app_of(request), caller_of(request)
    known = await app.information.describe(caller)
    if Permission.PLATFORM_MANAGE not in caller.permissions:
        own = {"organization": await app.organizations.name(caller), "database_bytes": 0, "settings": {}}
        hidden: dict[str, object] = {"data_directory": None, "socket_directory": None, "master_key_ids": []}
        known = known.model_copy(update={**own, **hidden})
    return answer(known)
