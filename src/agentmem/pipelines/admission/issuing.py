"""Making, changing and ending API keys: with the creator's own standing as the ceiling, and told to every server."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from typing import Final
from uuid import UUID

import structlog

from agentmem.errors import NotFound, PermissionDenied, StateUnavailable
from agentmem.features.identity.model import Ceiling, StoredKey, member_of
from agentmem.features.identity.request_keys.service import RequestKeyService
from agentmem.features.identity.service import ApiKeyService
from agentmem.features.organizations.members import MemberService
from agentmem.features.organizations.model import Standing
from agentmem.foundation.authorization.caller import Binding, Caller, service_caller
from agentmem.foundation.state.port import State
from agentmem.kit.clock import Clock, utc_now
from agentmem.pipelines.admission.admission import REVOKED, Admission
from agentmem.pipelines.admission.standing import roles_of
from agentmem.schemas.access import Permission, Role
from agentmem.schemas.keys import ApiKey, ApiKeyPatch, IssuedKey, NewApiKey
from agentmem.schemas.request_keys import IssuedRequestKey, NewRequestKey, RequestKey

LEAKED: Final = "reported as leaked"
FIRST_MEMBER: Final = "owner"
_NOBODY: Final = UUID(int=0)
_NOTHING: Final = Ceiling(
    creator=_NOBODY,
    rank=Role.VIEWER,
    acts_as=_NOBODY,
    role=Role.VIEWER,
    permissions=frozenset(),
    binding=Binding(),
    networks=(),
    requests_per_minute=None,
    parent_key_id=None,
    depth=0,
    default_days=0,
    most_days=0,
)

log = structlog.get_logger(__name__)


@dataclass(frozen=True, kw_only=True)
class Issuing:
    """Calls on API keys that need more than their own rows: members, limits of days, and the other servers."""

    keys: ApiKeyService
    signers: RequestKeyService
    members: MemberService
    admission: Admission
    state: State
    default_days: int
    clock: Clock = utc_now

    async def create(self, caller: Caller, new: NewApiKey) -> IssuedKey:
        """Make a key that may no more than the caller; its secret is shown this once."""
        return await self.keys.create(caller, new, await self._ceiling(caller, new.member_id))

    async def first(self, caller: Caller, new: NewApiKey) -> IssuedKey | None:
        """Make the organization's first key; ``None`` if it has had one."""
        return await self.keys.create_first(caller, new, await self._ceiling(caller, new.member_id))

    async def update(self, caller: Caller, key_id: str, patch: ApiKeyPatch, if_version: int | None = None) -> ApiKey:
        """Change a key, within what the caller may; every server sees it within a second."""
        ceiling = await self._ceiling(caller, await self._acting(caller, key_id), managing=True)
        changed = await self.keys.update(caller, key_id, patch, if_version, ceiling)
        await self._tell([key_id])
        return changed

    async def rotate(self, caller: Caller, key_id: str, overlap_seconds: int) -> IssuedKey:
        """Make the successor of a key, which ends after the overlap."""
        ceiling = await self._ceiling(caller, await self._acting(caller, key_id))
        issued = await self.keys.rotate(caller, key_id, overlap_seconds, ceiling)
        await self._tell([key_id])
        return issued

    async def revoke(
        self, caller: Caller, key_id: str, reason: str, if_version: int | None = None, *, descendants: bool = False
    ) -> ApiKey:
        """End a key, if asked with all that were made with it; repeating it changes nothing."""
        ceiling = await self._ceiling(caller, await self._acting(caller, key_id), managing=True)
        key, ended = await self.keys.revoke(
            caller, key_id, reason, if_version, descendants=descendants, ceiling=ceiling
        )
        await self._tell(ended)
        return key

    async def add_signer(self, caller: Caller, key_id: str, new: NewRequestKey) -> IssuedRequestKey:
        """Make a key that signs the requests of an API key, within what the caller may."""
        ceiling = await self._ceiling(caller, await self._acting(caller, key_id), managing=True)
        issued = await self.signers.create(caller, key_id, new, ceiling)
        await self._tell([key_id])
        return issued

    async def revoke_signer(self, caller: Caller, key_id: str, request_key_id: str) -> RequestKey:
        """End a key that signs; every server refuses its signatures within a second."""
        ceiling = await self._ceiling(caller, await self._acting(caller, key_id), managing=True)
        ended = await self.signers.revoke(caller, key_id, request_key_id, ceiling)
        await self._tell([key_id])
        return ended

    async def report_leak(self, text: str) -> bool:
        """End a key that was found where it should not be, with all that it can have made; says if it was one of ours.

        Only the whole key is believed. It may have ended before: what whoever found it made with it has not.
        """
        key = await self.admission.recognize(text)
        if key is None:
            return False
        caller = service_caller(key.organization_id)
        _, ended = await self.keys.revoke(caller, key.key_id, LEAKED, descendants=True, ceiling=None)
        await self._tell(ended)
        return True

    async def expire_unused(self, caller: Caller) -> int:
        """Revoke the keys that were not used for as long as the organization says, and count them.

        The key with which an owner could make others stays, if it is the last: nobody is locked out by being away.
        """
        days = (await self.members.standing(caller.organization_id, ())).unused_key_days
        if days is None:
            return 0
        owners = await self.members.owners(caller.organization_id)
        if not await self.keys.unused(caller, days, owners):
            return 0
        ended = await self.keys.revoke_unused(caller, days, owners)
        await self._tell(ended)
        return len(ended)

    async def _acting(self, caller: Caller, key_id: str) -> UUID | None:
        """Give the member that a key of the caller's organization acts as."""
        chain = await self.keys.find(key_id)
        return chain[0].member_id if chain and chain[0].organization_id == caller.organization_id else None

    async def _ceiling(self, caller: Caller, acts_as: UUID | None, *, managing: bool = False) -> Ceiling:
        """Work out the most that a key may be which this caller makes or manages for a member, by default itself.

        Keys of disabled members can be managed; none is made for them.
        """
        if Permission.KEY_WRITE not in caller.permissions:
            return _NOTHING  # The gate refuses this caller, and writes it down.
        chain: Sequence[StoredKey] = () if caller.api_key_id is None else await self.keys.find(caller.api_key_id)
        creator = member_of(caller)
        if creator is None:
            # The local operator is no member: what it makes is made in the name of the first owner or operator.
            creator = await self.members.ensure_owner(caller, FIRST_MEMBER)
        standing = await self.members.standing(caller.organization_id, sorted({creator, acts_as or creator}))
        role_of = partial(_role_of if managing else _enabled_role_of, standing)
        return Ceiling(
            creator=creator,
            rank=role_of(creator),
            acts_as=acts_as or creator,
            role=role_of(acts_as or creator),
            permissions=caller.permissions,
            binding=caller.binding,
            networks=chain[0].networks if chain else (),
            requests_per_minute=chain[0].requests_per_minute if chain else None,
            parent_key_id=caller.api_key_id,
            depth=len(chain),
            default_days=self.default_days,
            most_days=standing.max_key_days,
        )

    async def _tell(self, key_ids: Sequence[str]) -> None:
        """Make this server, and then the others, look the keys up anew."""
        if not key_ids:
            return
        self.admission.forget(list(key_ids))
        try:
            await self.state.publish(REVOKED, " ".join(key_ids))
        except StateUnavailable as error:
            # The others believe what they know for less than a second longer.
            log.warning("revocation_not_told", code=error.code)


def _enabled_role_of(standing: Standing, member_id: UUID) -> Role:
    role = roles_of(standing).get(member_id)
    if role is None and member_id in standing.members:
        raise PermissionDenied(f"The member {member_id} is disabled.", hint="Enable it, or choose another one.")
    return role or _role_of(standing, member_id)


def _role_of(standing: Standing, member_id: UUID) -> Role:
    member = standing.members.get(member_id)
    if member is None:
        raise NotFound(f"There is no member {member_id}.")
    return member.role
