"""A dependency behind its guards: how often it is asked, by how many, for how long, and what its callers are told."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field, replace

import pytest

from agentmem.errors import ConfigurationError, DeadlineExceeded, EmbedderUnavailable
from agentmem.foundation.resilience.breaker import BreakerRules, BreakerState
from agentmem.foundation.resilience.deadline import deadline, within
from agentmem.foundation.resilience.guarded import Guard, Guarded
from agentmem.foundation.resilience.retry import RetryBudget, RetryPolicy, backoff

QUICK = RetryPolicy(attempts=3, base=0.001, cap=0.01)
GUARD = Guard(name="model", what="The model", error=EmbedderUnavailable, seconds=30, most=2, waiting=1, retry=QUICK)


@dataclass
class Seen:
    """Hears what becomes of a dependency."""

    states: list[tuple[str, str]] = field(default_factory=list)
    retries: list[str] = field(default_factory=list)

    def breaker_changed(self, dependency: str, state: BreakerState) -> None:
        self.states.append((dependency, state.value))

    def retried(self, dependency: str) -> None:
        self.retries.append(dependency)


@dataclass
class Dependency:
    """Fails so many times with this error, then answers with the number of the call; holds its answers if told to."""

    failures: int = 0
    error: Exception = field(default_factory=lambda: EmbedderUnavailable("it fails"))
    calls: int = 0
    under_way: int = 0
    goes_on: asyncio.Event = field(default_factory=asyncio.Event)

    def __post_init__(self) -> None:
        self.goes_on.set()

    async def __call__(self) -> int:
        self.calls += 1
        self.under_way += 1
        try:
            await self.goes_on.wait()
        finally:
            self.under_way -= 1
        if self.calls <= self.failures:
            raise self.error
        return self.calls


async def started(dependency: Dependency, calls: int) -> None:
    while dependency.under_way < calls:  # noqa: ASYNC110  # nothing tells
        await asyncio.sleep(0)


async def test_a_call_that_fails_is_made_again_and_each_time_is_told() -> None:
    seen, dependency = Seen(), Dependency(failures=2)

    assert await Guarded(GUARD, seen).call(dependency) == 3
    assert seen.retries == ["model", "model"]


async def test_the_last_failure_is_raised_after_the_last_attempt() -> None:
    dependency = Dependency(failures=9)

    with pytest.raises(EmbedderUnavailable, match="it fails"):
        await Guarded(GUARD).call(dependency)
    assert dependency.calls == 3


async def test_a_call_that_may_not_be_repeated_is_made_once() -> None:
    dependency = Dependency(failures=1)

    with pytest.raises(EmbedderUnavailable):
        await Guarded(GUARD).call(dependency, idempotent=False)
    assert dependency.calls == 1


async def test_an_error_that_says_that_the_dependency_answered_is_not_tried_again_and_opens_nothing() -> None:
    guarded = Guarded(replace(GUARD, breaker=BreakerRules(failures=1)))
    dependency = Dependency(failures=1, error=ConfigurationError("wrong"))

    with pytest.raises(ConfigurationError):
        await guarded.call(dependency)
    assert guarded.state is BreakerState.CLOSED
    assert await guarded.call(dependency) == 2


async def test_one_layer_alone_repeats() -> None:
    outer, inner, dependency = Guarded(GUARD), Guarded(GUARD), Dependency(failures=99)

    with pytest.raises(EmbedderUnavailable):
        await outer.call(lambda: inner.call(dependency))
    assert dependency.calls == 3


async def test_what_the_dependency_asks_for_is_waited_and_too_much_of_it_is_not() -> None:
    soon = Dependency(failures=1, error=EmbedderUnavailable("later", retry_after=0.01))
    late = Dependency(failures=1, error=EmbedderUnavailable("much later", retry_after=3600))

    assert await Guarded(GUARD).call(soon) == 2
    with pytest.raises(EmbedderUnavailable, match="much later"):
        await Guarded(GUARD).call(late)
    assert late.calls == 1


async def test_repeats_are_at_most_a_tenth_of_the_calls_and_ten_more() -> None:
    guarded = Guarded(replace(GUARD, breaker=BreakerRules(failures=10_000, minimum=10_000)))
    dependency = Dependency(failures=10_000)

    for _ in range(200):
        with pytest.raises(EmbedderUnavailable):
            await guarded.call(dependency)

    assert 220 <= dependency.calls <= 231  # and one for each ten seconds that this took


def test_a_budget_that_was_used_up_comes_back_with_time() -> None:
    now = [0.0]
    budget = RetryBudget(clock=lambda: now[0])
    assert [budget.spend() for _ in range(11)] == [True] * 10 + [False]

    now[0] = 20.5

    assert [budget.spend() for _ in range(3)] == [True, True, False]


async def test_a_dependency_that_keeps_failing_is_left_alone_and_its_callers_are_told_at_once() -> None:
    seen = Seen()
    guarded, dependency = Guarded(GUARD, seen), Dependency(failures=10_000)
    for _ in range(5):
        with pytest.raises(EmbedderUnavailable):
            await guarded.call(dependency, idempotent=False)

    with pytest.raises(EmbedderUnavailable, match="left alone") as caught:
        await guarded.call(dependency)

    assert dependency.calls == 5
    assert caught.value.retry_after == pytest.approx(60, abs=30)
    assert seen.states == [("model", "closed"), ("model", "open")]


async def test_more_calls_than_it_takes_are_refused_at_once_and_those_that_wait_have_their_turn() -> None:
    guarded, dependency = Guarded(GUARD), Dependency()
    dependency.goes_on.clear()
    running = [asyncio.create_task(guarded.call(dependency)) for _ in range(3)]
    await started(dependency, 2)

    with pytest.raises(EmbedderUnavailable, match="as many calls") as caught:
        await guarded.call(dependency)
    assert caught.value.retry_after == 1
    assert dependency.under_way == 2

    dependency.goes_on.set()
    assert sorted(await asyncio.gather(*running)) == [2, 2, 3]
    assert await guarded.call(dependency) == 4


async def test_a_caller_who_goes_away_leaves_its_place_and_says_nothing_of_the_dependency() -> None:
    guarded, dependency = Guarded(replace(GUARD, breaker=BreakerRules(failures=1))), Dependency()
    dependency.goes_on.clear()
    running = [asyncio.create_task(guarded.call(dependency)) for _ in range(3)]
    await started(dependency, 2)
    for task in running:
        task.cancel()
    await asyncio.gather(*running, return_exceptions=True)
    dependency.goes_on.set()

    assert guarded.state is BreakerState.CLOSED
    assert await guarded.call(dependency) == 3


async def test_a_dependency_that_hangs_is_waited_for_so_long_and_not_asked_again() -> None:
    guarded, dependency = Guarded(replace(GUARD, breaker=BreakerRules(failures=1))), Dependency()
    dependency.goes_on.clear()

    with pytest.raises(EmbedderUnavailable, match=r"did not answer within 0\.02 s"):
        await guarded.call(dependency, seconds=0.02)

    assert dependency.calls == 1
    assert guarded.state is BreakerState.OPEN


async def test_a_timeout_of_the_call_itself_is_not_taken_for_the_guards() -> None:
    dependency = Dependency(failures=1, error=TimeoutError("its own"))

    with pytest.raises(TimeoutError, match="its own"):
        await Guarded(GUARD).call(dependency)
    assert dependency.calls == 1


async def test_a_wait_for_a_turn_ends_with_the_time_for_an_answer() -> None:
    guarded, dependency = Guarded(replace(GUARD, most=1)), Dependency()
    dependency.goes_on.clear()
    running = asyncio.create_task(guarded.call(dependency))
    await started(dependency, 1)

    with pytest.raises(EmbedderUnavailable, match="as many calls"):
        await guarded.call(dependency, seconds=0.02)

    dependency.goes_on.set()
    assert await running == 1


async def test_a_dependency_has_half_of_what_a_request_has_left_and_the_request_goes_on() -> None:
    guarded, dependency = Guarded(GUARD), Dependency()
    dependency.goes_on.clear()

    async with asyncio.timeout(20):
        with deadline(0.2), pytest.raises(EmbedderUnavailable, match="did not answer"):
            await guarded.call(dependency)


async def test_without_time_nothing_is_asked() -> None:
    dependency = Dependency()

    with deadline(0), pytest.raises(DeadlineExceeded):
        await Guarded(GUARD).call(dependency)
    assert dependency.calls == 0


async def test_a_failure_is_not_tried_again_when_the_wait_would_outlast_the_request() -> None:
    dependency = Dependency(failures=1, error=EmbedderUnavailable("later", retry_after=5))
    patient = Guarded(replace(GUARD, retry=RetryPolicy(cap=60)))

    with deadline(2), pytest.raises(EmbedderUnavailable, match="later"):
        await patient.call(dependency)
    assert dependency.calls == 1


def test_the_earlier_of_two_ends_holds_and_work_for_several_has_none() -> None:
    with deadline(1000):
        with deadline(4000):
            assert 400 < within(9999) <= 500
        with deadline(10):
            assert within(9999) <= 5
        with deadline(None):
            assert within(9999) == 9999
        assert 400 < within(9999) <= 500
    assert within(9999) == 9999


@pytest.mark.parametrize("failures, most", [(1, 0.1), (2, 0.2), (3, 0.4), (10, 5.0), (5000, 5.0)])
def test_waits_are_anything_up_to_a_bound_that_doubles(failures: int, most: float) -> None:
    waits = [backoff(failures, base=0.1, cap=5.0) for _ in range(400)]

    assert all(0 <= wait <= most for wait in waits)
    assert min(waits) < most / 4
    assert max(waits) > most * 3 / 4
