"""Networks that requests may come from, or may not."""

from __future__ import annotations

from datetime import datetime
from enum import StrEnum
from typing import Annotated
from uuid import UUID

from pydantic import AfterValidator, Field

from agentmem.kit.networks import parse_network
from agentmem.schemas.base import Schema, Text
from agentmem.schemas.organizations import Reason

LONGEST_RULE = 3650 * 24 * 3600


class NetworkList(StrEnum):
    """The list that a network is on: requests from a denied one are refused, whatever is allowed.

    With nothing on the list of what is allowed, all that is not denied is.
    """

    ALLOW = "allow"
    DENY = "deny"


def check_network(text: str) -> str:
    """Write a network in its one form; raises ``ValueError`` for what is none."""
    return str(parse_network(text))


class NewNetworkRule(Schema):
    """A network to put on a list, for good or for some seconds."""

    network: Annotated[Text, Field(min_length=2, max_length=64), AfterValidator(check_network)]
    list: NetworkList
    reason: Reason
    expires_in_seconds: Annotated[int, Field(ge=1, le=LONGEST_RULE, strict=True)] | None = None


class NetworkRule(Schema):
    """A network on a list: why, since when, by whom, and until when if not for good."""

    id: UUID
    network: str
    list: NetworkList
    reason: str
    created_by: str
    created_at: datetime
    expires_at: datetime | None = None
