"""schemathesis over the whole OpenAPI document of a running server, with every check on."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest

from tests.support.command_line import CommandLine
from tests.support.servers import ServerProcess

ROOT = Path(__file__).parents[2]
UNLIMITED = {f"rate_limit_{name}": "0" for name in ("ip", "key", "organization", "failures")}
DESTRUCTIVE = ("delete_organization", "revoke_api_key")
"""After these the key may nothing more: they come last."""
CONFIGURATION = """
[checks.positive_data_acceptance]
expected-statuses = ["2xx", "3xx", 401, 403, 404, 409, 412, 413, 428, 429, "5xx"]
[checks.negative_data_rejection]
expected-statuses = [400, 401, 403, 404, 405, 406, 409, 412, 413, 415, 422, 428, 429, "5xx"]
"""
"""Beside the defaults: what is refused for its version or its length is refused."""


SECONDS = {"last": 20, "platform": 40, "organization": 80}
"""How long a sample takes; a full run takes 15 minutes each."""


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


def run(folder: Path, server: ServerProcess, key: str, seconds: int, choice: Sequence[str]) -> None:
    """Let schemathesis call the chosen operations with a key; no answer may break the document."""
    configuration = folder / "schemathesis.toml"
    configuration.write_text(f'{CONFIGURATION}[auth.openapi]\napiKey = {{ bearer = "{key}" }}\n')
    command = [
        *(sys.executable, "-m", "schemathesis.cli", "--config-file", str(configuration)),
        *("run", f"{server.url}/openapi.json"),
        *("--phases", "examples,coverage,fuzzing,stateful", "--checks", "all", "--seed", "1", "--continue-on-failure"),
        *("--max-time", str(seconds), "--no-color", "--warnings", "off", *choice),
    ]
    environment = {**os.environ, "SCHEMATHESIS_HOOKS": "tests.support.schemathesis_hooks", "PYTHONPATH": str(ROOT)}
    ran = subprocess.run(command, capture_output=True, text=True, env=environment, cwd=folder, check=False)
    said = "\n".join(line[:400] for line in (ran.stdout + ran.stderr).splitlines())
    assert ran.returncode == 0, said[-16000:]


@pytest.mark.timeout(3600)
@pytest.mark.parametrize("part", ["organization", "platform", "last"])
def test_no_request_that_schemathesis_makes_breaks_the_document(
    server: ServerProcess, operator_key: str, tmp_path: Path, part: str, *, full: bool
) -> None:
    named = "--include-operation-id" if part == "last" else "--exclude-operation-id"
    choice = [word for name in DESTRUCTIVE for word in (named, name)]
    if part == "platform":
        # An operator sees a deleted organization, and may restore it, until its grace has ended.
        choice = ["--include-tag", "platform", "--exclude-checks", "use_after_free"]
    key = operator_key if part == "platform" else server.key

    run(tmp_path, server, key, 900 if full else SECONDS[part], choice)
