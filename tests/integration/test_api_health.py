"""Health says what is wrong, asks for no key, and is never limited."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import psycopg
import pytest

from agentmem import AsyncMemory
from agentmem.entrypoints.api.draining import Draining
from agentmem.entrypoints.api.serving import Served
from agentmem.errors import EmbedderUnavailable, IncompatibleStore
from agentmem.foundation.database.connect import ExternalServer
from agentmem.foundation.database.database import Database
from agentmem.foundation.database.probe import DatabaseProbe
from agentmem.foundation.state.memory import MemoryState
from agentmem.pipelines.health.readiness import Part, PartState, Readiness
from tests.support.embedders import FlakyEmbedder, HashEmbedder
from tests.support.redis_server import free_port
from tests.support.served import client, served_by
from tests.support.stores import Store, with_models


def whole(memory: AsyncMemory, draining: Draining | None = None) -> Served:
    """Give a server's parts with every check of readiness."""
    app = memory.app
    readiness = Readiness.over(app.database, app.models, app.state)
    return replace(served_by(app), readiness=readiness, draining=draining or Draining())


async def test_server_that_can_serve_is_ready_without_a_key(memory: AsyncMemory) -> None:
    async with client(memory.app, None, served=whole(memory)) as opened:
        for path in ("/health", "/health/ready"):
            answer = await opened.get(path)
            assert answer.status_code == 200
            assert answer.json()["status"] == "ok"
            assert [part["name"] for part in answer.json()["parts"]] == ["database", "migrations", "state", "embedder"]
        assert (await opened.get("/health/live")).json() == {"status": "ok"}


@pytest.mark.parametrize("path", ["/health/live", "/health", "/health/ready"])
async def test_health_takes_nothing_of_a_limit(memory: AsyncMemory, path: str) -> None:
    settings = memory.app.settings.model_copy(update={"rate_limit_ip": 1, "rate_limit_failures": 1})
    app = replace(memory.app, settings=settings)
    async with client(app, None, served=replace(served_by(app), readiness=Readiness(parts=()))) as opened:
        for _ in range(20):
            answer = await opened.get(path)
            assert answer.status_code == 200
            assert "ratelimit" not in answer.headers


async def test_failing_embedder_is_named_and_the_server_stays_ready(store: Store) -> None:
    memory = await store.organization()
    embedder = FlakyEmbedder(HashEmbedder())
    embedder.down = True
    app = with_models(memory.app, embedder)
    served = replace(served_by(app), readiness=Readiness.over(app.database, app.models, app.state))
    async with client(app, None, served=served) as opened:
        ready = await opened.get("/health/ready")
        assert (ready.status_code, ready.json()["status"]) == (200, "degraded")
        assert {"name": "embedder", "status": "degraded", "problem": "embedder_unavailable"} in ready.json()["parts"]
        assert ready.json()["breakers"] == dict.fromkeys(
            ["database", "key_database", "key_provider", "replica", "redis", "embedder", "reranker", "smtp"], "closed"
        )
        assert (await opened.get("/health/live")).status_code == 200


async def test_schema_of_another_version_is_named(memory: AsyncMemory) -> None:
    probe = DatabaseProbe(database=memory.app.database, expected="9999")
    parts = (Part(name="migrations", ask=probe.is_usable), Part(name="database", ask=probe.revision))
    served = replace(served_by(memory.app), readiness=Readiness(parts=parts))
    async with client(memory.app, None, served=served) as opened:
        unready = await opened.get("/health/ready")
    assert unready.json()["errors"] == [{"field": "migrations", "message": "store_incompatible"}]


async def test_newer_schema_is_no_fault_while_it_says_that_this_version_may_use_it(
    database_url: str, tmp_path: Path
) -> None:
    async with AsyncMemory(database_url=database_url, key_file=tmp_path / "keys" / "master.json") as memory:
        probe = DatabaseProbe.of(memory.app.database)
        with psycopg.connect(database_url, autocommit=True) as connection:
            connection.execute("UPDATE agentmem.alembic_version SET version_num = '9999'")
            await probe.is_usable()
            connection.execute("UPDATE agentmem_platform.schema_compatibility SET oldest_revision = '9998'")
        with pytest.raises(IncompatibleStore, match="9999"):
            await probe.is_usable()


async def test_database_that_is_gone_is_named(memory: AsyncMemory) -> None:
    app = memory.app
    gone = ExternalServer(conninfo=f"host=127.0.0.1 port={free_port()} dbname=agentmem")
    database = Database.open(gone, app.database.provider, pool_size=1)
    served = replace(served_by(app), readiness=Readiness.over(database, app.models, app.state))
    async with client(app, None, served=served) as opened:
        unready = await opened.get("/health/ready")
        health = await opened.get("/health")
        assert (await opened.get("/health/live")).status_code == 200
    await database.close()

    assert (unready.status_code, unready.json()["code"]) == (503, "unavailable")
    assert int(unready.headers["retry-after"]) >= 1
    assert unready.json()["errors"] == [
        {"field": "database", "message": "database_unavailable"},
        {"field": "migrations", "message": "database_unavailable"},
    ]
    assert "database, migrations failed" in unready.json()["detail"]
    assert (health.status_code, health.json()["status"]) == (200, "failed")
    assert {part["name"]: part["status"] for part in health.json()["parts"]} == {
        "database": "failed",
        "migrations": "failed",
        "state": "ok",
        "embedder": "ok",
    }


async def test_closed_state_degrades_and_does_not_fail(memory: AsyncMemory) -> None:
    app, state = memory.app, MemoryState()
    await state.aclose()
    served = replace(served_by(app), readiness=Readiness.over(app.database, app.models, state))
    async with client(app, None, served=served) as opened:
        answer = await opened.get("/health/ready")
    assert answer.status_code == 200
    assert answer.json()["status"] == "degraded"
    state_part = next(part for part in answer.json()["parts"] if part["name"] == "state")
    assert (state_part["status"], state_part["problem"]) == ("degraded", "closed")


async def test_draining_server_is_not_ready_but_lives(memory: AsyncMemory) -> None:
    async with client(memory.app, None, served=whole(memory, draining=Draining(begun=True))) as opened:
        assert (await opened.get("/health/ready")).status_code == 503
        assert (await opened.get("/health")).json()["status"] == "stopping"
        assert (await opened.get("/health/live")).status_code == 200


async def test_part_that_faults_or_hangs_is_told_like_one_that_fails() -> None:
    async def fault() -> None:
        raise ZeroDivisionError

    state = await Part(name="odd", ask=fault).state(lambda: 0.0)
    assert state == PartState(name="odd", needed=True, problem="fault_ZeroDivisionError")


async def test_good_answer_holds_for_a_while_and_a_bad_one_briefly() -> None:
    now, asked, broken = [0.0], [0], [False]

    async def ask() -> None:
        asked[0] += 1
        if broken[0]:
            raise EmbedderUnavailable("gone")

    part = Part(name="embedder", ask=ask, fresh=30.0)
    for seconds, problem, count, breaks in (
        (0.0, None, 1, True),
        (29.0, None, 1, True),
        (31.0, "embedder_unavailable", 2, False),
        (31.5, "embedder_unavailable", 2, False),
        (32.5, None, 3, False),
    ):
        now[0] = seconds
        assert (await part.state(lambda: now[0])).problem == problem
        assert asked[0] == count
        broken[0] = breaks
