"""What a sign-in asks for after the first proof; the port that second factors are behind."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Final, Protocol
from uuid import UUID

from agentmem.features.identity.factors.model import MULTIPLE
from agentmem.features.identity.sessions.model import Device
from agentmem.kit.ids import AccountId, OrganizationId, SessionId
from agentmem.kit.networks import Address
from agentmem.schemas.access import Role
from agentmem.schemas.factors import FactorRequired

PASSWORD: Final = "pwd"  # noqa: S105  # the name of a method (RFC 8176)
SSO: Final = "sso"
"""The method of whom the organization's provider vouches for; no name of RFC 8176 says it."""
ONE: Final = "aal1"
TWO: Final = "aal2"


@dataclass(frozen=True, kw_only=True, slots=True)
class Where:
    """Where a sign-in comes from; ``replaces`` is the session that it was sent from, which it takes the place of."""

    device: Device = field(default_factory=Device)
    address: Address | None = None
    replaces: SessionId | None = None
    request_id: str | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class Proof:
    """Who has proved to be which account so far, by what, and as whom they are to act."""

    account_id: AccountId
    organization_id: OrganizationId
    member_id: UUID
    role: Role
    methods: tuple[str, ...]

    @property
    def level(self) -> str:
        """How sure it is: with a second factor, or without."""
        return TWO if MULTIPLE in self.methods else ONE


class Factors(Protocol):
    """Asks for a second factor where one is due."""

    async def challenge(self, proof: Proof, where: Where) -> FactorRequired | None:
        """Give what is asked for besides, or ``None`` where the proof is enough.

        Whoever answers a challenge goes on with :meth:`SigningIn.proceed`, with what was proved besides.
        """
        ...
