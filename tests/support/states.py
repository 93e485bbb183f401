"""Every kind of shared state, as the contract suite opens it."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import replace

from agentmem.foundation.resilience.guarded import Guarded
from agentmem.foundation.state.fallback import REDIS, FallbackState
from agentmem.foundation.state.memory import MemoryState
from agentmem.foundation.state.port import State
from agentmem.foundation.state.redis import RedisState
from tests.support.patience import PATIENCE
from tests.support.redis_topologies import Topologies

NOWHERE = "redis://127.0.0.1:1/0"
Open = Callable[[Topologies], AbstractAsyncContextManager[State]]


@asynccontextmanager
async def closed_at_the_end(state: State) -> AsyncIterator[State]:
    try:
        yield state
    finally:
        await state.aclose()


def redis_at(url: str) -> AbstractAsyncContextManager[State]:
    return closed_at_the_end(RedisState(url, timeout=PATIENCE))


def in_memory(_servers: Topologies) -> AbstractAsyncContextManager[State]:
    return closed_at_the_end(MemoryState())


def in_redis(servers: Topologies) -> AbstractAsyncContextManager[State]:
    return redis_at(servers.single.url)


def in_redis_behind_tls(servers: Topologies) -> AbstractAsyncContextManager[State]:
    return redis_at(servers.encrypted)


def in_redis_on_a_socket(servers: Topologies) -> AbstractAsyncContextManager[State]:
    return redis_at(servers.on_a_socket)


def in_redis_watched_by_sentinels(servers: Topologies) -> AbstractAsyncContextManager[State]:
    return redis_at(servers.sentinels.url)


def in_a_cluster(servers: Topologies) -> AbstractAsyncContextManager[State]:
    return redis_at(servers.cluster)


def in_redis_or_memory(servers: Topologies) -> AbstractAsyncContextManager[State]:
    patient = Guarded(replace(REDIS, seconds=PATIENCE))
    shared = RedisState(servers.single.url, timeout=PATIENCE)
    return closed_at_the_end(FallbackState(shared, MemoryState(), guarded=patient))


def without_redis(_servers: Topologies) -> AbstractAsyncContextManager[State]:
    return closed_at_the_end(FallbackState(RedisState(NOWHERE), MemoryState()))


STATES: list[Open] = [
    in_memory,
    in_redis,
    in_redis_behind_tls,
    in_redis_on_a_socket,
    in_redis_watched_by_sentinels,
    in_a_cluster,
    in_redis_or_memory,
    without_redis,
]
ANSWERING = [opened for opened in STATES if opened is not without_redis]
SHARED: list[Open] = [in_redis, in_redis_behind_tls, in_redis_watched_by_sentinels, in_a_cluster]
