"""A transaction of the system itself: no caller is known yet, or none exists.

It sees the registries whole, and the rows of one organization once it is bound to it. It has no keys: nothing sealed
can be opened in it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum

from agentmem.foundation.database.transaction import OWN_ORGANIZATION, Statements, set_organization
from agentmem.kit.ids import OrganizationId

ACT_AS_SYSTEM = "SELECT set_config('agentmem.system', 'on', true)"


class SystemPurpose(StrEnum):
    """Why there is no caller; the list is closed, and a test holds the operations of each."""

    AUTHENTICATE = "authenticate"
    """A credential is looked up, or taken away from whoever found it."""
    REGISTER = "register"
    """An organization is made."""
    RELAY = "relay"
    """What was done becomes events, and goes to those who subscribed to them."""
    SWEEP = "sweep"
    """Background work looks for the organizations it is to visit."""
    WORK = "work"
    """A worker takes from the queue whose jobs it is to do next."""
    PRESENCE = "presence"
    """A process says that it is there, or operators look who is."""


@dataclass(frozen=True, kw_only=True, slots=True)
class SystemTransaction(Statements):
    """What a system operation works with: statements and one moment in time."""

    purpose: SystemPurpose
    _bound: dict[str, OrganizationId] = field(default_factory=dict)

    @property
    def bound(self) -> Mapping[str, object]:
        """The values that every statement is given, once there is an organization."""
        return self._bound

    async def bind(self, organization_id: OrganizationId) -> None:
        """See the rows of this organization from here on, and of no other."""
        self._bound[OWN_ORGANIZATION] = organization_id
        await self.driver.execute(set_organization(organization_id).encode())
