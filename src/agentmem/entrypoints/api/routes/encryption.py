"""The keys by which an organization's data is sealed."""

from __future__ import annotations

from http import HTTPStatus

from starlette.requests import Request
from starlette.responses import Response

from agentmem.entrypoints.api.access import SENSITIVE, access
from agentmem.entrypoints.api.answers import answer
from agentmem.entrypoints.api.gate import address_of, app_of, caller_of, router
from agentmem.foundation.authorization.caller import Permission
from agentmem.schemas.encryption import KeyInventory, MasterKeyName, MasterKeyRotation, MasterKeyState
from agentmem.schemas.jobs import OrderedJob
from agentmem.schemas.views import Items

encryption = router("encryption")


@encryption.get(
    "/admin/keys", response_model=KeyInventory, openapi_extra=access(Permission.ENCRYPTION_READ, cost=100, untimed=True)
)
async def list_encryption_keys(request: Request) -> Response:
    """Say which encryption keys the organization has, and how much each protects."""
    return answer(await app_of(request).custody.rotation.inventory(caller_of(request)))


@encryption.post(
    "/admin/keys/rotate",
    response_model=OrderedJob,
    status_code=HTTPStatus.ACCEPTED,
    openapi_extra=access(Permission.ENCRYPTION_ROTATE, cost=10),
)
async def rotate_data_key(request: Request) -> Response:
    """Seal by a fresh data key from now on, and have a job seal anew what the old one has sealed."""
    job_id = await app_of(request).custody.rotation.rotate_data_key(caller_of(request))
    headers = {"Location": address_of(request, f"/v1/jobs/{job_id}")}
    return answer(OrderedJob(job_id=job_id), HTTPStatus.ACCEPTED, headers=headers)


@encryption.post(
    "/admin/master-keys/rotate",
    response_model=MasterKeyRotation,
    openapi_extra=access(Permission.PLATFORM_MANAGE, cost=10),
)
async def rotate_master_key(request: Request) -> Response:
    """Wrap by a fresh master key from now on; the keys of all organizations are wrapped anew within minutes."""
    return answer(await app_of(request).custody.rotation.rotate_master_key(caller_of(request)))


@encryption.get(
    "/admin/master-keys",
    response_model=Items[MasterKeyState],
    openapi_extra=access(Permission.PLATFORM_MANAGE, cost=100, untimed=True),
)
async def list_master_keys(request: Request) -> Response:
    """Say which master keys there are, and how many keys of organizations each wraps."""
    return answer(Items(items=await app_of(request).custody.master_keys.every(caller_of(request))))


@encryption.post(
    "/admin/master-keys/destroy",
    status_code=HTTPStatus.NO_CONTENT,
    openapi_extra=access(Permission.PLATFORM_MANAGE, cost=100, untimed=True, max_auth_age=SENSITIVE),
)
async def destroy_master_key(request: Request, named: MasterKeyName) -> Response:
    """Have a retired master key destroyed that wraps nothing any more; what only a backup has of it opens no more."""
    await app_of(request).custody.master_keys.destroy(caller_of(request), named.master_key_id)
    return Response(status_code=HTTPStatus.NO_CONTENT)
