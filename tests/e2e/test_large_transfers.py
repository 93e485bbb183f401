"""An import or export of any size streams: the server's memory does not grow with its length."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from agentmem import Client
from tests.support.embedded_server import store_folder
from tests.support.servers import ServerProcess, servers

MEMORIES = 40
CONTENT = "The quick brown fox jumps over the lazy dog by the river. " * 2500
"""About 145 kB; only its beginning is embedded."""
TIMES = 15
"""How much longer the second import is than the first: 87 MB."""
SLACK = 32 * 1024
"""Kilobytes by which the peak may differ: buffers of sockets and of the allocator."""


@pytest.fixture(scope="module")
def server() -> Iterator[ServerProcess]:
    with store_folder() as folder, servers(folder, 1, request_timeout="600") as (running,):
        yield running


def peak(server: ServerProcess) -> int:
    """Read the most memory that the server's process has had, in kilobytes."""
    lines = Path(f"/proc/{server.process_id}/status").read_text(encoding="ascii").splitlines()
    return int(next(line for line in lines if line.startswith("VmHWM:")).split()[1])


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="the peak of memory is read from /proc")
def test_memory_does_not_grow_with_the_length_of_an_import_or_export(server: ServerProcess) -> None:
    with Client(server.key, base_url=server.url, timeout=600) as client:
        client.add([{"content": f"{number}. {CONTENT}", "user_id": "fox"} for number in range(MEMORIES)])
        lines = list(client.export(user_id="fox"))
        once = client.import_(lines)
        before = peak(server)
        again = client.import_(line for _ in range(TIMES) for line in lines)
        exported = sum(len(line) for _ in range(TIMES) for line in client.export(user_id="fox"))
        after = peak(server)

    assert (once.skipped, again.skipped) == (MEMORIES, MEMORIES * TIMES)
    assert exported > 80_000_000
    assert after - before < SLACK
