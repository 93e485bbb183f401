"""The compose files: what they say, and the platform that they start."""

from __future__ import annotations

import os
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import httpx
import pytest
import yaml

from agentmem.settings import PREFIX, Settings
from tests.architecture.source_tree import ROOT
from tests.support.containers import (
    CONTAINERS,
    IMAGE,
    add,
    found,
    inspect,
    key_made_in,
    local,
    logs,
    need_containers,
    podman,
    ready,
)
from tests.support.deployment import run, tool
from tests.support.embedded_server import wait_until
from tests.support.redis_server import free_port
from tests.support.traffic import bearer

FILE, DEVELOPMENT = ROOT / "docker-compose.yml", ROOT / "docker-compose.dev.yml"
PROJECT = "agentmem-test"
OURS = ("server-1", "server-2", "worker", "migrate")

pytestmark = pytest.mark.timeout(600)


def services(file: Path) -> dict[str, dict[str, Any]]:
    return dict(yaml.safe_load(file.read_text(encoding="utf-8"))["services"])


def test_every_container_but_the_database_may_write_nowhere_and_do_nothing_special() -> None:
    for name, service in services(FILE).items():
        if name != "postgres":
            assert service["read_only"] is True, name
            assert service["cap_drop"] == ["ALL"], name
            assert service["security_opt"] == ["no-new-privileges:true"], name


def test_every_variable_is_a_setting_and_no_password_has_a_default() -> None:
    for file in (FILE, DEVELOPMENT):
        for name, service in services(file).items():
            variables = [one for one in service.get("environment", {}) if one.startswith(PREFIX)]
            assert {one.removeprefix(PREFIX).lower() for one in variables} <= set(Settings.model_fields), name
    assert FILE.read_text().count("${POSTGRES_PASSWORD:?") == FILE.read_text().count("${POSTGRES_PASSWORD")


def test_servers_start_when_the_schema_is_there_and_only_this_machine_reaches_them() -> None:
    found_services = services(FILE)

    for name in ("server-1", "server-2", "worker"):
        assert found_services[name]["depends_on"]["migrate"] == {"condition": "service_completed_successfully"}
    assert found_services["migrate"]["depends_on"]["postgres"] == {"condition": "service_healthy"}
    published = {name: service["ports"] for name, service in found_services.items() if "ports" in service}
    assert published == {"nginx": ["${AGENTMEM_PUBLISH:-127.0.0.1:8080}:8080"]}
    for service in services(DEVELOPMENT).values():
        assert all(port.startswith("127.0.0.1:") for port in service.get("ports", []))


def test_development_adds_to_services_that_are_there() -> None:
    assert services(DEVELOPMENT).keys() <= services(FILE).keys()


class Platform:
    """The compose file, started service by service: this podman knows no conditions of health."""

    def __init__(self, folder: Path) -> None:
        document = yaml.safe_load(FILE.read_text(encoding="utf-8").replace("./deploy/", f"{ROOT}/deploy/"))
        for service in document["services"].values():
            service.pop("depends_on", None)
        self.file = folder / "docker-compose.yml"
        self.file.write_text(yaml.safe_dump(document))
        self.port = free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        self.environment = {
            **os.environ,
            **CONTAINERS,
            "PATH": f"{tool('podman').parent}:{os.environ['PATH']}",
            "POSTGRES_PASSWORD": "a-password",
            "POSTGRES_IMAGE": "localhost/postgres:test",
            "REDIS_IMAGE": "localhost/services:test",
            "NGINX_IMAGE": "localhost/services:test",
            "AGENTMEM_IMAGE": IMAGE,
            "AGENTMEM_PUBLISH": f"127.0.0.1:{self.port}",
        }

    def compose(self, *arguments: str) -> None:
        program = tool("podman-compose")
        run(program, "--file", self.file, "--project-name", PROJECT, *arguments, env=self.environment)

    def start(self) -> None:
        self.compose("up", "--detach", "postgres", "redis")
        wait_until(lambda: "ready to accept connections" in logs(self.name("postgres")))
        self.compose("up", "--detach", "migrate")
        assert podman("wait", self.name("migrate")) == "0", logs(self.name("migrate"))
        self.compose("up", "--detach", "server-1", "server-2", "worker")
        for name in ("server-1", "server-2"):
            wait_until(partial(self.is_ready, name), seconds=180)
        self.compose("up", "--detach", "nginx")
        ready(self.url)

    def is_ready(self, name: str) -> bool:
        assert inspect(self.name(name))["State"]["Status"] == "running", logs(self.name(name))
        address = next(iter(inspect(self.name(name))["NetworkSettings"]["Networks"].values()))["IPAddress"]
        try:
            return httpx.get(f"http://{address}:8080/health/ready", timeout=5).status_code == 200
        except httpx.TransportError:
            return False

    def name(self, service: str) -> str:
        return f"{PROJECT}_{service}_1"


@pytest.fixture(scope="module")
def platform(full: bool, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Platform]:
    need_containers(full)
    local("build")
    local("stand-ins")
    made = Platform(tmp_path_factory.mktemp("compose"))
    try:
        made.start()
        yield made
    finally:
        made.compose("down", "--volumes", "--timeout", "40")


@pytest.mark.allow_hosts(["127.0.0.1", "::1", "10.0.0.0/8"])
def test_what_is_added_through_one_server_is_found_through_the_other(platform: Platform) -> None:
    key = key_made_in(platform.name("server-1"))
    memory = add(platform.url, key, "The ferry leaves at seven.")
    # Round robin: two requests reach both.
    assert [memory in found(platform.url, key, "when does the ferry leave?") for _ in range(4)] == [True] * 4
    started = httpx.post(
        f"{platform.url}/v1/maintenance/reembed",
        headers=bearer(key),
        json={"model": "default", "background": True},
        timeout=30,
    )
    job = f"{platform.url}/v1/jobs/{started.json()['job_id']}"
    wait_until(lambda: httpx.get(job, headers=bearer(key), timeout=30).json()["state"] == "succeeded")
    podman("stop", "--time=40", platform.name("server-1"))
    assert inspect(platform.name("server-1"))["State"]["ExitCode"] == 0
    assert memory in found(platform.url, key, "when does the ferry leave?")
