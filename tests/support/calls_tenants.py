"""An example of each operation on organizations and members, called with what belongs to somebody else."""

from __future__ import annotations

from agentmem.schemas.access import Role
from agentmem.schemas.networks import NetworkList, NewNetworkRule
from agentmem.schemas.organizations import MemberPatch, NewMember, OrganizationLimits, OrganizationPatch
from tests.support.foreign import Call

_NETWORK = NewNetworkRule(network="192.0.2.0/24", list=NetworkList.DENY, reason="a test")

CALLS: dict[str, Call] = {
    "OrganizationService.name": lambda s, c, f: s.name(c),
    "OrganizationService.view": lambda s, c, f: s.view(c),
    "OrganizationService.update": lambda s, c, f: s.update(c, OrganizationPatch(name="renamed")),
    "OrganizationService.schedule_deletion": lambda s, c, f: s.schedule_deletion(c, 30),
    "OrganizationService.cancel_deletion": lambda s, c, f: s.cancel_deletion(c),
    "PlatformService.order_creation": lambda s, c, f: s.order_creation(c, f.organization_id),
    "PlatformService.view": lambda s, c, f: s.view(c),
    "PlatformService.set_limits": lambda s, c, f: s.set_limits(c, OrganizationLimits(memories=0)),
    "PlatformService.suspend": lambda s, c, f: s.suspend(c, "a test"),
    "PlatformService.resume": lambda s, c, f: s.resume(c),
    "PlatformService.schedule_deletion": lambda s, c, f: s.schedule_deletion(c, 30),
    "PlatformService.cancel_deletion": lambda s, c, f: s.cancel_deletion(c),
    "NetworkService.page": lambda s, c, f: s.page(c),
    "NetworkService.add": lambda s, c, f: s.add(c, _NETWORK),
    "NetworkService.remove": lambda s, c, f: s.remove(c, f.rule_id),
    "NetworkService.page_installation": lambda s, c, f: s.page_installation(c),
    "NetworkService.add_installation": lambda s, c, f: s.add_installation(c, _NETWORK),
    "NetworkService.remove_installation": lambda s, c, f: s.remove_installation(c, f.rule_id),
    "MemberService.page": lambda s, c, f: s.page(c),
    "MemberService.get": lambda s, c, f: s.get(c, f.member_id),
    "MemberService.create": lambda s, c, f: s.create(c, NewMember(name="new", role=Role.MEMBER)),
    "MemberService.ensure_owner": lambda s, c, f: s.ensure_owner(c, "first", Role.ADMIN),
    "MemberService.update": lambda s, c, f: s.update(c, f.member_id, MemberPatch(role=Role.ADMIN)),
    "MemberService.disable": lambda s, c, f: s.disable(c, f.member_id),
}

NOT_FOUND = frozenset(
    {
        "MemberService.get",
        "MemberService.update",
        "MemberService.disable",
        "NetworkService.remove",
        "NetworkService.remove_installation",
    }
)
"""Operations that answer the id of somebody else as they do one that nobody has."""

CONFLICT = frozenset({"OrganizationService.cancel_deletion", "PlatformService.cancel_deletion"})
"""Operations on the caller's own organization that its state forbids."""
