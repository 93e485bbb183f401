"""schemathesis over the whole OpenAPI document of a running server, with every check on."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.support.command_line import CommandLine
from tests.support.servers import ServerProcess

ROOT = Path(__file__).parents[2]
UNLIMITED = {f"rate_limit_{name}": "0" for name in ("ip", "key", "organization", "failures")}
DESTRUCTIVE = ("delete_organization", "revoke_api_key")
"""After these the key may nothing more: they come last."""
OF_OPERATORS = ("platform:manage", "metrics:read")
CONFIGURATION = """
[checks.positive_data_acceptance]
expected-statuses = ["2xx", "3xx", 401, 403, 404, 409, 412, 413, 428]
[checks.negative_data_rejection]
expected-statuses = [400, 401, 403, 404, 405, 409, 412, 413, 415, 422, 428]
[[operations]]
include-operation-id = ["context", "query", "search"]
phases.coverage.enabled = false
[[operations]]
include-operation-id = ["api_key_usage", "set_policy", "show_factor", "taint", "usage"]
checks.positive_data_acceptance.expected-statuses = ["2xx", 401, 403, 404, 422]
"""
"""Beside the defaults: what is refused for its version or its length is refused. And a filter nests: the combinations
of a single operation that takes one are thousands, and would leave no time for the others. No schema can say that two
days of a query are at most a year apart, that a body is of the kind that the path names, or that one field of several
is there."""


SAMPLE = ("--phases", "examples,fuzzing,stateful", "--max-examples", "3")
"""How many requests a sample makes up of each operation."""
FULL = ("--phases", "examples,coverage,fuzzing,stateful", "--max-time", "400")
"""A full run covers every schema as well, for so many seconds each part; a test that takes 480 is given up."""


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServerProcess]:
    """A server of its own, without rate limits."""
    process = ServerProcess(tmp_path_factory.mktemp("served") / "store", UNLIMITED)
    process.start()
    yield process
    process.close()


@pytest.fixture(scope="module")
def operator_key(server: ServerProcess) -> str:
    """A key that operates the platform, made beside the running server."""
    line = CommandLine(directory=server.directory)
    made = json.loads(line.run("keys", "create", "schemathesis", "--operator", "--json").stdout)
    return str(made["key"])


def run(folder: Path, server: ServerProcess, key: str, choice: Sequence[str]) -> dict[str, set[int]]:
    """Let schemathesis call the chosen operations with a key; no answer may break the document.

    Gives the statuses that each operation answered.
    """
    configuration, calls = folder / "schemathesis.toml", folder / "calls"
    configuration.write_text(f'{CONFIGURATION}[auth.openapi]\napiKey = {{ bearer = "{key}" }}\n')
    command = [
        *(sys.executable, "-m", "schemathesis.cli", "--config-file", str(configuration)),
        *("run", f"{server.url}/openapi.json"),
        *("--checks", "all", "--seed", "1", "--continue-on-failure"),
        *("--no-color", "--warnings", "off", *choice),
    ]
    hooks = {"SCHEMATHESIS_HOOKS": "tests.support.schemathesis_hooks", "SCHEMATHESIS_CALLS": str(calls)}
    environment = {**os.environ, **hooks, "PYTHONPATH": str(ROOT)}
    ran = subprocess.run(command, capture_output=True, text=True, env=environment, cwd=folder, check=False)
    said = "\n".join(line[:400] for line in (ran.stdout + ran.stderr).splitlines())
    assert ran.returncode == 0, said[-16000:]
    found: dict[str, set[int]] = {}
    for line in calls.read_text("utf-8").splitlines():
        operation, _, status = line.rpartition(" ")
        found.setdefault(operation, set()).add(int(status))
    return found


@pytest.mark.timeout(3600)
@pytest.mark.parametrize("part", ["organization", "platform", "last"])
def test_no_request_that_schemathesis_makes_breaks_the_document(
    server: ServerProcess, operator_key: str, tmp_path: Path, part: str, *, full: bool
) -> None:
    described = httpx.get(f"{server.url}/openapi.json").json()["paths"]
    operations = {
        said["operationId"]: (f"{method.upper()} {path}", part_of(said))
        for path, item in described.items()
        for method, said in item.items()
    }
    choice = [word for name, (_, its) in operations.items() if its == part for word in ("--include-operation-id", name)]
    if part == "platform":
        # An operator sees a deleted organization, and may restore it, until its grace has ended.
        choice += ["--exclude-checks", "use_after_free"]
    choice += FULL if full else SAMPLE
    key = operator_key if part == "platform" else server.key

    answered = run(tmp_path, server, key, choice)

    assert set(answered) == {label for label, its in operations.values() if its == part}
    assert part != "platform" or 200 in answered["GET /metrics"]


def part_of(said: dict[str, Any]) -> str:
    """Say in which run an operation is called."""
    if said["operationId"] in DESTRUCTIVE:
        return "last"
    return "platform" if said.get("x-agentmem-permission") in OF_OPERATORS else "organization"
