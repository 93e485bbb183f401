"""What a request that was charged is told: that it may go on, or when it may come again."""

from __future__ import annotations

from collections.abc import Mapping
from math import ceil

from agentmem.errors import RateLimited
from agentmem.foundation.state.port import Admission, Level


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
