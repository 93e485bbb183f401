"""A real HAProxy in front of servers, set up as the page on running several servers says."""

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


def configuration(port: int, ports: Sequence[int]) -> str:
    """Give the page's configuration for these ports."""
    _, _, rest = PAGE.read_text(encoding="utf-8").partition("```text\n# haproxy.cfg\n")
    text, end, _ = rest.partition("```")
    assert end, "the page has lost its configuration"
    lines = [line for line in text.splitlines(keepends=True) if not line.strip().startswith("server ")]
    servers = "".join(f"    server s{number} 127.0.0.1:{port}\n" for number, port in enumerate(ports))
    return "".join(lines).replace("bind :80\n", f"bind 127.0.0.1:{port}\n") + servers


@contextmanager
def balancer(directory: Path, ports: Sequence[int]) -> Iterator[str]:
    """Run HAProxy in front of these ports until the block ends, and give its URL."""
    program = shutil.which("haproxy", path=f"{os.environ['PATH']}:/usr/sbin:/usr/local/sbin")
    if program is None:
        pytest.skip("needs haproxy: make services")
    port = free_port()
    file = directory / "haproxy.cfg"
    file.write_text(configuration(port, ports), encoding="utf-8")
    url = f"http://127.0.0.1:{port}"

    def answers() -> bool:
        try:
            return httpx.get(f"{url}/health/ready", timeout=5).status_code == 200
        except httpx.TransportError:
            return False

    with subprocess.Popen([program, "-db", "-f", file], stdout=subprocess.DEVNULL, stderr=subprocess.PIPE) as running:
        try:
            wait_until(lambda: answers() or running.poll() is not None)
            assert running.poll() is None, running.communicate()[1]
            yield url
        finally:
            running.kill()
