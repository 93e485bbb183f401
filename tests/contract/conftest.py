"""What the suites over the shared state ask for."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator

import pytest

from agentmem.foundation.state.port import State
from tests.support.redis_server import RedisServer
from tests.support.redis_topologies import Topologies, topologies
from tests.support.states import STATES, Open


@pytest.fixture(scope="session")
def servers(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Topologies]:
    with topologies(tmp_path_factory.mktemp("redis")) as running:
        yield running


@pytest.fixture
def server(servers: Topologies) -> RedisServer:
    return servers.single


@pytest.fixture(params=STATES)
async def state(request: pytest.FixtureRequest, servers: Topologies) -> AsyncIterator[State]:
    opened: Open = request.param
    async with opened(servers) as state:
        yield state
