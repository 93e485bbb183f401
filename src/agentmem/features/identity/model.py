"""API keys as values, and the rules that keep each below the one who made it; pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from itertools import pairwise
from typing import Final
from uuid import UUID

from agentmem.errors import Conflict, Fault, InvalidInput, PermissionDenied
from agentmem.foundation.authorization.caller import BOUND_PERMISSIONS, Binding, Caller
from agentmem.foundation.authorization.roles import ROLES
from agentmem.foundation.encryption.seal import Keyring
from agentmem.kit.base62 import decode_base62
from agentmem.kit.ids import OrganizationId, PrincipalId
from agentmem.kit.networks import Address, Network, all_within, holds, parse_network
from agentmem.schemas.access import Permission, Role
from agentmem.schemas.keys import ApiKey, NewApiKey
from agentmem.schemas.memories import Scope

LONGEST_CHAIN: Final = 8
"""Keys from one to the first that had no parent; a longer chain is never made, and never believed."""
SEALED_MAC_VERSION: Final = 2
"""Of a MAC that is sealed; 1 is in clear, as keys have it that were made before."""
SEALED_MAC: Final = ("api_keys", "sealed_mac")
"""Where the MAC of a secret is sealed: by the data key, which is its pepper and is rotated."""
_MEMBER: Final = "member:"


@dataclass(frozen=True, kw_only=True, slots=True)
class StoredKey:
    """What authentication needs of a key's row."""

    organization_id: OrganizationId
    key_id: str
    member_id: UUID
    created_by: UUID
    parent_key_id: str | None
    secret_mac: bytes = field(repr=False)
    """In clear, of a key from before MACs were sealed; empty where ``sealed_mac`` is."""
    sealed_mac: bytes | None = field(default=None, repr=False)
    scopes: frozenset[Permission]
    binding: Binding
    networks: tuple[Network, ...]
    requests_per_minute: int | None
    expires_at: datetime
    revoked_at: datetime | None

    def mac(self, keyring: Keyring) -> bytes:
        """Give the MAC of the secret; raises :class:`DecryptionFailed` if it was sealed for another row."""
        if self.sealed_mac is None:
            return self.secret_mac
        return keyring.opener(*SEALED_MAC)(key_number(self.key_id), 1, self.sealed_mac)

    def is_good_at(self, moment: datetime) -> bool:
        """Tell whether the key itself is neither revoked nor expired."""
        return self.revoked_at is None and moment < self.expires_at


@dataclass(frozen=True, kw_only=True, slots=True)
class Ceiling:
    """The most that a new or changed key may be: what the one who makes it is.

    ``creator`` is the member who makes it, of the role ``rank``, and ``parent_key_id`` the key it uses; ``depth``
    counts the keys from that one up. ``acts_as`` is the member for whom the key acts, with its ``role``. Days are the
    default and the maximum of the organization.
    """

    creator: UUID
    rank: Role
    acts_as: UUID
    role: Role
    permissions: frozenset[Permission]
    binding: Binding
    networks: tuple[Network, ...]
    requests_per_minute: int | None
    parent_key_id: str | None
    depth: int
    default_days: int
    most_days: int


@dataclass(frozen=True, kw_only=True, slots=True)
class Terms:
    """Everything about a key but its id and its secret."""

    name: str
    member_id: UUID
    created_by: UUID
    parent_key_id: str | None
    made_with: str | None
    """The key that was used to make it: for a successor whoever rotated, and not its parent."""
    rotated_from: str | None
    scopes: frozenset[Permission]
    binding: Binding
    networks: tuple[Network, ...]
    requests_per_minute: int | None
    life: timedelta


def principal_of(member_id: UUID) -> PrincipalId:
    """Give the name under which a member acts."""
    return PrincipalId(f"{_MEMBER}{member_id}")


def member_named(principal_id: PrincipalId) -> UUID | None:
    """Give the member that acts under a name; the local operator and the service are none."""
    return UUID(principal_id.removeprefix(_MEMBER)) if principal_id.startswith(_MEMBER) else None


def member_of(caller: Caller) -> UUID | None:
    """Give the member that a caller acts as, if it is one."""
    return member_named(caller.principal_id)


def key_number(key_id: str) -> UUID:
    """Give the id of a key as audit entries name it: its base 62 digits as a number."""
    return UUID(int=decode_base62(key_id))


def permissions_of(chain: Sequence[StoredKey], roles: Mapping[UUID, Role]) -> frozenset[Permission]:
    """Give what a key may do now: never more than its member, its creators, and every key above it.

    ``chain`` is the key and its parents, in this order; ``roles`` are those of the members that are not disabled. A key
    above that has expired or was revoked still bounds by its scopes: it ends no other key by its own end.
    """
    key = chain[0]
    allowed = _of_role(roles, key.member_id)
    for link in chain:
        allowed &= link.scopes & _of_role(roles, link.created_by)
    return allowed if key.binding.is_empty else allowed & BOUND_PERMISSIONS


def is_sound(chain: Sequence[StoredKey]) -> bool:
    """Tell whether a chain is whole, and each key of it is bound at least as closely as the one above."""
    return chain[-1].parent_key_id is None and all(
        inner.binding.within(outer.binding) and inner.parent_key_id == outer.key_id for inner, outer in pairwise(chain)
    )


def admits(chain: Iterable[StoredKey], address: Address) -> bool:
    """Tell whether a key and all above it may be used from an address; no networks means from anywhere."""
    return all(not key.networks or holds(key.networks, address) for key in chain)


def terms_of_new(new: NewApiKey, ceiling: Ceiling) -> Terms:
    """Give what a new key will be.

    Raises :class:`PermissionDenied` for more than its creator is, :class:`InvalidInput` for what makes no sense.
    """
    require_rank(ceiling)
    if ceiling.depth >= LONGEST_CHAIN:
        raise Conflict(
            f"The key is the {LONGEST_CHAIN}th in a row of keys that made each other.",
            hint="Create the new key with one that stands nearer to the first.",
        )
    binding = binding_of(new.binding)
    if not binding.within(ceiling.binding):
        raise PermissionDenied("The key's binding reaches memories that its creator does not.")
    return Terms(
        name=new.name,
        member_id=ceiling.acts_as,
        created_by=ceiling.creator,
        parent_key_id=ceiling.parent_key_id,
        made_with=ceiling.parent_key_id,
        rotated_from=None,
        scopes=choose_scopes(new.scopes, binding, ceiling),
        binding=binding,
        networks=choose_networks(new.networks, ceiling),
        requests_per_minute=choose_rate(new.requests_per_minute, ceiling),
        life=timedelta(days=choose_days(new.expires_in_days, ceiling)),
    )


def terms_of_successor(key: ApiKey, ceiling: Ceiling) -> Terms:
    """Give what the successor of a key will be: the same, below the same keys, for as long again.

    Raises :class:`PermissionDenied` for a key that may more than the one who rotates it, and so would gain by it.
    """
    require_rank(ceiling)
    binding = binding_of(key.binding)
    require_held(key.scopes, ceiling)
    if not binding.within(ceiling.binding):
        raise PermissionDenied("The key reaches memories that the one who rotates it does not.")
    return Terms(
        name=key.name,
        member_id=key.member_id,
        created_by=key.created_by,
        parent_key_id=key.parent_key_id,
        made_with=ceiling.parent_key_id,
        rotated_from=key.id,
        scopes=frozenset(key.scopes),
        binding=binding,
        networks=choose_networks(key.networks, ceiling),
        requests_per_minute=choose_rate(key.requests_per_minute, ceiling),
        life=min(key.expires_at - key.created_at, timedelta(days=ceiling.most_days)),
    )


def binding_of(scope: Scope) -> Binding:
    """Give the binding that a scope describes."""
    return Binding(user_id=scope.user_id, agent_id=scope.agent_id, run_id=scope.run_id, app_id=scope.app_id)


def choose_scopes(wanted: Iterable[Permission] | None, binding: Binding, ceiling: Ceiling) -> frozenset[Permission]:
    """Give the scopes of a new key: those asked for, or all that its creator and its member may do."""
    of_role = ROLES[ceiling.role]
    possible = of_role if binding.is_empty else of_role & BOUND_PERMISSIONS
    if wanted is None:
        scopes = ceiling.permissions & possible
    else:
        scopes = frozenset(wanted)
        require_held(scopes, ceiling)
        if impossible := scopes - possible:
            bound = "" if binding.is_empty else " with a binding"
            raise _invalid("scopes", f"a key of the role {ceiling.role.value}{bound} cannot have {_names(impossible)}")
    if not scopes:
        raise PermissionDenied("The key would have no permission at all.", hint="Ask for another member or binding.")
    return scopes


def require_held(scopes: Iterable[Permission], ceiling: Ceiling) -> None:
    """Raise :class:`PermissionDenied` for scopes that the creator does not have."""
    if beyond := frozenset(scopes) - ceiling.permissions:
        raise PermissionDenied(
            f"A key cannot be given more than its creator has: {_names(beyond)}.",
            hint="Leave these scopes out, or let somebody create the key who has them.",
        )


def choose_networks(wanted: Sequence[str], ceiling: Ceiling) -> tuple[Network, ...]:
    """Read the networks of a key; none means those of its creator's key.

    Raises :class:`InvalidInput` for what is no network, :class:`PermissionDenied` for more than the creator's key has.
    """
    networks = tuple(dict.fromkeys(_network(index, text) for index, text in enumerate(wanted)))
    if not networks:
        return ceiling.networks
    if ceiling.networks and not all_within(networks, ceiling.networks):
        raise PermissionDenied("The key's networks reach beyond those of the key that creates it.")
    return networks


def choose_rate(wanted: int | None, ceiling: Ceiling) -> int | None:
    """Give the rate limit of a key; raises :class:`PermissionDenied` when it is above the creator's key's."""
    most = ceiling.requests_per_minute
    if wanted is None or most is None:
        return most if wanted is None else wanted
    if wanted > most:
        raise PermissionDenied(f"The key that creates this one may send {most} requests a minute itself.")
    return wanted


def choose_days(wanted: int | None, ceiling: Ceiling) -> int:
    """Give the days until a new key expires; raises :class:`PermissionDenied` beyond the organization's maximum."""
    if wanted is None:
        return min(ceiling.default_days, ceiling.most_days)
    if wanted > ceiling.most_days:
        raise PermissionDenied(
            f"expires_in_days is {wanted}, and the organization allows {ceiling.most_days} days at most."
        )
    return wanted


def require_rank(ceiling: Ceiling) -> None:
    """Raise :class:`PermissionDenied` when a key acts as somebody who may more than whoever makes or manages it."""
    if not ROLES[ceiling.role] <= ROLES[ceiling.rank]:
        raise PermissionDenied(
            f"The role {ceiling.rank.value} neither makes nor manages keys that act as {ceiling.role.value}.",
            hint=f"Ask somebody of the role {ceiling.role.value}.",
        )


def require_managed(chain: Sequence[StoredKey], ceiling: Ceiling) -> None:
    """Raise :class:`PermissionDenied` for a key that may more than whoever changes or ends it.

    ``chain`` is the key and its parents: what it may do by their scopes counts, and not what is written in its own.
    """
    require_rank(ceiling)
    reach = frozenset.intersection(ROLES[ceiling.role], *(key.scopes for key in chain))
    if beyond := (reach if chain[0].binding.is_empty else reach & BOUND_PERMISSIONS) - ceiling.permissions:
        raise PermissionDenied(
            f"The key may do more than whoever manages it: {_names(beyond)}.",
            hint="Ask somebody who has these permissions.",
        )


def _of_role(roles: Mapping[UUID, Role], member_id: UUID) -> frozenset[Permission]:
    role = roles.get(member_id)
    return frozenset() if role is None else ROLES[role]


def _network(index: int, text: str) -> Network:
    try:
        return parse_network(text)
    except ValueError as error:
        raise _invalid(f"networks.{index}", str(error)) from None


def _invalid(name: str, message: str) -> InvalidInput:
    return InvalidInput(f"Input is not valid: {name}: {message}.", faults=[Fault(field=name, message=message)])


def _names(permissions: Iterable[Permission]) -> str:
    return ", ".join(sorted(permission.value for permission in permissions))
