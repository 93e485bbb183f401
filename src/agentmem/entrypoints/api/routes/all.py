"""Every route of the server, in the order in which they are tried."""

from __future__ import annotations

from collections.abc import Sequence

from fastapi import APIRouter

from agentmem.entrypoints.api.routes.account import account_routes
from agentmem.entrypoints.api.routes.accounts import accounts_routes, invitation_routes
from agentmem.entrypoints.api.routes.audit import audit
from agentmem.entrypoints.api.routes.encryption import encryption
from agentmem.entrypoints.api.routes.entities import entities
from agentmem.entrypoints.api.routes.events import events_routes
from agentmem.entrypoints.api.routes.factors import own_factors
from agentmem.entrypoints.api.routes.jobs import job_routes
from agentmem.entrypoints.api.routes.keys import keys
from agentmem.entrypoints.api.routes.leaks import leaks
from agentmem.entrypoints.api.routes.maintenance import maintenance
from agentmem.entrypoints.api.routes.me import myself
from agentmem.entrypoints.api.routes.memories import memories
from agentmem.entrypoints.api.routes.memory_actions import memory_actions
from agentmem.entrypoints.api.routes.moving import moving
from agentmem.entrypoints.api.routes.networks import network_routes
from agentmem.entrypoints.api.routes.organizations import member_routes, organization_routes
from agentmem.entrypoints.api.routes.platform import platform
from agentmem.entrypoints.api.routes.policies import policy_routes
from agentmem.entrypoints.api.routes.privacy import privacy
from agentmem.entrypoints.api.routes.registration import registration_routes
from agentmem.entrypoints.api.routes.request_keys import request_key_routes
from agentmem.entrypoints.api.routes.searching import searching
from agentmem.entrypoints.api.routes.sessions import own_sessions
from agentmem.entrypoints.api.routes.signing_in import signing_in
from agentmem.entrypoints.api.routes.signing_keys import signing_keys, well_known
from agentmem.entrypoints.api.routes.sso import sso_routes
from agentmem.entrypoints.api.routes.trust import trust
from agentmem.entrypoints.api.routes.usage import usages
from agentmem.entrypoints.api.routes.webhooks import webhook_routes


def routers() -> Sequence[APIRouter]:
    """Give the routers; those that answer most requests come first."""
    return (
        searching,
        memories,
        memory_actions,
        trust,
        moving,
        entities,
        usages,
        myself,
        organization_routes,
        policy_routes,
        member_routes,
        sso_routes,
        request_key_routes,
        network_routes,
        registration_routes,
        account_routes,
        invitation_routes,
        accounts_routes,
        keys,
        leaks,
        audit,
        job_routes,
        events_routes,
        webhook_routes,
        signing_in,
        own_factors,
        own_sessions,
        signing_keys,
        well_known,
        platform,
        encryption,
        privacy,
        maintenance,
    )
