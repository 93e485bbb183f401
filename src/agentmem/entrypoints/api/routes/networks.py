"""Networks that requests may come from, or may not: of the organization, and of the installation."""

from __future__ import annotations

from http import HTTPStatus
from typing import Annotated
from uuid import UUID

from fastapi import Query
from starlette.requests import Request
from starlette.responses import Response

from agentmem.entrypoints.api.access import SENSITIVE, access
from agentmem.entrypoints.api.answers import answer, nothing
from agentmem.entrypoints.api.context import context_of
from agentmem.entrypoints.api.gate import address_of, app_of, caller_of, router
from agentmem.entrypoints.api.paging import page_answer
from agentmem.foundation.authorization.caller import Permission
from agentmem.kit.networks import Address
from agentmem.schemas.memories import Page
from agentmem.schemas.networks import NetworkRule, NewNetworkRule
from agentmem.schemas.queries import ForceQuery, PageQuery

network_routes = router("networks")
OWN, ALL = "/organization/networks", "/admin/networks"
READ, MANAGE = Permission.ORGANIZATION_READ, Permission.PLATFORM_MANAGE
CHANGE_OWN = access(Permission.ORGANIZATION_WRITE, max_auth_age=SENSITIVE)
CHANGE_ALL = access(MANAGE, max_auth_age=SENSITIVE)


@network_routes.get(OWN, response_model=Page[NetworkRule], openapi_extra=access(READ))
async def list_networks(request: Request, query: Annotated[PageQuery, Query()]) -> Response:
    """List the networks that the organization's keys may be used from, and those they may not, a page at a time."""
    page = await app_of(request).networks.page(caller_of(request), query.cursor, query.limit)
    return page_answer(request, page)


@network_routes.post(OWN, response_model=NetworkRule, status_code=HTTPStatus.CREATED, openapi_extra=CHANGE_OWN)
async def add_network(request: Request, new: NewNetworkRule, query: Annotated[ForceQuery, Query()]) -> Response:
    """Allow or deny a network; a change that locks out whoever makes it needs `force`."""
    rule = await app_of(request).networks.add(caller_of(request), new, _author(request, query))
    return answer(rule, HTTPStatus.CREATED, headers={"Location": address_of(request, f"/v1{OWN}/{rule.id}")})


@network_routes.delete(f"{OWN}/{{rule_id}}", status_code=HTTPStatus.NO_CONTENT, openapi_extra=CHANGE_OWN)
async def remove_network(request: Request, rule_id: UUID, query: Annotated[ForceQuery, Query()]) -> Response:
    """Take a network off its list; a change that locks out whoever makes it needs `force`."""
    await app_of(request).networks.remove(caller_of(request), rule_id, _author(request, query))
    return nothing()


@network_routes.get(ALL, response_model=Page[NetworkRule], openapi_extra=access(MANAGE))
async def list_installation_networks(request: Request, query: Annotated[PageQuery, Query()]) -> Response:
    """List the networks that the installation may be asked from, and those it may not, a page at a time."""
    page = await app_of(request).networks.page_installation(caller_of(request), query.cursor, query.limit)
    return page_answer(request, page)


@network_routes.post(ALL, response_model=NetworkRule, status_code=HTTPStatus.CREATED, openapi_extra=CHANGE_ALL)
async def add_installation_network(
    request: Request, new: NewNetworkRule, query: Annotated[ForceQuery, Query()]
) -> Response:
    """Allow or deny a network for the whole installation, within a second on every server."""
    rule = await app_of(request).networks.add_installation(caller_of(request), new, _author(request, query))
    return answer(rule, HTTPStatus.CREATED, headers={"Location": address_of(request, f"/v1{ALL}/{rule.id}")})


@network_routes.delete(f"{ALL}/{{rule_id}}", status_code=HTTPStatus.NO_CONTENT, openapi_extra=CHANGE_ALL)
async def remove_installation_network(
    request: Request, rule_id: UUID, query: Annotated[ForceQuery, Query()]
) -> Response:
    """Take a network off its list of the installation."""
    await app_of(request).networks.remove_installation(caller_of(request), rule_id, _author(request, query))
    return nothing()


def _author(request: Request, query: ForceQuery) -> Address | None:
    """Give the address that a change must not lock out; none where it is forced."""
    return None if query.force else context_of(request.scope).address
