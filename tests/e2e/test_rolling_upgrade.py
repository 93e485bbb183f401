"""An old and a new version side by side: the new one extends the schema under the old one's traffic."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from asyncio import to_thread
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from agentmem.foundation.database.migrate import newest_revision
from tests.architecture.source_tree import SOURCE
from tests.support.balancer import balancer
from tests.support.command_line import PROGRAM
from tests.support.embedded_server import store_folder
from tests.support.redis_server import redis_server
from tests.support.servers import ServerProcess
from tests.support.traffic import bearer, traffic

NEXT = """
from alembic import op

revision = "9000"
down_revision = "{newest}"


def upgrade() -> None:
    op.execute("ALTER TABLE agentmem.memories ADD COLUMN of_the_next_version text")
    op.execute("ALTER TABLE agentmem.jobs ADD COLUMN of_the_next_version text NOT NULL DEFAULT ''")
"""


@pytest.fixture
def directory() -> Iterator[Path]:
    with store_folder() as folder:
        yield folder


@pytest.fixture
def next_version(tmp_path: Path) -> Path:
    """The package with one migration more, as the next version would have it."""
    package = tmp_path / "next" / "agentmem"
    shutil.copytree(
        SOURCE, package, ignore=lambda _, names: [name for name in names if name in {"models", "__pycache__"}]
    )
    inference = Path("foundation") / "inference" / "models"
    (package / inference).symlink_to(SOURCE / inference)
    versions = package / "foundation" / "database" / "migrations" / "versions"
    (versions / "m9000_next.py").write_text(NEXT.format(newest=newest_revision()))
    return package.parent


def add(server: ServerProcess, key: str, content: str) -> None:
    body = {"content": content, "user_id": "both"}
    assert httpx.post(f"{server.url}/v1/memories", headers=bearer(key), json=body, timeout=30).status_code == 201


def found(server: ServerProcess, key: str, query: str) -> str:
    body = {"query": query, "scope": {"user_id": "both"}}
    answer = httpx.post(f"{server.url}/v1/memories/search", headers=bearer(key), json=body, timeout=30)
    return str(answer.json()["hits"][0]["memory"]["content"])


def revisions(directory: Path) -> dict[str, str]:
    """Give the newest schema that each server knows, by its address."""
    environment = {**os.environ, "AGENTMEM_DATA_DIRECTORY": str(directory), "AGENTMEM_LINGER": "0.5"}
    told = subprocess.run(
        [PROGRAM, "instances", "--json"], env=environment, capture_output=True, text=True, check=True
    ).stdout
    listed: Any = json.loads(told)
    return {one["address"]: one["schema_revision"] for one in listed if one["alive"]}


async def test_no_request_fails_while_a_new_version_comes_and_the_old_one_goes_on(
    directory: Path, next_version: Path, tmp_path: Path
) -> None:
    with redis_server(tmp_path) as redis:
        old = ServerProcess(directory, {"redis_url": redis.url, "drain_seconds": "1"})
        new = ServerProcess(directory, {"redis_url": redis.url, "drain_seconds": "1"})
        new.run_from(next_version)
        try:
            await to_thread(old.start)
            key = old.key
            with balancer(tmp_path, [old.port, new.port]) as url:
                async with traffic(url, key) as seen:
                    await seen.flows(10)
                    await to_thread(new.start)
                    await seen.flows(10)
                    assert old.is_ready()
                    assert new.is_ready()
                    assert await to_thread(revisions, directory) == {old.url: newest_revision(), new.url: "9000"}
                    add(old, key, "The old version keeps the lighthouse.")
                    add(new, key, "The new version paints the harbour.")
                    for server in (old, new):
                        assert found(server, key, "lighthouse") == "The old version keeps the lighthouse."
                        assert found(server, key, "harbour") == "The new version paints the harbour."
                    # The old one may start again on the new schema: a rollback needs no backup.
                    assert await to_thread(old.stop) == 0
                    await seen.flows(10)
                    await to_thread(old.start)
                    await seen.flows(10)
                    assert old.is_ready()
            assert seen.failures == []
        finally:
            old.close()
            new.close()
