"""The image: built from nothing, small, closed, and everything of the program in it."""

from __future__ import annotations

import base64
import json
import os
import re
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.architecture.source_tree import ROOT
from tests.support.containers import (
    CLOSED,
    CONTAINERS,
    IMAGE,
    add,
    container,
    found,
    inspect,
    key_made_in,
    local,
    logs,
    need_containers,
    podman,
    ready,
)
from tests.support.deployment import rendered, run, tool
from tests.support.embedded_server import wait_until
from tests.support.redis_server import free_port
from tests.support.servers import KEY

DOCKERFILES = sorted(ROOT.glob("Dockerfile*"))
BUDGET = 550 * 1000 * 1000
LARGEST_LAYER = 420 * 1000 * 1000
CANARY = "The lighthouse keeper drinks black tea at dawn."

pytestmark = pytest.mark.timeout(600)


@pytest.fixture(scope="module")
def image(full: bool) -> str:
    need_containers(full)
    local("build")
    return IMAGE


@pytest.mark.parametrize("dockerfile", DOCKERFILES, ids=lambda path: Path(path).name)
def test_hadolint_finds_nothing(dockerfile: Path) -> None:
    run(tool("hadolint"), "--config", ROOT / "deploy" / "hadolint.yaml", dockerfile)


def test_context_of_a_build_holds_what_the_image_is_built_of_and_nothing_else() -> None:
    lines = (ROOT / ".dockerignore").read_text(encoding="utf-8").splitlines()
    kept = {line.removeprefix("!") for line in lines if line.startswith("!")}
    copied = {
        path.rstrip("/")
        for dockerfile in DOCKERFILES
        for sources in re.findall(r"^COPY (?!--from)(.+) \S+$", dockerfile.read_text(), re.MULTILINE)
        for path in sources.split()
    }

    assert "*" in lines
    assert kept == copied


def test_image_is_small_and_no_layer_of_it_is_a_surprise(image: str) -> None:
    known = inspect(image, "image")
    layers = json.loads(podman("history", "--format=json", image))

    assert known["Size"] <= BUDGET
    assert max(layer["size"] for layer in layers) <= LARGEST_LAYER


def test_image_runs_as_nobody_in_particular_and_says_what_it_is(image: str) -> None:
    config = inspect(image, "image")["Config"]

    assert config["User"] == "10001:10001"
    assert (config["Entrypoint"], config["Cmd"]) == (["agentmem"], ["serve"])
    assert config["Labels"]["org.opencontainers.image.licenses"] == "Apache-2.0"
    assert inspect(image, "image")["Healthcheck"]["Test"] == ["CMD", "agentmem", "health"]


def test_image_has_no_compiler_no_pip_of_its_own_and_no_cache(image: str) -> None:
    look = "command -v gcc cc make; ls -d ~root/.cache /build /opt/agentmem/bin/pip* 2>/dev/null; true"

    assert podman("run", "--rm", "--network=none", *CLOSED, "--entrypoint=sh", image, "-c", look) == ""


def test_layers_waste_nothing(image: str, tmp_path: Path) -> None:
    archive = tmp_path / "image.tar"
    podman("save", "--format=docker-archive", "--output", archive, image)
    run(
        *(tool("dive"), "--source", "docker-archive", archive, "--ci"),
        *("--lowestEfficiency", "0.95", "--highestUserWastedPercent", "0.1"),
        env={**os.environ, "CI": "true"},
    )


def test_container_without_any_setting_serves_offline_and_keeps_memories_over_a_stop(image: str) -> None:
    port = free_port()
    url, settings = f"http://127.0.0.1:{port}", {"port": str(port), "host": "127.0.0.1"}
    volume = podman("volume", "create")
    try:
        with container(f"--volume={volume}:/var/lib/agentmem", environment=settings) as made:
            ready(url, made)
            matched = KEY.search(logs(made))
            assert matched is not None
            memory = add(url, matched.group(), CANARY)
            assert podman("exec", made, "id", "-u") == "10001"
            assert '"status":"ok"' in podman("exec", made, "agentmem", "health")
            podman("stop", "--time=30", made)
            assert inspect(made)["State"]["ExitCode"] == 0
        with container(f"--volume={volume}:/var/lib/agentmem", environment=settings) as made:
            ready(url, made)
            assert found(url, matched.group(), "what does the keeper drink?") == [memory]
            # The embedded database was stopped, not killed with the container.
            log = podman("exec", made, "sh", "-c", "cat /var/lib/agentmem/log/*.log")
            assert "database system was shut down" in log
            assert "not properly shut down" not in log
    finally:
        podman("volume", "rm", "--force", volume)


@pytest.fixture
def database(image: str) -> Iterator[str]:
    """A PostgreSQL in a container, on this machine's network; one master key opens what a database holds."""
    local("stand-ins")
    port = str(free_port())
    names = {"POSTGRES_USER": "agentmem", "POSTGRES_DB": "agentmem", "POSTGRES_PASSWORD": "a-password", "PGPORT": port}
    given = [f"--env={name}={value}" for name, value in names.items()]
    with container(*given, image="localhost/postgres:test") as made:
        wait_until(lambda: "ready to accept connections" in logs(made))
        yield f"postgresql://agentmem:a-password@127.0.0.1:{port}/agentmem"


def test_one_image_migrates_checks_and_serves_in_production_with_a_key_that_root_has_mounted(
    image: str, database: str, tmp_path: Path
) -> None:
    tmp_path.chmod(0o755)
    key_file, url_file = tmp_path / "master.json", tmp_path / "database_url"
    run(
        *(ROOT / ".venv" / "bin" / "python", "-c"),
        "import sys, pathlib; from agentmem.foundation.encryption.providers import masterfile;"
        " masterfile.create_if_missing(pathlib.Path(sys.argv[1]))",
        key_file,
    )
    url_file.write_text(database)
    for file in (key_file, url_file):
        os.chown(file, 0, 10001)
        file.chmod(0o440)
    port = free_port()
    settings = {
        "database_url_file": "/mounted/database_url",
        "key_file": "/mounted/master.json",
        "environment": "production",
        "migrate": "false",
        "port": str(port),
        "host": "127.0.0.1",
    }
    mounted, url = f"--volume={tmp_path}:/mounted:ro", f"http://127.0.0.1:{port}"
    given = [f"--env=AGENTMEM_{name.upper()}={value}" for name, value in settings.items()]
    once = ("run", "--rm", "--network=host", *CLOSED, mounted, *given, image)

    podman(*once, "migrate", "--check", status=1)
    assert "it was at none" in podman(*once, "migrate")
    assert "as it was" in podman(*once, "migrate", "--check")
    with container(mounted, environment=settings) as made:
        ready(url, made)
        assert KEY.search(logs(made)) is None
        key = key_made_in(made)
        assert found(url, key, "black tea") == []
        memory = add(url, key, CANARY)
        assert found(url, key, "black tea") == [memory]
        podman("kill", f"--signal={signal.SIGTERM.value}", made)
        assert podman("wait", made) == "0"
        assert "Traceback" not in logs(made)


def written(secret: dict[str, Any], place: Path) -> Path:
    """Mount a Secret as the kubelet does: as files of root's that the pod's group may read."""
    folder = place / str(secret["metadata"]["name"])
    folder.mkdir()
    place.chmod(0o755)
    for name, value in secret["data"].items():
        file = folder / name
        file.write_bytes(base64.b64decode(value))
        os.chown(file, 0, 10001)
        file.chmod(0o440)
    return folder


def test_pod_of_the_chart_runs_as_it_is_rendered(image: str, database: str, tmp_path: Path) -> None:
    """`podman play kube` takes the Deployment, its ConfigMap and its Secrets, in the network of this machine."""
    port = free_port()
    made = rendered(
        {
            "environment": "staging",
            "image": {"repository": "localhost/agentmem", "tag": "test", "pullPolicy": "Never"},
            "secrets": {"values": {"database_url": database}},
            "masterKey": {"generate": True},
            "migration": {"enabled": False},
            "worker": {"enabled": False},
            "api": {"replicas": 1},
            "metrics": {"port": free_port()},
        }
    )
    deployment = made.one("Deployment", "-api")
    spec = deployment["spec"]["template"]["spec"]
    # This podman knows no probes by name of a port, does not decode a Secret that it mounts, and spreads over no nodes.
    for volume in spec["volumes"]:
        if "secret" in volume:
            folder = written(
                made.one("Secret", volume["secret"]["secretName"].removeprefix("memory-agentmem")), tmp_path
            )
            volume.pop("secret")
            volume["hostPath"] = {"path": str(folder), "type": "Directory"}
    (container_of_ours,) = spec["containers"]
    for name in ("startupProbe", "livenessProbe", "readinessProbe", "ports"):
        container_of_ours.pop(name)
    spec["hostNetwork"] = True
    for name in ("topologySpreadConstraints", "automountServiceAccountToken", "enableServiceLinks"):
        spec.pop(name)
    config = made.one("ConfigMap")
    config["data"] |= {"AGENTMEM_PORT": str(port), "AGENTMEM_HOST": "127.0.0.1"}
    parts = [config, deployment]
    file = tmp_path / "pod.yaml"
    file.write_text("---\n".join(yaml.safe_dump(part) for part in parts))
    url, name = f"http://127.0.0.1:{port}", "memory-agentmem-api-pod-0-api"
    try:
        podman("play", "kube", "--network=host", file)
        ready(url, name)
        key = key_made_in(name)
        assert add(url, key, "The pod remembers the harbour.") in found(url, key, "harbour")
    finally:
        podman("pod", "rm", "--force", "--ignore", "memory-agentmem-api-pod-0")


def test_environment_of_the_containers_is_what_the_scripts_say() -> None:
    told = run("bash", "-c", f"source {ROOT}/scripts/deploy/local.sh; echo $CONTAINERS_CONF $STORAGE_DRIVER").stdout

    assert told.split() == list(CONTAINERS.values())
