"""Which quotas a request is charged to, and what its answer says of them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from ipaddress import IPv4Address, IPv6Network
from math import ceil
from typing import Final, Self

from agentmem.errors import RateLimited
from agentmem.foundation.state.port import Admission, Level, Quota
from agentmem.kit.networks import Address
from agentmem.settings import Settings

IPV6_NETWORK: Final = 64
"""Bits of an IPv6 address that name its network: one customer has all addresses behind them."""


@dataclass(frozen=True, kw_only=True, slots=True)
class RateLimits:
    """Cost units a minute of each dimension; 0 is no limit."""

    ip: int
    key: int
    organization: int
    failures: int

    @classmethod
    def of(cls, settings: Settings) -> Self:
        """Read the limits that the settings name."""
        return cls(
            ip=settings.rate_limit_ip,
            key=settings.rate_limit_key,
            organization=settings.rate_limit_organization,
            failures=settings.rate_limit_failures,
        )

    def of_address(self, address: Address) -> tuple[Quota, ...]:
        """Give the quotas of any request of an address, whoever asks."""
        return _limited(Quota(name="ip", subject=network_of(address), limit=self.ip))

    def of_request(
        self,
        *,
        key_id: str,
        organization_id: str,
        key_limit: int | None = None,
        organization_limit: int | None = None,
    ) -> tuple[Quota, ...]:
        """Give the quotas of an authenticated request; a key's or an organization's own limit replaces the general."""
        return _limited(
            Quota(name="key", subject=key_id, limit=self.key if key_limit is None else key_limit),
            Quota(
                name="organization",
                subject=organization_id,
                limit=self.organization if organization_limit is None else organization_limit,
            ),
        )

    def of_failure(self, address: Address) -> tuple[Quota, ...]:
        """Give the quotas of a failed authentication; charged with :data:`PUBLIC`, for no organization is known."""
        return _limited(Quota(name="failures", subject=network_of(address), limit=self.failures))


def network_of(address: Address) -> str:
    """Name who is behind an address: an IPv4 address itself, of an IPv6 address the first 64 bits."""
    if isinstance(address, IPv4Address):
        return str(address)
    return str(IPv6Network((int(address), IPV6_NETWORK), strict=False))


def require_allowed(admission: Admission) -> Admission:
    """Give the admission back, or raise :class:`RateLimited` that names the limit and says when to come again."""
    if admission.allowed:
        return admission
    level = tightest(admission)
    raise RateLimited(
        f"The limit of {level.quota.limit} cost units in {level.quota.window:g} seconds of this {level.quota.name} is "
        "used up.",
        hint=f"Retry after {retry_after(admission)} seconds.",
        retry_after=retry_after(admission),
        headers=rate_headers(admission),
    )


def beyond(quotas: Sequence[Quota], cost: int, units: int) -> int:
    """Give what a request may be charged beside its cost: with it, no more than a limit has in all."""
    return max(0, min((units, *(quota.limit - cost for quota in quotas))))


def again(admission: Admission, cost: int) -> Admission:
    """Let the wait of a request that was refused after it was charged be long enough to be charged anew."""
    return replace(
        admission,
        levels=tuple(
            replace(level, retry_after=level.retry_after + cost * level.quota.window / level.quota.limit)
            if level.retry_after
            else level
            for level in admission.levels
        ),
    )


def tightest(admission: Admission) -> Level:
    """Give the level that a client must heed: the longest wait, or else the least part that is left."""
    return min(admission.levels, key=lambda level: (-level.retry_after, level.remaining / level.quota.limit))


def retry_after(admission: Admission) -> int:
    """Give the whole seconds after which a refused request passes if nothing else is sent; at least 1."""
    return max(1, *(ceil(level.retry_after) for level in admission.levels))


def rate_headers(admission: Admission) -> Mapping[str, str]:
    """Write the levels as headers (draft-ietf-httpapi-ratelimit-headers-11), with ``Retry-After`` on a refusal.

    Nothing is written for a request without limits.
    """
    if not admission.levels:
        return {}
    level = tightest(admission)
    headers = {
        "RateLimit-Policy": ", ".join(
            f'"{quota.name}";q={quota.limit};w={ceil(quota.window)}'
            for quota in (one.quota for one in admission.levels)
        ),
        "RateLimit": f'"{level.quota.name}";r={level.remaining};t={ceil(level.reset_after)}',
    }
    if not admission.allowed:
        headers["Retry-After"] = str(retry_after(admission))
    return headers


def _limited(*quotas: Quota) -> tuple[Quota, ...]:
    return tuple(quota for quota in quotas if quota.limit > 0)
