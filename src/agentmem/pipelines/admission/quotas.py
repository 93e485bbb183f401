"""Which quotas a request is charged to, and what its answer says of them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Self

from agentmem.foundation.state.port import Admission, Quota
from agentmem.kit.networks import Address, network_of
from agentmem.settings import Settings


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


def _limited(*quotas: Quota) -> tuple[Quota, ...]:
    return tuple(quota for quota in quotas if quota.limit > 0)
