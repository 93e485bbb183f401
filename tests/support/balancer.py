"""Real balancers in front of servers, HAProxy and nginx, set up as the page on running several servers says."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import httpx
import pytest

from tests.architecture.source_tree import ROOT
from tests.support.embedded_server import wait_until
from tests.support.redis_server import free_port

PAGE = ROOT / "docs" / "how-to" / "run-several-servers.md"
HAPROXY, NGINX = "```text\n# haproxy.cfg\n", "```text\nupstream agentmem {\n"
"""How the configurations of the page begin."""


@contextmanager
def balancer(directory: Path, ports: Sequence[int]) -> Iterator[str]:
    """Run HAProxy in front of these ports until the block ends, and give its URL."""
    port, file = free_port(), directory / "haproxy.cfg"
    servers = "".join(f"    server s{number} 127.0.0.1:{port}\n" for number, port in enumerate(ports))
    text = "".join(_without(HAPROXY, "server ")).replace("bind :80\n", f"bind 127.0.0.1:{port}\n")
    file.write_text(text + servers, encoding="utf-8")
    with _running("haproxy", ["-db", "-f", str(file)], port) as url:
        yield url


@contextmanager
def nginx(folder: Path, ports: Sequence[int]) -> Iterator[str]:
    """Run nginx in front of these ports, round robin, until the block ends, and give its URL."""
    port, file = free_port(), folder / "nginx.conf"
    upstream = "".join(f"    server 127.0.0.1:{each} max_fails=1 fail_timeout=1s;\n" for each in ports)
    text = "".join(_without(NGINX, "server 10.", "least_conn")).replace("listen 80;", f"listen 127.0.0.1:{port};")
    kinds = ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
    places = "".join(f"{kind}_temp_path {folder}/nginx-{kind};\n" for kind in kinds)
    file.write_text(
        f"daemon off;\npid {folder}/nginx.pid;\nworker_processes 1;\nevents {{ worker_connections 1024; }}\n"
        f"http {{\naccess_log off;\n{places}upstream agentmem {{\n{upstream}{text}}}\n",
        encoding="utf-8",
    )
    with _running("nginx", ["-c", str(file), "-p", str(folder), "-e", str(folder / "nginx.log")], port) as url:
        yield url


def _without(beginning: str, *lines: str) -> list[str]:
    """Give a configuration of the page, after its beginning, without the lines that begin so."""
    _, _, rest = PAGE.read_text(encoding="utf-8").partition(beginning)
    text, end, _ = rest.partition("```")
    assert end, "the page has lost its configuration"
    return [line for line in text.splitlines(keepends=True) if not line.strip().startswith(lines)]


@contextmanager
def _running(name: str, arguments: Sequence[str], port: int) -> Iterator[str]:
    """Run a program until the block ends, and give its URL once a server behind it is ready."""
    program = shutil.which(name, path=f"{os.environ['PATH']}:/usr/sbin:/usr/local/sbin")
    if program is None:
        pytest.skip(f"needs {name}: make services")
    url = f"http://127.0.0.1:{port}"

    def answers() -> bool:
        try:
            return httpx.get(f"{url}/health/ready", timeout=5).status_code == 200
        except httpx.TransportError:
            return False

    with subprocess.Popen([program, *arguments], stdout=subprocess.DEVNULL, stderr=subprocess.PIPE) as running:
        try:
            wait_until(lambda: answers() or running.poll() is not None)
            assert running.poll() is None, running.communicate()[1]
            yield url
        finally:
            running.terminate()
