"""Lists of networks that requests may come from, or may not; pure."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum
from typing import Self

from agentmem.kit.networks import Address, Network, NetworkSet


class Reach(StrEnum):
    """For whom a list is: for one organization, or for whoever asks the installation."""

    ORGANIZATION = "organization"
    INSTALLATION = "installation"


@dataclass(frozen=True, kw_only=True, slots=True)
class NetworkRules:
    """The networks that are allowed, and those that are denied, as they are stored."""

    allowed: tuple[Network, ...] = ()
    denied: tuple[Network, ...] = ()


@dataclass(frozen=True, kw_only=True, slots=True)
class NetworkLists:
    """Rules ready to be asked; with no network allowed, all are that are not denied."""

    allowed: NetworkSet = field(default_factory=NetworkSet)
    denied: NetworkSet = field(default_factory=NetworkSet)

    @classmethod
    def of(cls, rules: NetworkRules) -> Self:
        """Make rules ready."""
        return cls(allowed=NetworkSet(rules.allowed), denied=NetworkSet(rules.denied))

    def admit(self, address: Address) -> bool:
        """Tell whether requests are taken from an address."""
        return address not in self.denied and (not self.allowed or address in self.allowed)


@dataclass(frozen=True, slots=True)
class Snapshot:
    """Lists as they were at a moment, and a mark that other lists than these do not have."""

    mark: int | None = None
    lists: NetworkLists = field(default_factory=NetworkLists)
