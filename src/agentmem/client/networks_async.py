"""The part of the client that says where requests may come from, for asyncio programs."""

from __future__ import annotations

from agentmem.client import networks as calls
from agentmem.client.administration import Identifier
from agentmem.client.connection import AsyncConnection
from agentmem.schemas.memories import Page
from agentmem.schemas.networks import NetworkList, NetworkRule


class AsyncNetworks:
    """Networks that requests may come from, or may not: of the organization, or of the installation."""

    def __init__(self, connection: AsyncConnection, place: calls.Place = calls.OWN) -> None:
        self._connection = connection
        self._place = place

    async def list(self, *, limit: int = 100, cursor: str | None = None) -> Page[NetworkRule]:
        """Read a page of the networks on both lists, the oldest first."""
        return await self._connection.send(calls.list_rules(self._place, limit, cursor))

    async def add(
        self,
        network: str,
        *,
        list: NetworkList | str,  # noqa: A002  # the field's name in the API
        reason: str,
        expires_in_seconds: int | None = None,
        force: bool = False,
    ) -> NetworkRule:
        """Allow or deny a network; ``force`` also does what locks out this very client."""
        values = {"network": network, "list": list, "reason": reason, "expires_in_seconds": expires_in_seconds}
        return await self._connection.send(calls.add_rule(self._place, values, force=force))

    async def remove(self, rule_id: Identifier, *, force: bool = False) -> None:
        """Take a network off its list; ``force`` also does what locks out this very client."""
        await self._connection.send(calls.remove_rule(self._place, rule_id, force=force))
