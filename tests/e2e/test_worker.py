"""`agentmem worker`: background jobs in a process of their own, beside a server that does none."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.support.command_line import CommandLine
from tests.support.embedded_server import store_folder, wait_until
from tests.support.redis_server import RedisServer, redis_server
from tests.support.servers import ServerProcess
from tests.support.traffic import bearer


@pytest.fixture(scope="module")
def directory() -> Iterator[Path]:
    with store_folder() as folder:
        yield folder


@pytest.fixture(scope="module")
def redis(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RedisServer]:
    with redis_server(tmp_path_factory.mktemp("redis")) as running:
        yield running


@pytest.fixture(scope="module")
def server(directory: Path, redis: RedisServer) -> Iterator[ServerProcess]:
    """A server that does no jobs."""
    running = ServerProcess(directory, {"redis_url": redis.url, "run_jobs": "false"})
    try:
        running.start()
        yield running
    finally:
        running.close()


def job(server: ServerProcess, job_id: str) -> Any:
    return httpx.get(f"{server.url}/v1/jobs/{job_id}", headers=bearer(server.key), timeout=30).json()


def test_worker_does_what_a_server_is_asked_for_and_stops_when_it_is_told(
    directory: Path, server: ServerProcess, redis: RedisServer
) -> None:
    asked = httpx.post(
        f"{server.url}/v1/maintenance/reembed",
        headers=bearer(server.key),
        json={"model": "default", "background": True},
        timeout=30,
    )
    job_id = asked.json()["job_id"]
    assert (asked.status_code, asked.headers["location"]) == (202, f"/v1/jobs/{job_id}")
    assert job(server, job_id)["state"] == "queued"

    worker = ServerProcess(directory, {"redis_url": redis.url}, command="worker")
    try:
        worker.start(wait=False)
        wait_until(lambda: job(server, job_id)["state"] == "succeeded")
        line = CommandLine(directory=directory)
        shown: Any = line.json("jobs", "show", job_id)
        listed: Any = line.json("jobs", "list", "--kind", "memory.reembed")
        instances: Any = line.json("instances")
        assert shown["state"] == "succeeded"
        assert [one["id"] for one in listed] == [job_id]
        assert sorted(one["role"] for one in instances if one["alive"]) == ["server", "worker"]
        assert line.run("jobs", "retry", job_id, status=1).stderr.startswith(f"error: Job {job_id} is succeeded.")

        worker.tell(signal.SIGTERM)
        assert worker.ends() == 0
        after: Any = line.json("instances")
        assert [one["role"] for one in after] == ["server"]
        assert "AgentMem works in the background" in worker.printed
        assert "Traceback" not in worker.said
    finally:
        worker.close()


def test_worker_that_shares_no_redis_refuses_to_join(directory: Path, server: ServerProcess) -> None:
    assert server.is_ready()
    lonely = ServerProcess(directory, {}, command="worker")
    try:
        lonely.start(wait=False)

        assert lonely.ends() == 1
        assert "AGENTMEM_REDIS_URL" in lonely.said
    finally:
        lonely.close()
