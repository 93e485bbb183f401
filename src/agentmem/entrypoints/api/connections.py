"""How many connections the server holds, and how many of them one address may have."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Final

from agentmem.kit.networks import Network, holds, network_of, parse_address

_SHARES: Final = 4
"""One address has a quarter of the connections, unless it is a proxy that is trusted."""


@dataclass(kw_only=True, slots=True)
class Connections:
    """The open connections of a server, by the address at their other end."""

    most: int
    trusted: Sequence[Network] = ()
    _by_address: Counter[str] = field(default_factory=Counter)

    def enter(self, peer: str | None) -> str | None:
        """Count a connection; gives what it is counted as, to leave by, and nothing where it is one too many."""
        subject = self._subject(peer)
        share = self.most if subject == "" else -(-self.most // _SHARES)
        if self._by_address.total() >= self.most or self._by_address[subject] >= share:
            return None
        self._by_address[subject] += 1
        return subject

    def leave(self, subject: str) -> None:
        """Note that a counted connection has ended."""
        self._by_address[subject] -= 1
        if not self._by_address[subject]:
            del self._by_address[subject]

    def _subject(self, peer: str | None) -> str:
        """Name who is counted; trusted proxies and peers without an address have no share of their own."""
        try:
            address = parse_address(peer or "")
        except ValueError:
            return ""
        return "" if holds(self.trusted, address) else network_of(address)
