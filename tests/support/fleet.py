"""A whole installation, as an operator runs it: servers behind nginx, workers, Redis and PostgreSQL."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

import httpx
import pytest

from tests.architecture.source_tree import ROOT
from tests.support.embedded_server import wait_until
from tests.support.postgres_nodes import PostgresNode, postgres_nodes, url_of
from tests.support.redis_server import RedisServer, free_port, redis_server
from tests.support.servers import ServerProcess, servers

PAGE = ROOT / "docs" / "how-to" / "run-several-servers.md"

_QUICK = {"drain_seconds": "1", "request_timeout": "6", "webhook_http": "true", "webhook_networks": '["127.0.0.0/8"]'}
"""So that a claim of an idempotency key whose server was killed is soon given to the next attempt; and webhooks may go
to this machine."""


@dataclass(frozen=True, kw_only=True)
class Fleet:
    """What runs, and where a client finds it."""

    url: str
    key: str
    folder: Path
    settings: Mapping[str, str]
    """The folder and the settings of every process."""
    servers: Sequence[ServerProcess]
    workers: Sequence[ServerProcess]
    redis: RedisServer
    primary: PostgresNode
    standbys: Sequence[PostgresNode]


@contextmanager
def fleet(folder: Path, *, size: int, workers: int = 0, standbys: Sequence[str] = ()) -> Iterator[Fleet]:
    """Start an installation of ``size`` servers."""
    with ExitStack() as stack:
        redis = stack.enter_context(redis_server(folder))
        primary, followers = stack.enter_context(postgres_nodes(*standbys))
        settings = {"database_url": url_of(primary, *followers), "redis_url": redis.url, **_QUICK}
        running = stack.enter_context(servers(folder / "data", size, **settings))
        working = stack.enter_context(servers(folder / "data", workers, command="worker", **settings))
        url = stack.enter_context(nginx(folder, [server.port for server in running]))
        yield Fleet(
            url=url,
            key=running[0].key,
            folder=folder / "data",
            settings=settings,
            servers=running,
            workers=working,
            redis=redis,
            primary=primary,
            standbys=followers,
        )


@contextmanager
def nginx(folder: Path, ports: Sequence[int]) -> Iterator[str]:
    """Run nginx in front of these ports, set up as the page says, and give its URL."""
    program = shutil.which("nginx", path=f"{os.environ['PATH']}:/usr/sbin:/usr/local/sbin")
    if program is None:
        pytest.skip("needs nginx: make services")
    port = free_port()
    file = folder / "nginx.conf"
    file.write_text(configuration(folder, port, ports), encoding="utf-8")
    url = f"http://127.0.0.1:{port}"

    def answers() -> bool:
        try:
            return httpx.get(f"{url}/health/ready", timeout=5).status_code == 200
        except httpx.TransportError:
            return False

    command = [program, "-c", str(file), "-p", str(folder), "-e", str(folder / "nginx.log")]
    with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE) as running:
        try:
            wait_until(lambda: answers() or running.poll() is not None)
            assert running.poll() is None, running.communicate()[1]
            yield url
        finally:
            running.terminate()


def configuration(folder: Path, port: int, ports: Sequence[int]) -> str:
    """Give the page's configuration for these ports, round robin, with all that nginx writes in one folder."""
    _, _, rest = PAGE.read_text(encoding="utf-8").partition("```text\nupstream agentmem {")
    text, end, _ = rest.partition("```")
    assert end, "the page has lost its configuration"
    lines = [line for line in text.splitlines() if not line.strip().startswith(("server 10.", "least_conn"))]
    upstream = [f"    server 127.0.0.1:{each} max_fails=1 fail_timeout=1s;" for each in ports]
    http = "\n".join(["upstream agentmem {", *upstream, *lines]).replace("listen 80;", f"listen 127.0.0.1:{port};")
    kinds = ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
    places = "\n".join(f"{kind}_temp_path {folder}/nginx-{kind};" for kind in kinds)
    return (
        f"daemon off;\npid {folder}/nginx.pid;\nworker_processes 1;\nevents {{ worker_connections 1024; }}\n"
        f"http {{\naccess_log off;\n{places}\n{http}\n}}\n"
    )
