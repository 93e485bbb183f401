"""What operators of the platform do with organizations."""

from __future__ import annotations

from dataclasses import replace
from http import HTTPStatus
from typing import Annotated
from uuid import UUID

from fastapi import Query
from starlette.requests import Request
from starlette.responses import Response

from agentmem.entrypoints.api.access import SENSITIVE, access
from agentmem.entrypoints.api.answers import answer
from agentmem.entrypoints.api.etags import not_modified
from agentmem.entrypoints.api.gate import address_of, app_of, caller_of, if_version_of, router
from agentmem.entrypoints.api.idempotency import begun_of
from agentmem.entrypoints.api.paging import page_answer
from agentmem.errors import Conflict
from agentmem.features.organizations.model import founding_caller
from agentmem.foundation.authorization.caller import Permission
from agentmem.kit.ids import OrganizationId
from agentmem.pipelines.admission.first_start import first_key, first_key_again
from agentmem.schemas.instances import Instance
from agentmem.schemas.memories import Page
from agentmem.schemas.organizations import NewOrganization, Organization, OrganizationLimits, Suspension
from agentmem.schemas.queries import GraceQuery, PageQuery
from agentmem.schemas.views import CreatedOrganization, Items

platform = router("platform")
OF_ALL = "/platform/organizations"
OF_ONE = "/platform/organizations/{organization_id}"


@platform.get(OF_ALL, response_model=Page[Organization], openapi_extra=access(Permission.PLATFORM_MANAGE))
async def list_organizations(request: Request, query: Annotated[PageQuery, Query()]) -> Response:
    """List all organizations, a page at a time."""
    return page_answer(request, await app_of(request).platform.list(caller_of(request), query.cursor, query.limit))


@platform.post(
    OF_ALL,
    response_model=CreatedOrganization,
    status_code=HTTPStatus.CREATED,
    openapi_extra=access(Permission.PLATFORM_MANAGE, cost=10, secret=True, resumable=True),
)
async def create_organization(request: Request, new: NewOrganization) -> Response:
    """Create an organization with its owner, whose first API key is shown this once.

    A request that was cut off is finished by sending it again with the same `Idempotency-Key`.
    """
    app, caller, begun = app_of(request), caller_of(request), begun_of(request)
    created = await app.platform.create(caller, new, None if begun is None else begun.made_id)
    target = founding_caller(replace(caller, organization_id=OrganizationId(created.id)))
    again = begun is not None and begun.resumed
    issued = await (first_key_again if again else first_key)(app.issuing, target)
    if issued is None:
        raise Conflict("The organization has had its first key.")
    view = CreatedOrganization(organization=created, key=issued.key, api_key=issued.api_key)
    headers = {"Location": address_of(request, f"/v1/platform/organizations/{created.id}")}
    return answer(view, HTTPStatus.CREATED, version=created.version, headers=headers)


@platform.get(OF_ONE, response_model=Organization, openapi_extra=access(Permission.PLATFORM_MANAGE))
async def get_organization(request: Request, organization_id: UUID) -> Response:
    """Read one organization."""
    found = await app_of(request).platform.view(caller_of(request), OrganizationId(organization_id))
    return not_modified(request, found.version) or answer(found, version=found.version)


@platform.patch(OF_ONE, response_model=Organization, openapi_extra=access(Permission.PLATFORM_MANAGE, if_match=True))
async def limit_organization(request: Request, organization_id: UUID, limits: OrganizationLimits) -> Response:
    """Set what an organization may use; a limit that is not given is none."""
    changed = await app_of(request).platform.set_limits(
        caller_of(request), OrganizationId(organization_id), limits, if_version_of(request)
    )
    return answer(changed, version=changed.version)


@platform.post(
    f"{OF_ONE}/suspend",
    response_model=Organization,
    openapi_extra=access(Permission.PLATFORM_MANAGE, max_auth_age=SENSITIVE),
)
async def suspend_organization(request: Request, organization_id: UUID, why: Suspension) -> Response:
    """Take an organization out of use; its keys are refused within a second."""
    changed = await app_of(request).platform.suspend(caller_of(request), OrganizationId(organization_id), why.reason)
    return answer(changed, version=changed.version)


@platform.post(f"{OF_ONE}/resume", response_model=Organization, openapi_extra=access(Permission.PLATFORM_MANAGE))
async def resume_organization(request: Request, organization_id: UUID) -> Response:
    """Put a suspended organization back into use."""
    changed = await app_of(request).platform.resume(caller_of(request), OrganizationId(organization_id))
    return answer(changed, version=changed.version)


@platform.delete(
    OF_ONE,
    response_model=Organization,
    openapi_extra=access(Permission.PLATFORM_MANAGE, if_match=True, max_auth_age=SENSITIVE),
)
async def erase_organization(
    request: Request, organization_id: UUID, query: Annotated[GraceQuery, Query()]
) -> Response:
    """Take an organization out of use now, and have it erased once the days of grace are over."""
    app = app_of(request)
    days = app.settings.deletion_grace_days if query.grace_days is None else query.grace_days
    changed = await app.platform.delete(
        caller_of(request), OrganizationId(organization_id), days, if_version_of(request)
    )
    return answer(changed, version=changed.version)


@platform.post(f"{OF_ONE}/restore", response_model=Organization, openapi_extra=access(Permission.PLATFORM_MANAGE))
async def revive_organization(request: Request, organization_id: UUID) -> Response:
    """Take the deletion of an organization back, while its days of grace last."""
    changed = await app_of(request).platform.restore(caller_of(request), OrganizationId(organization_id))
    return answer(changed, version=changed.version)


@platform.get("/admin/instances", response_model=Items[Instance], openapi_extra=access(Permission.PLATFORM_MANAGE))
async def list_instances(request: Request) -> Response:
    """List the processes of the installation: servers and workers, with their versions, and which of them are alive."""
    return answer(Items(items=list(await app_of(request).instances.list(caller_of(request)))))
