"""The platform's own organization: its members operate the server, and the accounts of people belong to it."""

from __future__ import annotations

from typing import Final
from uuid import UUID, uuid5

from agentmem.kit.ids import OrganizationId

PLATFORM_NAME: Final = "agentmem platform"
_NAMES: Final = UUID("6f1d3d5e-6f0a-5b0e-9a52-6c1c8f4d2b70")


def organization_id_of(name: str) -> OrganizationId:
    """Give the id of the organization with this name in an embedded store (UUIDv5, RFC 9562 section 5.5)."""
    return OrganizationId(uuid5(_NAMES, name))


def platform_id() -> OrganizationId:
    """Give the id of the platform's organization."""
    return organization_id_of(PLATFORM_NAME)
