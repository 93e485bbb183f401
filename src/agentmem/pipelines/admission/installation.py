"""The lists of networks that hold for whoever asks the installation, as this process knows them."""

from __future__ import annotations

import asyncio
from typing import Final

import structlog

from agentmem.errors import AgentMemError, NetworkRefused
from agentmem.features.organizations.network_lists import Snapshot
from agentmem.features.organizations.networks import NetworkService
from agentmem.kit.networks import Address

READ_SECONDS: Final = 0.75
"""How often the lists are asked for: the bound on how late a change is in force."""

log = structlog.get_logger(__name__)


class InstallationNetworks:
    """Refuses addresses before anything else is done for them; the lists that it knows are replaced, never changed.

    While the database is away they stay what they were.
    """

    def __init__(self, networks: NetworkService) -> None:
        self._networks = networks
        self._known = Snapshot()

    def require(self, address: Address) -> None:
        """Raise :class:`NetworkRefused` for an address that nothing is taken from."""
        if not self._known.lists.admit(address):
            raise NetworkRefused("No requests are taken from this address.")

    async def refresh(self) -> None:
        """Read the lists, if they are other ones than before."""
        self._known = await self._networks.of_installation(self._known)

    async def keep_fresh(self) -> None:
        """Read the lists again and again, until cancelled."""
        while True:
            await asyncio.sleep(READ_SECONDS)
            try:
                await self.refresh()
            except AgentMemError as error:
                log.warning("networks_not_read", code=error.code)
