"""What is kept for a while: a bounded number of values, each up to its time."""

from __future__ import annotations

from agentmem.kit.cache import Cache


def test_a_value_is_kept_until_its_time_is_over() -> None:
    now = [0.0]
    cache: Cache[str, int] = Cache(capacity=3, seconds=10, clock=lambda: now[0])
    cache.put("a", 1)
    cache.put("b", 2, until=4)

    now[0] = 4
    assert (cache.get("a"), cache.get("b"), cache.get("c")) == (1, None, None)
    now[0] = 10
    assert cache.get("a") is None
    assert cache.keys() == []


def test_the_least_recently_used_value_goes_first() -> None:
    cache: Cache[str, int] = Cache(capacity=2, seconds=10, clock=lambda: 0.0)
    cache.put("a", 1)
    cache.put("b", 2)
    cache.get("a")
    cache.put("c", 3)

    assert cache.keys() == ["a", "c"]
    assert "b" not in cache


def test_a_value_that_was_dropped_is_gone() -> None:
    cache: Cache[str, int] = Cache(capacity=2, seconds=10)
    cache.put("a", 1)
    cache.put("b", 2)
    cache.drop("a")
    cache.drop("never there")

    assert (cache.get("a"), cache.get("b")) == (None, 2)
    cache.clear()
    assert cache.get("b") is None
