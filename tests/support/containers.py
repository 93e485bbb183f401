"""Images that are built here, and containers that run them, on a machine without a Docker engine or a registry."""

from __future__ import annotations

import json
import os
import re
import subprocess
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.architecture.source_tree import ROOT
from tests.support.deployment import run, tool
from tests.support.embedded_server import wait_until
from tests.support.traffic import bearer

IMAGE = "localhost/agentmem:test"
LOCAL = ROOT / "scripts" / "deploy" / "local.sh"
CONTAINERS = {"CONTAINERS_CONF": str(ROOT / "deploy" / "tools" / "containers.conf"), "STORAGE_DRIVER": "overlay"}
CLOSED = ("--read-only", "--cap-drop=ALL", "--security-opt=no-new-privileges", "--tmpfs=/tmp", "--no-healthcheck")
"""How a container of ours is run: it may write to its volume and /tmp, and do nothing else."""
PATIENCE = 480


def need_containers(full: bool) -> None:
    """Skip the test where images are not to be built, or cannot be."""
    if not full:
        pytest.skip("builds and runs images: make test-deploy")
    for program in ("buildah", "podman", "runc", "mmdebstrap"):
        tool(program)


def local(part: str) -> None:
    """Build something, or do nothing when it is there."""
    run(LOCAL, part, timeout=PATIENCE)


def podman(*arguments: str | Path, status: int = 0) -> str:
    """Run podman, and give what it says."""
    return str(run(tool("podman"), *arguments, status=status, env={**os.environ, **CONTAINERS}).stdout).strip()


@contextmanager
def container(
    *options: str, command: Sequence[str] = (), image: str = IMAGE, environment: Mapping[str, str] | None = None
) -> Iterator[str]:
    """Run a container on this machine's network, and remove it at the end; gives its id."""
    given = [f"--env=AGENTMEM_{name.upper()}={value}" for name, value in (environment or {}).items()]
    made = podman("run", "--detach", "--network=host", *CLOSED, *options, *given, image, *command)
    try:
        yield made
    finally:
        podman("rm", "--force", "--volumes", "--time=20", made)


def logs(made: str) -> str:
    """Give all that a container has said."""
    command = [str(tool("podman")), "logs", made]
    done = subprocess.run(command, env={**os.environ, **CONTAINERS}, capture_output=True, text=True, check=True)
    return done.stdout + done.stderr


def inspect(made: str, what: str = "container") -> dict[str, Any]:
    """Give what podman knows of a container or an image."""
    (found,) = json.loads(podman("inspect", f"--type={what}", made))
    return dict(found)


def ready(url: str, made: str | None = None) -> None:
    """Wait until a server takes requests; one that has ended says why."""

    def answers() -> bool:
        if made is not None:
            assert inspect(made)["State"]["Status"] in {"created", "running"}, logs(made)
        try:
            return httpx.get(f"{url}/health/ready", timeout=5).status_code == 200
        except httpx.TransportError:
            return False

    wait_until(answers, seconds=180)


def add(url: str, key: str, content: str) -> str:
    """Add a memory and give its id."""
    body = {"content": content, "user_id": "ann"}
    answer = httpx.post(f"{url}/v1/memories", json=body, headers=bearer(key), timeout=30)
    assert answer.status_code == 201, answer.text
    return str(answer.json()["memories"][0]["id"])


def found(url: str, key: str, query: str) -> list[str]:
    """Search, and give the ids of what is found."""
    body = {"query": query, "scope": {"user_id": "ann"}}
    answer = httpx.post(f"{url}/v1/memories/search", json=body, headers=bearer(key), timeout=30)
    assert answer.status_code == 200, answer.text
    return [hit["memory"]["id"] for hit in answer.json()["hits"]]


def key_made_in(made: str) -> str:
    """Make a key of the owner inside of a container."""
    told = podman("exec", made, "agentmem", "keys", "create", "first", "--json")
    matched = re.search(r'"key": "(amk_[^"]+)"', told)
    assert matched is not None
    return matched[1]
