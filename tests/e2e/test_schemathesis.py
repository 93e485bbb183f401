"""schemathesis over the whole OpenAPI document of a running server, with every check on."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

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


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServerProcess]:
    """A server of its own, without rate limits."""
    process = ServerProcess(tmp_path_factory.mktemp("served") / "store", UNLIMITED)
    process.start()
    yield process
    process.close()


@pytest.mark.timeout(1800)
@pytest.mark.parametrize("last", [False, True])
def test_no_request_that_schemathesis_makes_breaks_the_document(
    server: ServerProcess, tmp_path: Path, pytestconfig: pytest.Config, last: bool
) -> None:
    configuration = tmp_path / "schemathesis.toml"
    configuration.write_text(f'{CONFIGURATION}[auth.openapi]\napiKey = {{ bearer = "{server.key}" }}\n')
    choice = "--include-operation-id" if last else "--exclude-operation-id"
    seconds = 900 if pytestconfig.getoption("--full") else 20 if last else 60
    command = [
        *(sys.executable, "-m", "schemathesis.cli", "--config-file", str(configuration)),
        *("run", f"{server.url}/openapi.json"),
        *("--phases", "examples,coverage,fuzzing", "--checks", "all", "--seed", "1", "--continue-on-failure"),
        *("--max-time", str(seconds), "--no-color", "--warnings", "off"),
        *(part for name in DESTRUCTIVE for part in (choice, name)),
    ]
    environment = {**os.environ, "SCHEMATHESIS_HOOKS": "tests.support.schemathesis_hooks", "PYTHONPATH": str(ROOT)}
    ran = subprocess.run(command, capture_output=True, text=True, env=environment, cwd=tmp_path, check=False)
    said = "\n".join(line[:400] for line in (ran.stdout + ran.stderr).splitlines())
    assert ran.returncode == 0, said[-16000:]
