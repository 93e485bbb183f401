"""An example of each operation on API keys, called with what belongs to somebody else."""

from __future__ import annotations

from datetime import UTC, date, datetime

from agentmem.features.identity.federation.model import Identity
from agentmem.features.identity.model import Ceiling
from agentmem.foundation.authorization.caller import Binding, Permission
from agentmem.kit.ids import AccountId
from agentmem.schemas.access import Role
from agentmem.schemas.keys import ApiKeyPatch, NewApiKey
from agentmem.schemas.request_keys import NewRequestKey
from tests.support.foreign import Call, Foreign


def _ceiling(foreign: Foreign) -> Ceiling:
    """The ceiling of somebody who may do everything, in the name of a member of somebody else."""
    return Ceiling(
        creator=foreign.member_id,
        rank=Role.OWNER,
        acts_as=foreign.member_id,
        role=Role.OWNER,
        permissions=frozenset(Permission),
        binding=Binding(),
        networks=(),
        requests_per_minute=None,
        parent_key_id=None,
        depth=0,
        default_days=90,
        most_days=365,
    )


_SINCE, _UNTIL = date(2000, 1, 1), datetime.now(UTC).date()
_IDENTITY = Identity(issuer="https://provider.example", subject="somebody")
_NEW = NewApiKey(name="new")

CALLS: dict[str, Call] = {
    "ApiKeyService.create": lambda s, c, f: s.create(c, _NEW, _ceiling(f)),
    "ApiKeyService.create_first": lambda s, c, f: s.create_first(c, _NEW, _ceiling(f)),
    "ApiKeyService.seal_macs": lambda s, c, f: s.seal_macs(c, 100),
    "ApiKeyService.page": lambda s, c, f: s.page(c, None, 100),
    "ApiKeyService.get": lambda s, c, f: s.get(c, f.key_id),
    "ApiKeyService.update": lambda s, c, f: s.update(c, f.key_id, ApiKeyPatch(name="renamed"), None, _ceiling(f)),
    "ApiKeyService.rotate": lambda s, c, f: s.rotate(c, f.key_id, 60, _ceiling(f)),
    "ApiKeyService.revoke": lambda s, c, f: s.revoke(c, f.key_id, "a test", descendants=True, ceiling=_ceiling(f)),
    "ApiKeyService.unused": lambda s, c, f: s.unused(c, 0, []),
    "ApiKeyService.revoke_unused": lambda s, c, f: s.revoke_unused(c, 0, []),
    "FederationService.set_secret": lambda s, c, f: s.set_secret(c, "a secret"),
    "FederationService.secret": lambda s, c, f: s.secret(c),
    "FederationService.account_of": lambda s, c, f: s.account_of(c, _IDENTITY),
    "FederationService.link": lambda s, c, f: s.link(c, _IDENTITY, AccountId(f.member_id)),
    "RequestKeyService.create": lambda s, c, f: s.create(c, f.key_id, NewRequestKey(name="new"), _ceiling(f)),
    "RequestKeyService.list": lambda s, c, f: s.list(c, f.key_id),
    "RequestKeyService.revoke": lambda s, c, f: s.revoke(c, f.key_id, f.request_key_id, _ceiling(f)),
    "KeyUsage.of_key": lambda s, c, f: s.of_key(c, f.key_id, _SINCE, _UNTIL),
    "KeyUsage.of_organization": lambda s, c, f: s.of_organization(c, _SINCE, _UNTIL),
}

NOT_FOUND = frozenset(
    {
        "ApiKeyService.create",
        "ApiKeyService.create_first",
        "ApiKeyService.get",
        "ApiKeyService.update",
        "ApiKeyService.rotate",
        "ApiKeyService.revoke",
        "RequestKeyService.create",
        "RequestKeyService.list",
        "RequestKeyService.revoke",
        "KeyUsage.of_key",
    }
)
"""Operations that answer the id of somebody else as they do one that nobody has."""
