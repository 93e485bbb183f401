"""From the rows of a key or a session to what its holder may do now; pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Final
from uuid import UUID

from agentmem.errors import OrganizationSuspended
from agentmem.features.identity.model import (
    StoredKey,
    admits,
    is_sound,
    permissions_of,
    principal_of,
)
from agentmem.features.identity.request_keys.model import StoredRequestKey
from agentmem.features.identity.sessions.model import StoredSession
from agentmem.features.organizations.model import Standing
from agentmem.features.organizations.network_lists import NetworkLists
from agentmem.foundation.authorization.caller import Caller, Permission
from agentmem.foundation.authorization.platform import platform_id
from agentmem.foundation.authorization.roles import ORIGIN_OF_ROLE, ROLES
from agentmem.foundation.encryption.index import IndexKeys
from agentmem.foundation.encryption.keyring import OrganizationKeys
from agentmem.foundation.tokens.access import AccessClaims
from agentmem.kit.networks import Address
from agentmem.pipelines.admission.signatures import Signing
from agentmem.schemas.access import Role
from agentmem.schemas.organizations import OrganizationStatus

_WHILE_DELETING: Final = frozenset({Permission.ORGANIZATION_READ, Permission.ORGANIZATION_DELETE})


@dataclass(frozen=True, kw_only=True, slots=True)
class Holder:
    """Whose a credential is, and what they may do: of an API key or of an access token."""

    role: Role
    caller: Caller
    status: OrganizationStatus
    member_id: UUID
    expires_at: datetime
    networks: NetworkLists
    signing: Signing = field(default_factory=Signing)
    rate: int | None = None
    """A limit of its own on requests a minute."""

    @property
    def charged_as(self) -> str:
        """Whom the quota of one credential is counted for: a key, or a person however many sessions they have."""
        return self.caller.api_key_id or str(self.caller.account_id)

    def require_active(self) -> None:
        """Raise :class:`OrganizationSuspended` unless the organization can be used.

        While it waits for its deletion, those who may delete it may still look at it and take the deletion back.
        """
        if self.status is OrganizationStatus.SUSPENDED or (
            self.status is OrganizationStatus.DELETING and Permission.ORGANIZATION_DELETE not in self.caller.permissions
        ):
            raise OrganizationSuspended(
                "The organization is suspended or about to be deleted.", hint="Ask whoever runs this installation."
            )


@dataclass(frozen=True, kw_only=True, slots=True)
class KeyHolder(Holder):
    """A key that was found, with those above it, and the keys that check its secret."""

    chain: Sequence[StoredKey]
    index: IndexKeys
    secret_mac: bytes = field(repr=False)

    def why_not(self, address: Address, moment: datetime) -> str | None:
        """Say in a word why the key is not good now and from there, if it is not."""
        key = self.chain[0]
        if key.revoked_at is not None:
            return "revoked"
        if not key.is_good_at(moment):
            return "expired"
        return None if admits(self.chain, address) else "network"


@dataclass(frozen=True, kw_only=True, slots=True)
class PersonHolder(Holder):
    """A session that was found."""

    session: StoredSession

    def why_not(self, claims: AccessClaims, moment: datetime) -> str | None:
        """Say in a word why a token of the session is not good now, if it is not."""
        session = self.session
        if session.ended:
            return "ended"
        if not session.is_good_at(moment):
            return "expired"
        named = (claims.account_id, claims.organization_id)
        return None if named == (session.account_id, session.organization_id) else "unknown"


def members_of(chain: Sequence[StoredKey]) -> list[UUID]:
    """Name the members on whom a key depends: the one it acts as, and who made it and the keys above it."""
    return sorted({chain[0].member_id, *(key.created_by for key in chain)})


def roles_of(standing: Standing) -> Mapping[UUID, Role]:
    """Give the roles of the members that are not disabled; operators there are in the platform's organization alone."""
    at_home = standing.organization_id == platform_id()
    return {
        member_id: member.role
        for member_id, member in standing.members.items()
        if member.enabled and (at_home or member.role is not Role.OPERATOR)
    }


def holder_of(
    chain: Sequence[StoredKey], standing: Standing, keys: OrganizationKeys, signers: Sequence[StoredRequestKey]
) -> KeyHolder | None:
    """Work out what a key may do; nobody holds one whose member is disabled, or that stands above its parents."""
    key = chain[0]
    roles = roles_of(standing)
    role = roles.get(key.member_id)
    if role is None or key.created_by not in roles or not is_sound(chain):
        return None
    caller = Caller(
        organization_id=key.organization_id,
        principal_id=principal_of(key.member_id),
        origin=ORIGIN_OF_ROLE[role],
        permissions=_left(permissions_of(chain, roles), standing),
        binding=key.binding,
        limits=standing.limits,
        api_key_id=key.key_id,
        require_if_match=standing.require_if_match,
    )
    opened = {signer.request_key_id: signer.opened(keys.keyring) for signer in signers}
    return KeyHolder(
        chain=chain,
        index=keys.index,
        secret_mac=key.mac(keys.keyring),
        networks=NetworkLists.of(standing.networks),
        signing=Signing(keys=opened, demanded=standing.signing_required),
        role=role,
        caller=caller,
        status=standing.status,
        member_id=key.member_id,
        expires_at=key.expires_at,
        rate=key.requests_per_minute,
    )


def person_of(session: StoredSession, standing: Standing) -> PersonHolder | None:
    """Work out what whoever has signed in may do; nobody whose member is disabled or gone."""
    role = roles_of(standing).get(session.member_id)
    if role is None:
        return None
    caller = Caller(
        organization_id=session.organization_id,
        principal_id=principal_of(session.member_id),
        origin=ORIGIN_OF_ROLE[role],
        permissions=_left(ROLES[role], standing) | {Permission.ACCOUNT_USE},
        limits=standing.limits,
        account_id=session.account_id,
        session_id=session.session_id,
        auth_time=session.authenticated_at,
        amr=session.methods,
        acr=session.level,
        require_if_match=standing.require_if_match,
    )
    return PersonHolder(
        session=session,
        networks=NetworkLists.of(standing.networks),
        role=role,
        caller=caller,
        status=standing.status,
        member_id=session.member_id,
        expires_at=session.expires_at,
    )


def _left(permissions: frozenset[Permission], standing: Standing) -> frozenset[Permission]:
    """Give what is left of permissions while the organization waits for its deletion; else all of them."""
    return permissions & _WHILE_DELETING if standing.status is OrganizationStatus.DELETING else permissions
