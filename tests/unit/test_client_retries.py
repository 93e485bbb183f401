from __future__ import annotations

import pytest

from agentmem.client.retries import LONGEST_PAUSE, Failed, Retries, Stage
from agentmem.errors import (
    AgentMemError,
    DeadlineExceeded,
    NotFound,
    Overloaded,
    RateLimited,
    RequestRunning,
    StorageFull,
    Unavailable,
    VersionConflict,
)


def retries(most: int = 2, patience: float = 30.0) -> Retries:
    return Retries(most=most, patience=patience)


def failed(error: AgentMemError | None = None, stage: Stage = Stage.ANSWERED) -> Failed:
    return Failed(error=error or Unavailable("x"), stage=stage)


@pytest.mark.parametrize("repeatable", [True, False])
def test_what_was_never_sent_is_sent_again(repeatable: bool) -> None:
    assert retries().pause(0, failed(stage=Stage.NOT_SENT), 0.5, repeatable=repeatable) is not None


@pytest.mark.parametrize("stage", [Stage.CUT, Stage.ANSWERED])
def test_what_may_have_been_done_is_sent_again_only_where_that_does_no_more(stage: Stage) -> None:
    assert retries().pause(0, failed(stage=stage), 0.5, repeatable=True) is not None
    assert retries().pause(0, failed(stage=stage), 0.5, repeatable=False) is None


@pytest.mark.parametrize("kind", [RateLimited, Overloaded])
def test_what_the_server_did_not_look_at_is_sent_again_whatever_it_is(kind: type[AgentMemError]) -> None:
    assert retries().pause(0, failed(kind("x")), 0.5, repeatable=False) is not None


@pytest.mark.parametrize("kind", [RequestRunning, DeadlineExceeded])
def test_repeatable_call_waits_for_what_is_under_way(kind: type[AgentMemError]) -> None:
    assert retries().pause(0, failed(kind("x")), 0.5, repeatable=True) is not None


@pytest.mark.parametrize("kind", [NotFound, VersionConflict, StorageFull, AgentMemError])
def test_final_refusal_is_not_asked_again(kind: type[AgentMemError]) -> None:
    assert retries().pause(0, failed(kind("x")), 0.5, repeatable=True) is None


def test_call_is_repeated_as_often_as_allowed_and_no_more() -> None:
    allowed = [retries(most=2).pause(attempt, failed(), 0.5, repeatable=True) is not None for attempt in range(4)]

    assert allowed == [True, True, False, False]


def test_pauses_grow_to_a_limit_and_differ_by_chance() -> None:
    budget = retries(most=100)
    early, late = (budget.pause(attempt, failed(), 1.0, repeatable=True) for attempt in (0, 50))
    shorter = budget.pause(0, failed(), 0.0, repeatable=True)

    assert early is not None
    assert shorter is not None
    assert shorter < early
    assert late == LONGEST_PAUSE


def test_server_that_says_when_is_asked_no_sooner() -> None:
    pause = retries().pause(0, failed(RateLimited("x", retry_after=7)), 0.0, repeatable=True)

    assert pause == 7


def test_pause_beyond_the_patience_is_not_waited_for() -> None:
    assert retries(patience=5).pause(0, failed(RateLimited("x", retry_after=6)), 0.0, repeatable=True) is None


def test_retries_stop_when_everything_fails_and_come_back_with_what_works() -> None:
    budget = retries(most=1000)
    tried = [budget.pause(0, failed(), 0.5, repeatable=True) is not None for _ in range(30)]
    assert tried.count(True) == 10

    for _ in range(11):
        budget.began()

    assert budget.pause(0, failed(), 0.5, repeatable=True) is not None
    assert budget.pause(0, failed(), 0.5, repeatable=True) is None
