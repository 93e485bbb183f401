"""Every route of the server, in the order in which they are tried."""

from __future__ import annotations

from collections.abc import Sequence

from fastapi import APIRouter

from agentmem.entrypoints.api.routes.audit import audit
from agentmem.entrypoints.api.routes.encryption import encryption
from agentmem.entrypoints.api.routes.entities import entities
from agentmem.entrypoints.api.routes.events import events_routes
from agentmem.entrypoints.api.routes.jobs import job_routes
from agentmem.entrypoints.api.routes.keys import keys
from agentmem.entrypoints.api.routes.leaks import leaks
from agentmem.entrypoints.api.routes.maintenance import maintenance
from agentmem.entrypoints.api.routes.me import myself
from agentmem.entrypoints.api.routes.memories import memories
from agentmem.entrypoints.api.routes.memory_actions import memory_actions
from agentmem.entrypoints.api.routes.moving import moving
from agentmem.entrypoints.api.routes.organizations import member_routes, organization_routes
from agentmem.entrypoints.api.routes.platform import platform
from agentmem.entrypoints.api.routes.privacy import privacy
from agentmem.entrypoints.api.routes.searching import searching
from agentmem.entrypoints.api.routes.usage import usages
from agentmem.entrypoints.api.routes.webhooks import webhook_routes


def routers() -> Sequence[APIRouter]:
    """Give the routers; those that answer most requests come first."""
    return (
        searching,
        memories,
        memory_actions,
        moving,
        entities,
        usages,
        myself,
        organization_routes,
        member_routes,
        keys,
        leaks,
        audit,
        job_routes,
        events_routes,
        webhook_routes,
        platform,
        encryption,
        privacy,
        maintenance,
    )
