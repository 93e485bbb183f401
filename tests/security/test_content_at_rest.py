"""A canary in every sealed place of a store, then searched for in all of its files."""

from __future__ import annotations

import asyncio
import gzip
import re
from pathlib import Path

import pytest

from agentmem import AsyncMemory
from agentmem.errors import AgentMemError
from tests.support.embedded_server import is_down, wait_until

# Letters that no identifier of ours or of PostgreSQL holds by chance.
CANARY = "qxzvjkwp"
CLEAR = "clearmark"


def bytes_with(folder: Path, word: str) -> set[str]:
    """Name the files under a folder that hold a word, in UTF-8 or UTF-16, in any case."""
    patterns = [re.compile(re.escape(word.encode(coding)), re.IGNORECASE) for coding in ("utf-8", "utf-16-le")]
    return {
        str(path.relative_to(folder))
        for path in folder.rglob("*")
        if path.is_file() and any(pattern.search(path.read_bytes()) for pattern in patterns)
    }


async def spread_canaries(memory: AsyncMemory) -> None:
    """Write the canary by every way that content can take, errors too."""
    turn = {"role": "user", "name": f"{CANARY} name", "content": f"{CANARY} said so"}
    added = (
        await memory.add([turn, f"text of {CANARY}"], user_id=f"{CLEAR}-user", metadata={"note": f"{CLEAR}-note"})
    ).memories
    await memory.update(added[0].id, content=f"{CANARY} said otherwise")
    await memory.delete(added[1].id)
    await memory.add(f"a request of {CANARY}", idempotency_key=f"{CLEAR}-key")
    await memory.import_([f'{{"content": "line of {CANARY}"}}'])
    for mode in ("hybrid", "lexical", "semantic"):
        await memory.search(f"where is {CANARY}?", mode=mode)
    for bad in (memory.add(f"{CANARY}\0"), memory.search("q", filters={"content": CANARY}), memory.get(CANARY)):
        with pytest.raises(AgentMemError):
            await bad
    await memory.app.upkeep.tidy(memory.app.caller)
    with pytest.raises(Exception, match="division by zero"):
        async with memory.app.database.transaction(memory.app.caller) as tx:
            await tx.connection.exec_driver_sql("SELECT 1 / 0 /* a faulty statement */")


async def test_content_is_in_no_file_of_the_store(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    directory = tmp_path / "store"
    async with AsyncMemory(data_directory=directory, linger=0, log_level="debug") as memory:
        await spread_canaries(memory)
        await asyncio.to_thread(memory.app.server.ensure_running)
        running = bytes_with(directory, CANARY)
    wait_until(lambda: is_down(directory))
    printed = capfd.readouterr()

    assert running == set()
    assert bytes_with(directory, CANARY) == set()
    assert CANARY not in printed.out + printed.err


async def test_the_search_for_canaries_finds_what_is_in_clear(tmp_path: Path) -> None:
    directory = tmp_path / "store"
    async with AsyncMemory(data_directory=directory, linger=0) as memory:
        await spread_canaries(memory)
    wait_until(lambda: is_down(directory))

    for word in (f"{CLEAR}-user", f"{CLEAR}-note", f"{CLEAR}-key"):
        assert any(name.startswith("postgres/base/") for name in bytes_with(directory, word))


async def test_export_is_the_only_way_out_in_clear(memory: AsyncMemory, tmp_path: Path) -> None:
    await memory.add(f"text of {CANARY}")
    packed = tmp_path / "export.jsonl.gz"
    packed.write_bytes(gzip.compress("".join([line async for line in memory.export()]).encode()))

    assert CANARY in gzip.decompress(packed.read_bytes()).decode()
