"""Webhooks, and what was sent to them."""

from __future__ import annotations

from http import HTTPStatus
from typing import Annotated
from uuid import UUID

from fastapi import Query
from starlette.requests import Request
from starlette.responses import Response

from agentmem.entrypoints.api.access import access
from agentmem.entrypoints.api.answers import answer, nothing
from agentmem.entrypoints.api.etags import not_modified
from agentmem.entrypoints.api.gate import address_of, app_of, caller_of, if_version_of, router
from agentmem.entrypoints.api.paging import page_answer
from agentmem.foundation.authorization.caller import Permission
from agentmem.schemas.memories import Page
from agentmem.schemas.queries import PageQuery
from agentmem.schemas.webhooks import Delivery, IssuedWebhook, KeyRotation, NewWebhook, Webhook, WebhookPatch

webhook_routes = router("webhooks")
OF_ONE = "/webhooks/{webhook_id}"
READ, WRITE = Permission.WEBHOOK_READ, Permission.WEBHOOK_WRITE


@webhook_routes.get("/webhooks", response_model=Page[Webhook], openapi_extra=access(READ))
async def list_webhooks(request: Request, query: Annotated[PageQuery, Query()]) -> Response:
    """List the organization's webhooks, a page at a time."""
    page = await app_of(request).events.webhooks.page(caller_of(request), query.cursor, query.limit)
    return page_answer(request, page)


@webhook_routes.post(
    "/webhooks",
    response_model=IssuedWebhook,
    status_code=HTTPStatus.CREATED,
    openapi_extra=access(WRITE, secret=True),
)
async def create_webhook(request: Request, new: NewWebhook) -> Response:
    """Have events sent to an address; the key that signs them is shown this once."""
    issued = await app_of(request).events.webhooks.create(caller_of(request), new)
    headers = {"Location": address_of(request, f"/v1/webhooks/{issued.webhook.id}")}
    return answer(issued, HTTPStatus.CREATED, version=issued.webhook.version, headers=headers)


@webhook_routes.get(OF_ONE, response_model=Webhook, openapi_extra=access(READ))
async def get_webhook(request: Request, webhook_id: UUID) -> Response:
    """Read one webhook, without its signing key."""
    found = await app_of(request).events.webhooks.get(caller_of(request), webhook_id)
    return not_modified(request, found.version) or answer(found, version=found.version)


@webhook_routes.patch(OF_ONE, response_model=Webhook, openapi_extra=access(WRITE, if_match=True))
async def update_webhook(request: Request, webhook_id: UUID, patch: WebhookPatch) -> Response:
    """Change a webhook's address, types or description, disable it, or enable it again."""
    changed = await app_of(request).events.webhooks.update(
        caller_of(request), webhook_id, patch, if_version_of(request)
    )
    return answer(changed, version=changed.version)


@webhook_routes.delete(OF_ONE, status_code=HTTPStatus.NO_CONTENT, openapi_extra=access(WRITE, if_match=True))
async def delete_webhook(request: Request, webhook_id: UUID) -> Response:
    """Delete a webhook, and the log of what was sent to it."""
    await app_of(request).events.webhooks.delete(caller_of(request), webhook_id, if_version_of(request))
    return nothing()


@webhook_routes.post(
    f"{OF_ONE}/rotate",
    response_model=IssuedWebhook,
    status_code=HTTPStatus.CREATED,
    openapi_extra=access(WRITE, secret=True),
)
async def rotate_webhook_key(request: Request, webhook_id: UUID, rotation: KeyRotation) -> Response:
    """Make a new signing key, shown this once; the old one signs beside it for the overlap, at most seven days."""
    issued = await app_of(request).events.webhooks.rotate(caller_of(request), webhook_id, rotation.overlap_seconds)
    headers = {"Location": address_of(request, f"/v1/webhooks/{webhook_id}")}
    return answer(issued, HTTPStatus.CREATED, version=issued.webhook.version, headers=headers)


@webhook_routes.post(
    f"{OF_ONE}/test", response_model=Delivery, status_code=HTTPStatus.ACCEPTED, openapi_extra=access(WRITE)
)
async def test_webhook(request: Request, webhook_id: UUID) -> Response:
    """Have a `ping` sent to a webhook; the log of its deliveries shows what became of it."""
    return answer(await app_of(request).events.webhooks.test(caller_of(request), webhook_id), HTTPStatus.ACCEPTED)


@webhook_routes.get(f"{OF_ONE}/deliveries", response_model=Page[Delivery], openapi_extra=access(READ))
async def list_deliveries(request: Request, webhook_id: UUID, query: Annotated[PageQuery, Query()]) -> Response:
    """List what was sent to a webhook, the newest first, with each attempt."""
    page = await app_of(request).events.webhooks.deliveries(caller_of(request), webhook_id, query.cursor, query.limit)
    return page_answer(request, page)


@webhook_routes.post(
    f"{OF_ONE}/deliveries/{{delivery_id}}/replay",
    response_model=Delivery,
    status_code=HTTPStatus.ACCEPTED,
    openapi_extra=access(WRITE),
)
async def replay_delivery(request: Request, webhook_id: UUID, delivery_id: UUID) -> Response:
    """Send a message once more, under the same id."""
    delivery = await app_of(request).events.webhooks.replay(caller_of(request), webhook_id, delivery_id)
    return answer(delivery, HTTPStatus.ACCEPTED)
