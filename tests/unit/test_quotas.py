from __future__ import annotations

from ipaddress import ip_address

import pytest

from agentmem.errors import RateLimited
from agentmem.foundation.state.charging import rate_headers, require_allowed, retry_after
from agentmem.foundation.state.memory import MemoryState
from agentmem.foundation.state.port import PUBLIC, Admission, Level, Quota
from agentmem.kit.networks import network_of
from agentmem.pipelines.admission.quotas import RateLimits
from agentmem.settings import Settings

LIMITS = RateLimits(ip=60, key=30, organization=120, failures=3)
HERE = ip_address("192.0.2.7")


class HandMovedClock:
    """A clock that moves when it is told to."""

    def __init__(self) -> None:
        self.seconds = 1000.0

    def __call__(self) -> float:
        return self.seconds


def quotas(limits: RateLimits = LIMITS, **own: int) -> tuple[Quota, ...]:
    return limits.of_request(key_id="k1", organization_id="o1", **own)


def test_a_request_is_charged_to_its_address_and_then_to_its_key_and_organization() -> None:
    assert [(one.name, one.subject, one.limit) for one in (*LIMITS.of_address(HERE), *quotas())] == [
        ("ip", "192.0.2.7", 60),
        ("key", "k1", 30),
        ("organization", "o1", 120),
    ]


def test_a_limit_of_its_own_replaces_the_general_one() -> None:
    assert [one.limit for one in quotas(key_limit=5, organization_limit=1000)] == [5, 1000]


def test_a_limit_of_nothing_is_no_limit() -> None:
    unlimited = RateLimits(ip=0, key=0, organization=0, failures=0)

    assert quotas(unlimited) == ()
    assert unlimited.of_address(HERE) == ()
    assert unlimited.of_failure(HERE) == ()
    assert [one.name for one in quotas(unlimited, organization_limit=10)] == ["organization"]


def test_the_settings_name_the_limits() -> None:
    settings = Settings.load(rate_limit_ip=1, rate_limit_key=2, rate_limit_organization=3, rate_limit_failures=4)

    assert RateLimits.of(settings) == RateLimits(ip=1, key=2, organization=3, failures=4)


@pytest.mark.parametrize(
    "address, network",
    [
        ("192.0.2.7", "192.0.2.7"),
        ("2001:db8:1:2:3:4:5:6", "2001:db8:1:2::/64"),
        ("2001:db8:1:2:ffff::1", "2001:db8:1:2::/64"),
        ("2001:db8:1:3::1", "2001:db8:1:3::/64"),
    ],
)
def test_the_addresses_of_one_customer_are_counted_together(address: str, network: str) -> None:
    assert network_of(ip_address(address)) == network


async def test_the_headers_name_every_limit_and_the_tightest_level() -> None:
    admission = await MemoryState(clock=HandMovedClock()).take("o1", quotas(), 10)

    assert rate_headers(admission) == {
        "RateLimit-Policy": '"key";q=30;w=60, "organization";q=120;w=60',
        "RateLimit": '"key";r=20;t=20',
    }


async def test_the_last_request_says_that_nothing_is_left_and_the_next_is_refused() -> None:
    clock = HandMovedClock()
    state = MemoryState(clock=clock)
    answers = [await state.take("o1", quotas(), 10) for _ in range(4)]

    assert [rate_headers(answer)["RateLimit"] for answer in answers] == [
        '"key";r=20;t=20',
        '"key";r=10;t=40',
        '"key";r=0;t=60',
        '"key";r=0;t=60',
    ]
    assert [answer.allowed for answer in answers] == [True, True, True, False]
    assert [rate_headers(answer).get("Retry-After") for answer in answers] == [None, None, None, "20"]


@pytest.mark.parametrize("limit", [1, 7, 30, 60, 1000])
@pytest.mark.parametrize("cost", [1, 3])
async def test_a_refused_request_passes_after_exactly_the_time_it_was_told(limit: int, cost: int) -> None:
    clock = HandMovedClock()
    state = MemoryState(clock=clock)
    charged = quotas(key_limit=limit)
    answer = await state.take("o1", charged, cost)
    while answer.allowed:
        answer = await state.take("o1", charged, cost)

    clock.seconds += retry_after(answer)

    assert (await state.take("o1", charged, cost)).allowed


async def test_a_refused_request_does_not_push_the_end_of_its_wait_away() -> None:
    clock = HandMovedClock()
    state = MemoryState(clock=clock)
    charged = quotas(key_limit=1)
    await state.take("o1", charged, 1)

    waits = []
    for _ in range(3):
        clock.seconds += 15
        waits.append(retry_after(await state.take("o1", charged, 1)))

    assert waits == [45, 30, 15]


async def test_a_refusal_names_the_limit_and_the_wait() -> None:
    state = MemoryState(clock=HandMovedClock())
    allowed = await state.take("o1", quotas(key_limit=1), 1)
    refused = await state.take("o1", quotas(key_limit=1), 1)

    assert require_allowed(allowed) is allowed
    with pytest.raises(RateLimited, match=r"limit of 1 cost units in 60 seconds of this key.*60 seconds") as raised:
        require_allowed(refused)
    assert raised.value.retry_after == 60
    assert raised.value.headers == rate_headers(refused)
    assert raised.value.headers["Retry-After"] == "60"


async def test_failed_authentications_are_counted_by_address_apart_from_organizations() -> None:
    state = MemoryState(clock=HandMovedClock())
    for _ in range(3):
        assert (await state.take(PUBLIC, LIMITS.of_failure(HERE), 0)).allowed
        await state.take(PUBLIC, LIMITS.of_failure(HERE), 1)

    assert not (await state.take(PUBLIC, LIMITS.of_failure(HERE), 0)).allowed
    assert (await state.take(PUBLIC, LIMITS.of_failure(ip_address("192.0.2.8")), 0)).allowed


def test_a_request_without_limits_gets_no_headers() -> None:
    assert rate_headers(Admission(allowed=True, levels=())) == {}


def test_times_are_rounded_up_to_whole_seconds() -> None:
    level = Level(quota=Quota(name="key", subject="k", limit=2), remaining=0, reset_after=1.01, retry_after=0.001)

    headers = rate_headers(Admission(allowed=False, levels=(level,)))

    assert headers["RateLimit"] == '"key";r=0;t=2'
    assert headers["Retry-After"] == "1"
