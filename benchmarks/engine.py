"""Measures the engine: ``python -m benchmarks.engine [--sizes 1000,10000] [--scopes 100] [--json FILE]``.

Every engine runs in a process of its own. AgentMem and mem0 take turns in small rounds of the same texts and queries,
so that what else the machine does hits both alike. No query is asked twice. The default takes a few minutes;
``--sizes 1000,10000,100000 --scopes 1000`` is the whole programme, and embeds 100,000 turns when it runs first.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import asdict
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Final, TypeVar

from agentmem.foundation.inference import open as inference
from benchmarks.dialogue import dialogue, questions
from benchmarks.engine_report import Adding, Report, Searching, Starting, Usage, print_report
from benchmarks.footprint import ROOT, installed_size
from benchmarks.mem0 import client as mem0
from benchmarks.process import Engine

Outcome = TypeVar("Outcome")
MODEL: Final = Path(inference.__file__).parent / "models" / inference.DEFAULT_MODEL
ROUNDS: Final = 10
SINGLES: Final = 25
BATCH: Final = 512
BATCHES: Final = 4
MEM0_BATCH: Final = 64
SEARCHES: Final = 30
LIMIT: Final = 10
MEM0_LARGEST: Final = 10_000
OF_SCOPE: Final = 100
RECALLED: Final = 100
WARMING: Final = 20


class Texts:
    """Turns and questions that are each used once."""

    def __init__(self, largest: int) -> None:
        said = dialogue(ROUNDS * SINGLES * 2 + BATCHES * BATCH * 3 + 2000, seed=7)
        self._turns = (
            {"speaker": t.speaker, "text": t.text, "session": t.session, "at": t.occurred_at.isoformat()} for t in said
        )
        self._questions = iter(questions(6000, turns=largest))

    def turns(self, count: int) -> list[dict[str, str]]:
        """Give the next turns."""
        return [next(self._turns) for _ in range(count)]

    def questions(self, count: int) -> list[str]:
        """Give the next questions."""
        return [next(self._questions) for _ in range(count)]


def main() -> None:
    arguments = _arguments()
    sizes = sorted(int(size) for size in arguments.sizes.split(","))
    if arguments.mem0:
        mem0.prepare(sys.executable)
    report = measure(sizes, arguments.scopes, with_mem0=arguments.mem0)
    if arguments.install:
        report.installed = _told("installing", lambda: installed_size(ROOT / "requirements" / "runtime.txt", str(ROOT)))
        report.installed_mem0 = installed_size(None, "mem0ai==2.2.1") if arguments.mem0 else None
    print_report(report)
    if arguments.json is not None:
        arguments.json.write_text(json.dumps(asdict(report), indent=1) + "\n", encoding="utf-8")


def measure(sizes: Sequence[int], scopes: int, *, with_mem0: bool) -> Report:
    """Run the whole programme."""
    report = Report()
    texts = Texts(sizes[-1])
    with ExitStack() as stack:
        folder = Path(stack.enter_context(TemporaryDirectory(prefix="agentmem-bench-", ignore_cleanup_errors=True)))
        report.starting = _told("starting", lambda: _starting(folder / "start", with_mem0=with_mem0))
        ours = stack.enter_context(_agentmem(folder / "ours"))
        theirs = stack.enter_context(_mem0(folder / "theirs")) if with_mem0 else None
        report.model = str(ours.opened["model"])
        filled = 0
        for size in sizes:
            _told(f"filling to {size}", lambda: _fill(ours, theirs, filled, size, sizes[-1]))  # noqa: B023
            filled = size
            rival = theirs if size <= MEM0_LARGEST else None
            if report.adding is None:
                report.adding = _told("adding", lambda: _adding(ours, rival, texts))  # noqa: B023
            report.searching += _told(f"searching {size}", lambda: _searching(ours, rival, texts, size))  # noqa: B023
            report.usage.append(_usage(f"{size} memories", ours, rival))
        recalled = {"queries": texts.questions(RECALLED), "user": "one", "total": sizes[-1]}
        report.recall = float(ours.ask("recall", **recalled, bucket=None)["recall"])
        report.recall_filtered = float(ours.ask("recall", **recalled, bucket=7)["recall"])
    with TemporaryDirectory(prefix="agentmem-bench-", ignore_cleanup_errors=True) as directory:
        report.searching += _told("many scopes", lambda: _many_scopes(Path(directory), texts, scopes))
    return report


def _starting(folder: Path, *, with_mem0: bool) -> list[Starting]:
    """Time from the start of a process to an open store: a new store, a stopped one, one that others have open."""
    found = []
    with _agentmem(folder) as engine:
        found.append(_started("new store", engine))
    with _agentmem(folder) as engine:
        found.append(_started("cold: server stopped", engine))
        with _agentmem(folder) as second:
            found.append(_started("warm: server running", second))
    if with_mem0:
        for name in ("mem0, new store", "mem0, again"):
            with _mem0(folder / "mem0") as engine:
                found.append(_started(name, engine))
    return found


def _started(name: str, engine: Engine) -> Starting:
    return Starting(name=name, process_ms=engine.started_ms, open_ms=float(engine.opened["ms"]))


def _fill(ours: Engine, theirs: Engine | None, first: int, last: int, total: int) -> None:
    ours.ask("fill", first=first, last=last, total=total, scopes=1)
    if theirs is not None and last <= MEM0_LARGEST:
        wanted = [{"speaker": t.speaker, "text": t.text} for t in list(dialogue(last))[first:]]
        for start in range(0, len(wanted), 500):
            theirs.ask("fill", turns=wanted[start : start + 500], user="one")


def _adding(ours: Engine, theirs: Engine | None, texts: Texts) -> Adding:
    """Add one by one and in batches, with the encoder alone over the same kind of turns between the rounds."""
    found = Adding()
    for _ in range(ROUNDS):
        found.single_ms += ours.ms("add", turns=texts.turns(SINGLES), user="adder")
        found.encoder_ms += ours.ms("encode", turns=texts.turns(SINGLES), together=False)
        found.commit_ms += ours.ms("commit", count=SINGLES)
        if theirs is not None:
            found.mem0_single_ms += theirs.ms("add", turns=texts.turns(SINGLES), user="adder")
    for _ in range(BATCHES):
        found.batch_ms += [ms / BATCH for ms in ours.ms("add_batch", turns=texts.turns(BATCH), user="adder")]
        found.encoder_batch_ms += [ms / BATCH for ms in ours.ms("encode", turns=texts.turns(BATCH), together=True)]
        if theirs is not None:
            batch = texts.turns(MEM0_BATCH)
            found.mem0_batch_ms += [ms / MEM0_BATCH for ms in theirs.ms("add_batch", turns=batch, user="adder")]
    return found


def _searching(ours: Engine, theirs: Engine | None, texts: Texts, size: int) -> list[Searching]:
    mine = Searching(name="agentmem", size=size, scopes=1)
    rival = Searching(name="mem0", size=size, scopes=1)
    _ask(ours, texts.questions(WARMING), ["one"] * WARMING)
    for _ in range(ROUNDS):
        asked = texts.questions(SEARCHES)
        mine.take(_ask(ours, asked, ["one"] * SEARCHES))
        if theirs is not None:
            rival.take(theirs.ask("search", queries=asked, user="one", limit=LIMIT))
    return [mine, rival] if theirs is not None else [mine]


def _many_scopes(folder: Path, texts: Texts, scopes: int) -> list[Searching]:
    """Search in one of many scopes of a hundred memories each."""
    total = scopes * OF_SCOPE
    found = Searching(name="agentmem", size=OF_SCOPE, scopes=scopes)
    with _agentmem(folder) as ours:
        ours.ask("fill", first=0, last=total, total=total, scopes=scopes)
        for number in range(ROUNDS + 1):
            users = [f"scope-{(number * 37 + step * 11) % scopes}" for step in range(SEARCHES)]
            answer = _ask(ours, texts.questions(SEARCHES), users)
            if number > 0:  # the first round warms the server up
                found.take(answer)
    return [found]


def _ask(engine: Engine, queries: Sequence[str], users: Sequence[str]) -> dict[str, object]:
    return engine.ask("search", queries=list(queries), users=list(users), limit=LIMIT)


def _usage(name: str, ours: Engine, theirs: Engine | None) -> Usage:
    mine = ours.ask("usage")
    return Usage(
        name=name,
        process_rss=mine["rss"],
        process_peak=mine["peak"],
        process_pss=mine["pss"],
        postgres_pss=mine["postgres_pss"],
        mem0_peak=None if theirs is None else theirs.ask("usage")["peak"],
    )


def _agentmem(folder: Path) -> Engine:
    folder.mkdir(parents=True, exist_ok=True)
    return Engine(sys.executable, "benchmarks.subject", directory=folder, linger=0.0)


def _mem0(folder: Path) -> Engine:
    folder.mkdir(parents=True, exist_ok=True)
    return mem0.start(folder, MODEL)


def _told(what: str, work: Callable[[], Outcome]) -> Outcome:
    """Say on standard error what is being done, and how long it took."""
    print(f"  {what} ...", end="", flush=True, file=sys.stderr)
    began = time.perf_counter()
    outcome = work()
    print(f" {time.perf_counter() - began:.1f} s", file=sys.stderr)
    return outcome


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.engine", description=__doc__)
    parser.add_argument("--sizes", default="1000,10000", help="memories in one scope, in rising steps")
    parser.add_argument("--scopes", type=int, default=100, help="how many scopes of 100 memories, beside each other")
    parser.add_argument("--json", type=Path, help="where to write all figures")
    parser.add_argument("--no-mem0", dest="mem0", action="store_false", help="leave mem0 out")
    parser.add_argument("--no-install", dest="install", action="store_false", help="do not measure installed sizes")
    return parser.parse_args()


if __name__ == "__main__":
    main()
