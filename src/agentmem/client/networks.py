"""The calls on lists of networks, as values."""

from __future__ import annotations

from typing import Final

from agentmem.client.administration import Identifier
from agentmem.client.answers import nothing, one
from agentmem.client.calls import Call, Values, get_from
from agentmem.client.encoding import body_of, given, keyed, path_of, query_of
from agentmem.schemas.base import parse
from agentmem.schemas.memories import Page
from agentmem.schemas.networks import NetworkRule, NewNetworkRule

Place = tuple[str, ...]
OWN: Final[Place] = ("organization", "networks")
INSTALLATION: Final[Place] = ("admin", "networks")


def list_rules(place: Place, limit: int, cursor: str | None) -> Call[Page[NetworkRule]]:
    """Read a page of networks."""
    return get_from(path_of(*place), one(Page[NetworkRule]), query_of({"limit": limit, "cursor": cursor}))


def add_rule(place: Place, values: Values, *, force: bool) -> Call[NetworkRule]:
    """Put a network on a list."""
    body = body_of(parse(NewNetworkRule, given(values)))
    return Call(
        method="POST",
        path=path_of(*place),
        read=one(NetworkRule),
        query=_forced(force=force),
        body=body,
        headers=keyed(),
        repeatable=True,
    )


def remove_rule(place: Place, rule_id: Identifier, *, force: bool) -> Call[None]:
    """Take a network off its list."""
    return Call(method="DELETE", path=path_of(*place, rule_id), read=nothing, query=_forced(force=force))


def _forced(*, force: bool) -> tuple[tuple[str, str], ...]:
    return (("force", "true"),) if force else ()
