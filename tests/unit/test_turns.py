"""Turns: so many at once, a share of them for each, and a queue that is fair."""

from __future__ import annotations

import asyncio

import pytest

from agentmem.entrypoints.api.connections import Connections
from agentmem.entrypoints.api.turns import Turn, Turns
from agentmem.errors import Overloaded
from agentmem.kit.networks import parse_network


def turns(*, most: int = 4, share: int = 2, most_queued: int = 4) -> Turns:
    return Turns(most=most, share=share, most_queued=most_queued)


async def waiting(pool: Turns, subject: str) -> asyncio.Task[bool]:
    """Ask for a turn, and let it come to the queue."""
    asked = asyncio.create_task(pool.take(subject))
    await asyncio.sleep(0)
    return asked


async def test_one_has_its_share_and_others_the_rest() -> None:
    pool = turns(most_queued=0)
    assert [await pool.take("a") for _ in range(3)] == [True, True, False]
    assert [await pool.take(other) for other in "bcd"] == [True, True, False]


async def test_who_waits_is_served_in_order_but_for_whose_share_is_taken() -> None:
    pool = turns(most=3)
    assert [await pool.take(one) for one in "aab"] == [True, True, True]
    of_a, of_c = await waiting(pool, "a"), await waiting(pool, "c")
    pool.give_back("b")
    assert await of_c
    assert not of_a.done()
    pool.give_back("a")
    assert await of_a


async def test_one_does_not_fill_the_queue_for_others() -> None:
    pool = turns(most=1, share=1, most_queued=2)
    assert await pool.take("a")
    mine = await waiting(pool, "a")
    assert not await pool.take("a")
    other = await waiting(pool, "b")
    assert not await pool.take("c")
    pool.give_back("a")
    assert await mine
    pool.give_back("a")
    assert await other


async def test_who_leaves_while_it_waits_takes_no_turn() -> None:
    pool = turns(most=1, share=1)
    assert await pool.take("a")
    gone, next_one = await waiting(pool, "b"), await waiting(pool, "c")
    gone.cancel()
    with pytest.raises(asyncio.CancelledError):
        await gone
    pool.give_back("a")
    assert await next_one


async def test_who_leaves_as_its_turn_comes_gives_it_back() -> None:
    pool = turns(most=1, share=1)
    assert await pool.take("a")
    gone = await waiting(pool, "b")
    pool.give_back("a")
    gone.cancel()
    with pytest.raises(asyncio.CancelledError):
        await gone
    assert await pool.take("c")


async def test_request_goes_from_the_door_inside_and_holds_one_turn_at_a_time() -> None:
    door, inside = turns(most=1, most_queued=0), turns(most=1, most_queued=0)
    first, second = Turn(door=door, inside=inside), Turn(door=door, inside=inside)
    await first.begin("192.0.2.1")
    with pytest.raises(Overloaded):
        await second.begin("192.0.2.2")
    await first.enter("organization")
    await second.begin("192.0.2.2")
    with pytest.raises(Overloaded):
        await second.enter("organization")
    first.end()
    first.end()
    await second.enter("organization")


def test_connections_are_bounded_in_all_and_for_each_address_but_those_of_trusted_proxies() -> None:
    connections = Connections(most=8, trusted=[parse_network("10.0.0.0/8")])
    assert [connections.enter("192.0.2.1") for _ in range(3)] == ["192.0.2.1", "192.0.2.1", None]
    assert [connections.enter("10.0.0.1") is None for _ in range(7)] == [False] * 6 + [True]
    connections.leave("192.0.2.1")
    assert connections.enter("192.0.2.2") == "192.0.2.2"
    assert connections.enter(None) is None
