"""The caller's own organization, its members and their roles."""

from __future__ import annotations

from http import HTTPStatus
from typing import Annotated
from uuid import UUID

from fastapi import Query
from starlette.requests import Request
from starlette.responses import Response

from agentmem.entrypoints.api.access import ANY_KEY, SENSITIVE, access
from agentmem.entrypoints.api.answers import answer
from agentmem.entrypoints.api.etags import not_modified
from agentmem.entrypoints.api.gate import address_of, app_of, caller_of, if_version_of, router
from agentmem.entrypoints.api.paging import page_answer
from agentmem.foundation.authorization.caller import Permission
from agentmem.foundation.authorization.roles import ROLES
from agentmem.schemas.memories import Page
from agentmem.schemas.organizations import Member, MemberPatch, NewMember, Organization, OrganizationPatch, RoleView
from agentmem.schemas.queries import GraceQuery, PageQuery
from agentmem.schemas.views import Items

organization_routes = router("organization")
member_routes = router("members")


@organization_routes.get(
    "/organization", response_model=Organization, openapi_extra=access(Permission.ORGANIZATION_READ)
)
async def organization(request: Request) -> Response:
    """Read the organization that the key belongs to."""
    found = await app_of(request).organizations.view(caller_of(request))
    return not_modified(request, found.version) or answer(found, version=found.version)


@organization_routes.patch(
    "/organization",
    response_model=Organization,
    openapi_extra=access(Permission.ORGANIZATION_WRITE, if_match=True),
)
async def update_organization(request: Request, patch: OrganizationPatch) -> Response:
    """Change the organization's name and rules; what is not given stays as it is."""
    changed = await app_of(request).organizations.update(caller_of(request), patch, if_version_of(request))
    return answer(changed, version=changed.version)


@organization_routes.delete(
    "/organization",
    response_model=Organization,
    openapi_extra=access(Permission.ORGANIZATION_DELETE, if_match=True, max_auth_age=SENSITIVE),
)
async def delete_organization(request: Request, query: Annotated[GraceQuery, Query()]) -> Response:
    """Delete the organization and all that it holds, once the days of grace are over."""
    app = app_of(request)
    days = app.settings.deletion_grace_days if query.grace_days is None else query.grace_days
    deleting = await app.organizations.schedule_deletion(caller_of(request), days, if_version_of(request))
    return answer(deleting, version=deleting.version)


@organization_routes.post(
    "/organization/restore", response_model=Organization, openapi_extra=access(Permission.ORGANIZATION_DELETE)
)
async def restore_organization(request: Request) -> Response:
    """Take the deletion of the organization back, while its days of grace last."""
    restored = await app_of(request).organizations.cancel_deletion(caller_of(request))
    return answer(restored, version=restored.version)


@member_routes.get("/members", response_model=Page[Member], openapi_extra=access(Permission.MEMBER_READ))
async def list_members(request: Request, query: Annotated[PageQuery, Query()]) -> Response:
    """List the members, a page at a time."""
    return page_answer(request, await app_of(request).members.page(caller_of(request), query.cursor, query.limit))


@member_routes.post(
    "/members",
    response_model=Member,
    status_code=HTTPStatus.CREATED,
    openapi_extra=access(Permission.MEMBER_WRITE, max_auth_age=SENSITIVE),
)
async def create_member(request: Request, new: NewMember) -> Response:
    """Create a member; give it API keys to let it act."""
    created = await app_of(request).members.create(caller_of(request), new)
    headers = {"Location": address_of(request, f"/v1/members/{created.id}")}
    return answer(created, HTTPStatus.CREATED, version=created.version, headers=headers)


@member_routes.get("/members/{member_id}", response_model=Member, openapi_extra=access(Permission.MEMBER_READ))
async def get_member(request: Request, member_id: UUID) -> Response:
    """Read one member."""
    member = await app_of(request).members.get(caller_of(request), member_id)
    return not_modified(request, member.version) or answer(member, version=member.version)


@member_routes.patch(
    "/members/{member_id}",
    response_model=Member,
    openapi_extra=access(Permission.MEMBER_WRITE, if_match=True, max_auth_age=SENSITIVE),
)
async def update_member(request: Request, member_id: UUID, patch: MemberPatch) -> Response:
    """Change a member's name or role, or disable it; its keys follow at once."""
    member = await app_of(request).members.update(caller_of(request), member_id, patch, if_version_of(request))
    return answer(member, version=member.version)


@member_routes.delete(
    "/members/{member_id}",
    response_model=Member,
    openapi_extra=access(Permission.MEMBER_WRITE, if_match=True, max_auth_age=SENSITIVE),
)
async def disable_member(request: Request, member_id: UUID) -> Response:
    """Disable a member: its keys, and the keys it made, stop working."""
    member = await app_of(request).members.disable(caller_of(request), member_id, if_version_of(request))
    return answer(member, version=member.version)


@member_routes.get("/roles", response_model=Items[RoleView], openapi_extra=access(ANY_KEY))
async def roles(request: Request) -> Response:
    """List the roles, and what members of each may do."""
    caller_of(request)
    return answer(Items(items=[RoleView(role=role, permissions=sorted(given)) for role, given in ROLES.items()]))
