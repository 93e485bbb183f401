"""The client needs httpx and pydantic, and nothing else of what the engine and the server need."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from importlib.metadata import distribution
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from tests.architecture.source_tree import SOURCE
from tests.support.answers import answering, reply

PROGRAM = """
import sys
sys.path[:0] = sys.argv[2:]
import asyncio
import agentmem
from agentmem import AsyncClient, Client
from agentmem.errors import NotFound

assert "agentmem.entrypoints" not in sys.modules
with Client("key", base_url=sys.argv[1]) as client:
    print(client.add("likes tea", user_id="ana").pending)
    print(client.search("tea").hits)

async def ask():
    async with AsyncClient("key", base_url=sys.argv[1]) as client:
        try:
            await client.get("0190a000-0000-7000-8000-000000000000")
        except NotFound as error:
            print(error)

asyncio.run(ask())
"""


def needed(*names: str) -> set[str]:
    """Name the distributions that an installation of these brings, themselves included."""
    found: set[str] = set()
    waiting = [canonicalize_name(name) for name in names]
    while waiting:
        name = waiting.pop()
        if name not in found:
            found.add(name)
            required = [Requirement(line) for line in distribution(name).requires or []]
            waiting += [
                canonicalize_name(item.name) for item in required if item.marker is None or item.marker.evaluate()
            ]
    return found


def parts_of(name: str) -> Iterator[Path]:
    """Give the files and folders that a distribution has put into the site's packages."""
    home = distribution(name)
    tops = {file.parts[0] for file in home.files or [] if file.parts[0] not in {"..", "__pycache__"}}
    return (Path(str(home.locate_file(top))) for top in sorted(tops))


@pytest.fixture
def light(tmp_path: Path) -> Path:
    """A folder of packages that holds what the client needs and nothing else."""
    for name in needed("httpx", "pydantic"):
        for part in parts_of(name):
            (tmp_path / part.name).symlink_to(part)
    return tmp_path


def test_client_runs_with_httpx_and_pydantic_alone(light: Path) -> None:
    found = {"hits": [], "timings": {"embed_ms": 1, "database_ms": 1, "rank_ms": 1, "total_ms": 3}}
    missing = reply({"code": "not_found", "detail": "There is none."}, 404)
    with answering(reply({"memories": []}, 201), reply(found), missing) as script:
        # -I and -S: neither the environment's packages nor those of the tests are seen.
        command = [sys.executable, "-I", "-S", "-W", "error", "-c", PROGRAM, script.url, str(SOURCE.parent), str(light)]
        done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)

    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.splitlines() == ["False", "[]", "There is none."]


def test_light_folder_holds_no_part_of_the_engine(light: Path) -> None:
    names = {part.name for part in light.iterdir()}

    assert {"httpx", "pydantic"} <= names
    assert names.isdisjoint(
        {"numpy", "sqlalchemy", "psycopg", "onnxruntime", "fastapi", "structlog", "typer", "Stemmer"}
    )
