"""Measures server processes beside each other: ``python -m benchmarks.instances [--servers 1,2,4] [--json FILE]``.

So many ``agentmem serve`` on one store and one Redis, and clients in a process of their own who take the servers in
turn. Beside the calls a second stands what they cost: processor time of the servers, of PostgreSQL and of the clients
for each call, and how busy the machine was, which says what the limit is.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from time import perf_counter
from typing import Final

from benchmarks.dialogue import dialogue, questions
from benchmarks.process import Engine
from benchmarks.server import LIMIT, clients_of, commit, machine, running_server, say

SIZE: Final = 1_000
CLIENTS: Final = 16
TICK: Final = os.sysconf("SC_CLK_TCK")
PARTS: Final = {"servers": "agentmem serve", "postgresql": "postgres", "clients": "benchmarks.server_load"}
"""What the processes of each part are called."""


@dataclass(frozen=True, kw_only=True)
class Figure:
    """What so many servers did."""

    what: str
    servers: int
    calls_a_second: float
    busy: float
    """Share of the machine's processor time that was used."""
    cost_ms: dict[str, float]
    """Processor time of a call, by part."""


def main() -> None:
    arguments = _arguments()
    counts = [int(count) for count in arguments.servers.split(",")]
    figures: list[Figure] = []
    with TemporaryDirectory(prefix="agentmem-bench-", ignore_cleanup_errors=True) as directory:
        folder = Path(directory)
        say(f"filling to {SIZE}")
        with Engine(sys.executable, "benchmarks.subject", directory=folder, linger=0.0) as engine:
            engine.ask("fill", first=0, last=SIZE, total=SIZE, scopes=1)
        with _redis(folder) as redis_url:
            for number, count in enumerate(counts):
                say(f"{count} servers")
                figures += _measure(folder, redis_url, count, number, arguments.calls)
    _print(figures)
    if arguments.json is not None:
        arguments.json.write_text(json.dumps([asdict(figure) for figure in figures], indent=1) + "\n", encoding="utf-8")


def _measure(folder: Path, redis_url: str, servers: int, number: int, calls: int) -> Iterator[Figure]:
    turns = (f"{turn.speaker}: {turn.text}" for turn in dialogue(calls * (number + 1) * 2, seed=13))
    texts = {"add": list(turns)[-calls:], "search": list(questions(calls * (number + 1), turns=10_000))[-calls:]}
    with ExitStack() as stack:
        running = [
            stack.enter_context(running_server(folder, f"AGENTMEM_REDIS_URL={redis_url}")) for _ in range(servers)
        ]
        load = stack.enter_context(clients_of(folder, [port for port, _ in running], running[0][1]))
        for what, user in (("search", "one"), ("add", f"adder-{servers}")):
            warming = {"texts": texts[what][: calls // 5], "clients": CLIENTS, "user": user, "limit": LIMIT}
            load.ask("run", by="rest", what=what, **warming)
            before, idle, began = _spent(), _idle(), perf_counter()
            asked = {"texts": texts[what][calls // 5 :], "clients": CLIENTS, "user": user, "limit": LIMIT}
            answer = load.ask("run", by="rest", what=what, **asked)
            seconds, done = perf_counter() - began, len(answer["ms"])
            cost = {part: (spent - before[part]) * 1000 / done for part, spent in _spent().items()}
            busy = 1 - (_idle() - idle) / (seconds * (os.cpu_count() or 1))
            rate = done / float(answer["seconds"])
            yield Figure(what=what, servers=servers, calls_a_second=rate, busy=busy, cost_ms=cost)


def _spent() -> dict[str, float]:
    """Add up the processor seconds that the processes of each part have used; those that have ended are not seen."""
    found = dict.fromkeys(PARTS, 0.0)
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            said = (folder / "cmdline").read_text(encoding="utf-8", errors="replace").replace("\0", " ")
            fields = (folder / "stat").read_text(encoding="utf-8").rpartition(")")[2].split()
        except OSError:  # it has ended
            continue
        for part, name in PARTS.items():
            if name in said:
                found[part] += (int(fields[11]) + int(fields[12])) / TICK
    return found


def _idle() -> float:
    fields = Path("/proc/stat").read_text(encoding="utf-8").split("\n", 1)[0].split()
    return (int(fields[4]) + int(fields[5])) / TICK


@contextmanager
def _redis(folder: Path) -> Iterator[str]:
    program = shutil.which("redis-server")
    if program is None:
        sys.exit("needs redis-server: make services")
    socket = folder / "redis.sock"
    command = [program, "--port", "0", "--unixsocket", str(socket), "--save", "", "--appendonly", "no"]
    process = subprocess.Popen(command, cwd=folder, stdout=subprocess.DEVNULL)
    try:
        yield f"unix://{socket}?db=0"
    finally:
        process.terminate()
        process.wait(60)


def _print(figures: Sequence[Figure]) -> None:
    print(f"python -m benchmarks.instances {' '.join(sys.argv[1:])}\n{machine()}; commit {commit()}\n")
    print(f"| {SIZE:,} memories, {CLIENTS} clients | servers | calls a second | to one | machine busy | ", end="")
    print(" | ".join(f"{part}, ms a call" for part in PARTS) + " |\n" + "|---" * (5 + len(PARTS)) + "|")
    for figure in sorted(figures, key=lambda each: (each.what != "search", each.servers)):
        one = next(each for each in figures if each.what == figure.what)
        costs = " | ".join(f"{figure.cost_ms[part]:.2f}" for part in PARTS)
        ratio = figure.calls_a_second / one.calls_a_second
        print(
            f"| {figure.what} | {figure.servers} | {figure.calls_a_second:,.0f} | {ratio:.2f} | "
            f"{100 * figure.busy:.0f} % | {costs} |"
        )


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.instances", description=__doc__)
    parser.add_argument("--servers", default="1,2,4", help="how many server processes, one number after the other")
    parser.add_argument("--calls", type=int, default=600, help="calls of each kind, a fifth of them to warm up")
    parser.add_argument("--json", type=Path, help="where to write all figures")
    return parser.parse_args()


if __name__ == "__main__":
    main()
