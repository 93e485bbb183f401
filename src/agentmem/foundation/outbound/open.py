"""Making what sends, by the settings."""

from __future__ import annotations

from agentmem.foundation.outbound.guard import Destinations
from agentmem.foundation.outbound.guarded import GuardedSender, can_send
from agentmem.foundation.outbound.port import Fetcher, Sender
from agentmem.kit.networks import parse_network
from agentmem.settings import Settings


def destinations_of(settings: Settings) -> Destinations:
    """Give where webhooks may lead to."""
    return Destinations(http=settings.webhook_http, networks=tuple(map(parse_network, settings.webhook_networks)))


def open_fetcher(settings: Settings) -> Fetcher | None:
    """Make what asks providers of single sign-on; ``None`` as for :func:`open_sender`."""
    networks = tuple(map(parse_network, settings.sso_networks))
    return GuardedSender(Destinations(http=settings.sso_http, networks=networks)) if can_send() else None


def open_sender(settings: Settings) -> Sender | None:
    """Make what sends webhooks; ``None`` without the package it takes, which ``agentmem[server]`` brings."""
    return GuardedSender(destinations_of(settings)) if can_send() else None
