"""What a deployment runs around the servers: `agentmem migrate` before they start, `agentmem health` while they run."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from agentmem.foundation.database.migrate import newest_revision
from tests.support.command_line import CommandLine, temporary_command_line
from tests.support.embedded_server import store_folder, wait_until
from tests.support.redis_server import free_port
from tests.support.servers import KEY, servers


@pytest.fixture(scope="module")
def directory() -> Iterator[Path]:
    with store_folder() as folder:
        yield folder


def test_schema_is_made_once_and_a_check_tells_before_and_changes_nothing() -> None:
    with temporary_command_line() as line:
        for _ in range(2):
            refused = line.run("migrate", "--check", status=1).stderr
            assert "schema revision none" in refused
            assert "agentmem migrate" in refused
        made: Any = line.json("migrate")
        checked: Any = line.json("migrate", "--check")
        again = line.run("migrate").stdout

    newest = newest_revision()
    assert made == {"before": None, "after": newest}
    assert checked == {"before": newest, "after": newest}
    assert again == f"The schema is at revision {newest}; as it was.\n"


def test_server_is_asked_where_it_listens_and_one_that_is_not_there_fails_the_check(directory: Path) -> None:
    with servers(directory, 1, host="0.0.0.0", environment="production") as (server,):
        here = CommandLine(directory=directory, extra={"AGENTMEM_HOST": "0.0.0.0", "AGENTMEM_PORT": str(server.port)})
        assert '"status":"ok"' in here.run("health").stdout
        assert '"status":"ok"' in here.run("health", "--live").stdout
        elsewhere = CommandLine(directory=directory, extra={"AGENTMEM_PORT": str(free_port())})
        assert "No server answers" in elsewhere.run("health", status=1).stderr


def test_in_production_no_key_is_printed_and_the_command_line_makes_the_first(directory: Path) -> None:
    with servers(directory, 1, environment="production") as (server,):
        wait_until(lambda: "agentmem keys create" in server.printed)
        made: Any = CommandLine(directory=directory).json("keys", "create", "first")
        me = httpx.get(f"{server.url}/v1/me", headers={"Authorization": f"Bearer {made['key']}"}, timeout=30).json()

    assert KEY.search(server.printed + server.said) is None
    assert me["role"] == "owner"
