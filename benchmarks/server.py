"""Measures the server: ``python -m benchmarks.server [--sizes 1000] [--clients 1,8,64] [--json FILE]``.

A server process as ``agentmem serve`` starts it, without rate limits, and clients in a process of their own that each
wait for an answer before they ask again. The same adds and searches are made over HTTP, by the SDK, and in the clients'
process by the embedded library on the same store, in turns, so that what else the machine does hits all alike. No text
is used twice. ``--sizes 10000,100000`` is the whole programme, and embeds 100,000 turns when it runs first.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import re
import signal
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import asdict, dataclass, field
from itertools import islice
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Final

from benchmarks.dialogue import dialogue, questions
from benchmarks.engine_report import percentile
from benchmarks.footprint import ROOT
from benchmarks.process import Engine

ROUNDS: Final = 20
LIMIT: Final = 10
WARMING: Final = 20
FEWEST_TURNS: Final = 10_000
WAYS: Final = ("embedded", "rest", "sdk")
KEY: Final = re.compile(r"\bamk_live_\w+")
URL: Final = re.compile(r"http://127\.0\.0\.1:(\d+)")
UNLIMITED: Final = [f"AGENTMEM_RATE_LIMIT_{dimension}=0" for dimension in ("IP", "KEY", "ORGANIZATION")]


@dataclass(kw_only=True)
class Level:
    """What one way of calling took at one size, with so many clients at once."""

    what: str
    by: str
    size: int
    clients: int
    ms: list[float] = field(default_factory=list)
    seconds: float = 0.0


@dataclass(kw_only=True)
class Report:
    """The figures, and what they were measured with."""

    command: str
    machine: str
    commit: str
    levels: list[Level] = field(default_factory=list)


class Texts:
    """Turns and questions that are each used once."""

    def __init__(self, largest: int, count: int) -> None:
        self._turns = (f"{turn.speaker}: {turn.text}" for turn in dialogue(count, seed=11))
        # Few conversations do not have so many different questions.
        self._questions = iter(questions(count, turns=max(largest, FEWEST_TURNS)))

    def take(self, what: str, count: int) -> list[str]:
        """Give the next texts to add, or the next questions to search for."""
        return list(islice(self._turns if what == "add" else self._questions, count))


def main() -> None:
    arguments = _arguments()
    sizes = sorted(int(size) for size in arguments.sizes.split(","))
    clients = [int(count) for count in arguments.clients.split(",")]
    report = Report(
        command=" ".join(["python -m benchmarks.server", *sys.argv[1:]]), machine=machine(), commit=commit()
    )
    rounds = sum(max(WARMING, count) + ROUNDS * max(arguments.calls // ROUNDS, count) for count in clients)
    texts = Texts(sizes[-1], len(sizes) * len(WAYS) * rounds)
    with TemporaryDirectory(prefix="agentmem-bench-", ignore_cleanup_errors=True) as folder:
        filled = 0
        for size in sizes:
            say(f"filling to {size}")
            with Engine(sys.executable, "benchmarks.subject", directory=Path(folder), linger=0.0) as engine:
                engine.ask("fill", first=filled, last=size, total=sizes[-1], scopes=1)
            filled = size
            report.levels += _measure(Path(folder), texts, size, clients, arguments.calls)
    _print(report)
    if arguments.json is not None:
        arguments.json.write_text(json.dumps(asdict(report), indent=1) + "\n", encoding="utf-8")


def _measure(folder: Path, texts: Texts, size: int, clients: Sequence[int], calls: int) -> list[Level]:
    found = []
    with ExitStack() as stack:
        port, key = stack.enter_context(running_server(folder))
        load = stack.enter_context(clients_of(folder, [port], key))
        for what in ("search", "add"):
            for count in clients:
                say(f"{what}, {size} memories, {count} clients")
                levels = [Level(what=what, by=by, size=size, clients=count) for by in WAYS]
                _round(load, texts, levels, max(WARMING, count), keep=False)
                for _ in range(ROUNDS):
                    _round(load, texts, levels, max(calls // ROUNDS, count), keep=True)
                found += levels
    return found


def _round(load: Engine, texts: Texts, levels: Sequence[Level], count: int, *, keep: bool) -> None:
    """Let each way make so many calls."""
    for level in levels:
        user = "one" if level.what == "search" else f"adder-{level.clients}-{level.by}"
        asked = {"texts": texts.take(level.what, count), "clients": level.clients, "user": user, "limit": LIMIT}
        answer = load.ask("run", by=level.by, what=level.what, **asked)
        if keep:
            level.ms += answer["ms"]
            level.seconds += answer["seconds"]


@contextmanager
def running_server(folder: Path, *more: str) -> Iterator[tuple[int, str]]:
    """Run a server on the store; gives its port and a key, which it shows at its first start alone."""
    settings = [*UNLIMITED, *more, f"AGENTMEM_DATA_DIRECTORY={folder / 'store'}", "AGENTMEM_PORT=0", f"HOME={folder}"]
    program = Path(sys.executable).with_name("agentmem")
    command = ["/usr/bin/env", *settings, str(program), "serve"]
    kept = folder / "key"
    with (folder / "server.log").open("a", encoding="utf-8") as log:
        process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=log, text=True)
        try:
            assert process.stdout is not None
            port: int | None = None
            for line in process.stdout:
                if found := URL.search(line):
                    port = int(found[1])
                if key := KEY.search(line):
                    kept.write_text(key[0], encoding="utf-8")
                if port is not None and kept.exists():
                    break
            if port is None:
                raise RuntimeError((folder / "server.log").read_text(encoding="utf-8")[-3000:])
            yield port, kept.read_text(encoding="utf-8")
        finally:
            process.send_signal(signal.SIGTERM)
            process.communicate(timeout=120)


def clients_of(folder: Path, ports: Sequence[int], key: str) -> Engine:
    """Start the clients' process."""
    engine_folder = folder / "load"
    engine_folder.mkdir(exist_ok=True)
    return Engine(
        sys.executable, "benchmarks.server_load", directory=engine_folder, store=str(folder), ports=ports, key=key
    )


def _print(report: Report) -> None:
    print(f"{report.command}\n{report.machine}; commit {report.commit}\n")
    print("| | memories | clients | way | calls a second | p50 | p95 | p99 |\n|---|---|---|---|---|---|---|---|")
    for level in report.levels:
        times = " | ".join(f"{percentile(level.ms, percent):,.1f}" for percent in (50, 95, 99))
        rate = len(level.ms) / level.seconds
        print(f"| {level.what} | {level.size:,} | {level.clients} | {level.by} | {rate:,.0f} | {times} |")
    print()
    for what, size in dict.fromkeys((level.what, level.size) for level in report.levels):
        one = {level.by: level for level in report.levels if (level.what, level.size, level.clients) == (what, size, 1)}
        if len(one) == len(WAYS):
            added = percentile(one["rest"].ms, 50) - percentile(one["embedded"].ms, 50)
            print(f"{what}, {size:,} memories, one client: the server adds {added:.2f} ms at p50 (goal: at most 2)")


def machine() -> str:
    """Name the machine."""
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30
    return f"{os.cpu_count()} cores, {memory:.0f} GiB, {platform.system()}, Python {platform.python_version()}"


def commit() -> str:
    """Name the version that is measured."""
    git = ["/usr/bin/env", "git", "-C", str(ROOT), "describe", "--always", "--dirty"]
    done = subprocess.run(git, capture_output=True, text=True, check=False)
    return done.stdout.strip() or "unknown"


def say(what: str) -> None:
    """Tell what goes on."""
    print(f"  {what} ...", file=sys.stderr, flush=True)


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.server", description=__doc__)
    parser.add_argument("--sizes", default="1000", help="memories in the scope that is searched, in rising steps")
    parser.add_argument("--clients", default="1,8,64", help="how many clients at once")
    parser.add_argument(
        "--calls", type=int, default=500, help="calls of each kind and way, at least one a client and round"
    )
    parser.add_argument("--json", type=Path, help="where to write all figures")
    return parser.parse_args()


if __name__ == "__main__":
    main()
