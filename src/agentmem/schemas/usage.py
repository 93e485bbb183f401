"""What an organization and its keys have used."""

from __future__ import annotations

import datetime as dt

from agentmem.schemas.base import Schema
from agentmem.schemas.organizations import OrganizationLimits


class StorageUsage(Schema):
    """What an organization stores; ``memories`` counts the live ones, bytes are of sealed content in every version."""

    memories: int
    versions: int
    content_bytes: int


class UsageDay(Schema):
    """Requests to one route on one day (UTC), by the class of their status: 2 for 200 to 299."""

    day: dt.date
    route: str
    status_class: int
    requests: int
    cost: int


class UsageReport(Schema):
    """What the organization stores, what it may, and the requests of each day."""

    storage: StorageUsage
    limits: OrganizationLimits
    days: list[UsageDay]
