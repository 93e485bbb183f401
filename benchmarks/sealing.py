"""What sealing costs: ``python -m benchmarks.sealing [--size 10000] [--rounds 12]``.

Two processes, one store each, take turns in small rounds of the same texts and questions; one of them has a cipher that
changes nothing and keys that are asked for nowhere. Prints the medians of adding and searching, and their ratios.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import statistics
import subprocess
import sys
import time
from collections.abc import Iterable
from tempfile import TemporaryDirectory

from agentmem import AsyncMemory
from agentmem.features.memories import index_writing, repository
from agentmem.foundation.database.subjects import SubjectRing
from agentmem.foundation.database.transaction import Transaction
from agentmem.foundation.encryption import seal
from benchmarks.dialogue import dialogue, questions

ADDED, ASKED = 20, 30
USER = "ada"


class NoCipher:
    """Takes the place of AES-256-GCM, and leaves everything as it is."""

    def __init__(self, key: object) -> None:
        del key

    def encrypt(self, nonce: bytes, data: bytes, associated_data: bytes) -> bytes:
        """Give the data, as long as if it were sealed."""
        del nonce, associated_data
        return data + bytes(seal.TAG_BYTES)

    def decrypt(self, nonce: bytes, data: bytes, associated_data: bytes) -> bytes:
        """Give the data."""
        del nonce, associated_data
        return data[: -seal.TAG_BYTES]


def seal_nothing() -> None:
    """Have this process seal nothing, and ask for no keys of users."""

    async def hold(tx: Transaction, user_ids: Iterable[str | None], *, writing: bool = False) -> None:
        del writing
        for user_id in user_ids:
            if user_id is not None:
                tx.ring._subjects[user_id] = tx.keys.keyring.active  # noqa: SLF001

    async def unlock(self: SubjectRing, blobs: Iterable[bytes | None]) -> None:
        del self, blobs

    seal.AESGCM = NoCipher  # type: ignore[attr-defined,assignment]
    SubjectRing.unlock = unlock  # type: ignore[method-assign]
    repository.hold_subjects = index_writing.hold_subjects = hold  # type: ignore[attr-defined]


async def work(*, sealed: bool, size: int) -> None:
    """Fill a store, then do one round for each line that comes in, and answer with its times in milliseconds."""
    if not sealed:
        seal_nothing()
    said = iter(dialogue(size + 600, seed=7))
    asked = iter(questions(600, turns=size))
    with TemporaryDirectory() as folder:
        async with AsyncMemory(data_directory=folder, linger=0) as memory:
            for start in range(0, size, 500):
                items = [{"content": next(said).text, "user_id": USER} for _ in range(min(500, size - start))]
                await memory.add_many(items)
            await memory.vacuum()
            print("ready", flush=True)
            while await asyncio.to_thread(sys.stdin.readline):
                times: dict[str, list[float]] = {"add": [], "search": []}
                for _ in range(ADDED):
                    text, began = next(said).text, time.perf_counter()
                    await memory.add(text, user_id=USER)
                    times["add"].append((time.perf_counter() - began) * 1000)
                for _ in range(ASKED):
                    question, began = next(asked), time.perf_counter()
                    await memory.search(question, user_id=USER)
                    times["search"].append((time.perf_counter() - began) * 1000)
                print(json.dumps(times), flush=True)


def main() -> None:
    """Have both processes take turns, and print what they measured."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--size", type=int, default=10_000)
    parser.add_argument("--rounds", type=int, default=12)
    parser.add_argument("--worker", choices=("sealed", "clear"))
    asked = parser.parse_args()
    if asked.worker is not None:
        asyncio.run(work(sealed=asked.worker == "sealed", size=asked.size))
        return
    workers = {name: _start(name, asked.size) for name in ("sealed", "clear")}
    times: dict[str, dict[str, list[float]]] = {name: {"add": [], "search": []} for name in workers}
    for process in workers.values():
        assert _line(process) == "ready"
    for _ in range(asked.rounds):
        for name, process in workers.items():
            assert process.stdin is not None
            process.stdin.write("round\n")
            process.stdin.flush()
            for what, found in json.loads(_line(process)).items():
                times[name][what] += found
    for process in workers.values():
        process.communicate()
    for what in ("add", "search"):
        sealed, clear = (statistics.median(times[name][what]) for name in ("sealed", "clear"))
        print(f"{what}: p50 {sealed:.2f} ms sealed, {clear:.2f} ms in clear: {sealed / clear:.3f}x")


def _start(name: str, size: int) -> subprocess.Popen[str]:
    command = [sys.executable, "-m", "benchmarks.sealing", "--worker", name, "--size", str(size)]
    return subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)


def _line(process: subprocess.Popen[str]) -> str:
    assert process.stdout is not None
    return process.stdout.readline().strip()


if __name__ == "__main__":
    main()
