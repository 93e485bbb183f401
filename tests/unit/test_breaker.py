"""A circuit breaker over a clock that a test moves by hand."""

from __future__ import annotations

from dataclasses import dataclass, field

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agentmem.foundation.resilience.breaker import Breaker, BreakerRules, BreakerState

CLOSED, OPEN, HALF_OPEN = BreakerState.CLOSED, BreakerState.OPEN, BreakerState.HALF_OPEN


@dataclass
class Hand:
    """A clock, and what the breaker told."""

    now: float = 1000.0
    told: list[BreakerState] = field(default_factory=list)

    def __call__(self) -> float:
        return self.now


def made(**rules: float) -> tuple[Breaker, Hand]:
    hand = Hand()
    chosen = BreakerRules(**rules)  # type: ignore[arg-type]  # a test's numbers
    return Breaker(chosen, clock=hand, changed=hand.told.append), hand


def end(breaker: Breaker, *, well: bool) -> None:
    """Make a call that is let through and ends."""
    era = breaker.admit()
    assert era is not None
    if well:
        breaker.succeeded(era)
    else:
        breaker.failed(era)


def opened(**rules: float) -> tuple[Breaker, Hand]:
    breaker, hand = made(**rules)
    for _ in range(5):
        end(breaker, well=False)
    assert breaker.state is OPEN
    return breaker, hand


def test_five_failures_in_a_row_open_it_and_four_do_not() -> None:
    breaker, hand = made()
    for _ in range(4):
        end(breaker, well=False)
    end(breaker, well=True)
    for _ in range(4):
        end(breaker, well=False)
    assert breaker.state is CLOSED

    end(breaker, well=False)

    assert breaker.state is OPEN
    assert hand.told == [OPEN]
    assert breaker.admit() is None
    assert breaker.retry_after == 60


def test_after_a_minute_one_call_at_a_time_probes_and_two_good_ones_close_it() -> None:
    breaker, hand = opened()
    hand.now += 59.9
    assert breaker.admit() is None

    hand.now += 0.2
    assert breaker.state is HALF_OPEN
    era = breaker.admit()
    assert era is not None
    assert breaker.admit() is None
    breaker.succeeded(era)
    assert breaker.state is HALF_OPEN
    end(breaker, well=True)

    assert hand.told == [OPEN, HALF_OPEN, CLOSED]
    assert breaker.retry_after == 0


def test_a_probe_that_fails_opens_it_for_another_minute() -> None:
    breaker, hand = opened()
    hand.now += 60
    end(breaker, well=True)
    end(breaker, well=False)

    assert (breaker.state, breaker.retry_after) == (OPEN, 60)


def test_a_probe_that_was_given_up_makes_room_for_the_next() -> None:
    breaker, hand = opened()
    hand.now += 60
    era = breaker.admit()
    assert era is not None
    assert breaker.admit() is None

    breaker.given_up(era)

    assert breaker.admit() is not None


@pytest.mark.parametrize("well", [True, False])
def test_a_call_from_before_it_opened_says_nothing_of_the_probes(well: bool) -> None:
    breaker, hand = made()
    old = breaker.admit()
    assert old is not None
    for _ in range(5):
        end(breaker, well=False)
    hand.now += 60
    probe = breaker.admit()
    assert probe is not None

    (breaker.succeeded if well else breaker.failed)(old)
    breaker.given_up(old)

    assert breaker.state is HALF_OPEN
    assert breaker.admit() is None


def test_half_of_at_least_twenty_calls_of_the_last_minute_open_it_though_none_fail_in_a_row() -> None:
    breaker, _ = made()
    for _ in range(9):
        end(breaker, well=True)
        end(breaker, well=False)
    end(breaker, well=True)
    assert breaker.state is CLOSED

    end(breaker, well=False)

    assert breaker.state is OPEN


def test_calls_of_more_than_a_minute_ago_do_not_count() -> None:
    breaker, hand = made()
    for _ in range(15):
        end(breaker, well=True)
        end(breaker, well=True)
        end(breaker, well=False)
    hand.now += 70
    for _ in range(19):
        end(breaker, well=True)

    end(breaker, well=False)
    end(breaker, well=False)

    assert breaker.state is CLOSED


@given(st.lists(st.tuples(st.sampled_from(["call", "good", "bad", "away"]), st.floats(0, 40)), max_size=80))
def test_whatever_happens_no_more_than_the_probes_are_let_through_and_it_never_locks_up(
    steps: list[tuple[str, float]],
) -> None:
    breaker, hand = made(failures=2, open_seconds=30, successes=1)
    running: list[int] = []
    for what, seconds in steps:
        hand.now += seconds
        if what == "call":
            half_open = breaker.state is HALF_OPEN
            era = breaker.admit()
            assert (era is None) <= (breaker.state in {OPEN, HALF_OPEN})
            if era is not None:
                running.append(era)
                assert not half_open or running.count(era) == 1
        elif running:
            ends = {"good": breaker.succeeded, "bad": breaker.failed, "away": breaker.given_up}
            ends[what](running.pop(0))
    for era in running:
        breaker.given_up(era)
    hand.now += 30
    assert breaker.admit() is not None
