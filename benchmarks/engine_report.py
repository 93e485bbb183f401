"""What the engine's measurement found, and how it is printed: figures beside their goals."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from statistics import fmean, median
from typing import Any, Final

from benchmarks.footprint import Installed

MEBIBYTE: Final = 1024 * 1024


def percentile(values: Sequence[float], percent: int) -> float:
    """Give the value that so many percent of the values do not exceed (nearest rank)."""
    ordered = sorted(values)
    return ordered[max(0, -(-len(ordered) * percent // 100) - 1)]


@dataclass(frozen=True, kw_only=True)
class Starting:
    """How long it took until a store was open: from the start of its process, and the opening alone."""

    name: str
    process_ms: float
    open_ms: float


@dataclass(kw_only=True)
class Adding:
    """Milliseconds a memory: one call each, batches, and what they are compared with."""

    single_ms: list[float] = field(default_factory=list)
    encoder_ms: list[float] = field(default_factory=list)
    commit_ms: list[float] = field(default_factory=list)
    mem0_single_ms: list[float] = field(default_factory=list)
    batch_ms: list[float] = field(default_factory=list)
    encoder_batch_ms: list[float] = field(default_factory=list)
    mem0_batch_ms: list[float] = field(default_factory=list)


@dataclass(kw_only=True)
class Searching:
    """Milliseconds of each search, and of its parts where the engine tells them."""

    name: str
    size: int
    scopes: int
    ms: list[float] = field(default_factory=list)
    embed_ms: list[float] = field(default_factory=list)
    database_ms: list[float] = field(default_factory=list)
    rank_ms: list[float] = field(default_factory=list)
    found: int = 0

    def take(self, answer: Mapping[str, Any]) -> None:
        """Add what a round measured."""
        self.ms += answer["ms"]
        self.embed_ms += answer["embed_ms"]
        self.database_ms += answer.get("database_ms", [])
        self.rank_ms += answer.get("rank_ms", [])
        self.found += answer["found"]

    @property
    def p50(self) -> float:
        """The median search."""
        return percentile(self.ms, 50)

    @property
    def beside_embedding(self) -> float:
        """The median of what a search takes beside the embedding of its query."""
        return median(whole - part for whole, part in zip(self.ms, self.embed_ms, strict=True))


@dataclass(frozen=True, kw_only=True)
class Usage:
    """Memory at one point, in bytes."""

    name: str
    process_rss: int
    process_peak: int
    process_pss: int
    postgres_pss: int
    mem0_peak: int | None


@dataclass(kw_only=True)
class Report:
    """All figures of one run."""

    model: str = ""
    starting: list[Starting] = field(default_factory=list)
    adding: Adding | None = None
    searching: list[Searching] = field(default_factory=list)
    usage: list[Usage] = field(default_factory=list)
    recall: float | None = None
    recall_filtered: float | None = None
    installed: Installed | None = None
    installed_mem0: Installed | None = None


@dataclass(frozen=True, kw_only=True)
class Goal:
    """A figure beside the bound that it should keep."""

    name: str
    value: float
    bound: float
    unit: str
    at_least: bool = False

    @property
    def met(self) -> bool:
        """Whether the figure keeps its bound."""
        return self.value >= self.bound if self.at_least else self.value <= self.bound


def goals(report: Report) -> Iterator[Goal]:
    """Give the goals that this run can judge."""
    own = {search.size: search for search in report.searching if search.name == "agentmem" and search.scopes == 1}
    if 10_000 in own:
        yield Goal(name="search p50, 10,000 memories", value=own[10_000].p50, bound=11, unit="ms")
        beside = own[10_000].beside_embedding
        yield Goal(name="the same beside the embedding", value=beside, bound=8, unit="ms")
    if 1_000 in own and 100_000 in own:
        ratio = own[100_000].p50 / own[1_000].p50
        yield Goal(name="search p50, 100,000 to 1,000", value=ratio, bound=2, unit="x")
    if report.adding is not None:
        single, encoder = median(report.adding.single_ms), median(report.adding.encoder_ms)
        allowed = 1.3 * encoder + median(report.adding.commit_ms)
        yield Goal(name="single add, to 1.3 encoder + commit", value=single, bound=allowed, unit="ms")
        share = 100 * fmean(report.adding.encoder_batch_ms) / fmean(report.adding.batch_ms)
        yield Goal(name="batch add, of the encoder's rate", value=share, bound=85, unit="%", at_least=True)
    if report.usage:
        most = max(usage.process_peak + usage.postgres_pss for usage in report.usage) / MEBIBYTE
        yield Goal(name="memory, process and PostgreSQL", value=most, bound=350, unit="MiB")
    if report.recall is not None and report.recall_filtered is not None:
        yield Goal(name="recall@10 of the vectors", value=100 * report.recall, bound=98, unit="%", at_least=True)
        filtered = 100 * report.recall_filtered
        yield Goal(name="the same, with a filter for 1 %", value=filtered, bound=98, unit="%", at_least=True)
    if report.installed is not None:
        yield Goal(name="installed size", value=report.installed.total / 1e6, bound=250, unit="MB")


def print_report(report: Report) -> None:
    """Print every table."""
    print(f"\nModel: {report.model}")
    print(f"\n{'start, ms':<28}{'process':>10}{'open':>10}")
    for start in report.starting:
        print(f"{start.name:<28}{start.process_ms:>10.0f}{start.open_ms:>10.0f}")
    if report.adding is not None:
        _print_adding(report.adding)
    _print_searching(report.searching)
    _print_usage(report)
    print(f"\n{'goal':<38}{'figure':>10}{'goal':>12}")
    for goal in goals(report):
        bound = f"{'>=' if goal.at_least else '<='} {goal.bound:.1f}"
        verdict = "met" if goal.met else "MISSED"
        print(f"{goal.name:<38}{goal.value:>10.1f}{bound:>12} {goal.unit:<4} {verdict}")


def _print_adding(adding: Adding) -> None:
    print(f"\n{'adding, ms a memory':<28}{'p50':>10}{'mean':>10}{'a second':>10}")
    rows = {
        "agentmem, single": adding.single_ms,
        "  encoder alone": adding.encoder_ms,
        "  commit alone": adding.commit_ms,
        "mem0, single": adding.mem0_single_ms,
        "agentmem, batch": adding.batch_ms,
        "  encoder alone, batch": adding.encoder_batch_ms,
        "mem0, batch": adding.mem0_batch_ms,
    }
    for name, times in rows.items():
        if times:
            print(f"{name:<28}{median(times):>10.2f}{fmean(times):>10.2f}{1000 / fmean(times):>10.0f}")
    if adding.mem0_single_ms:
        ratio = median(adding.mem0_single_ms) / median(adding.single_ms)
        batch = fmean(adding.mem0_batch_ms) / fmean(adding.batch_ms)
        print(f"mem0 takes {ratio:.2f} times as long for one memory, {batch:.2f} times in a batch.")


def _print_searching(searching: Sequence[Searching]) -> None:
    print(f"\n{'searching, ms':<28}{'p50':>8}{'p95':>8}{'p99':>8}{'embed':>8}{'SQL':>8}{'own':>8}{'found':>8}")
    for search in searching:
        title = (
            f"{search.name}, {search.size}" if search.scopes == 1 else f"{search.name}, {search.scopes} x {search.size}"
        )
        database = f"{median(search.database_ms):>8.2f}" if search.database_ms else f"{'':>8}"
        own = f"{_own(search):>8.2f}" if search.database_ms else f"{search.beside_embedding:>8.2f}"
        times = "".join(f"{percentile(search.ms, percent):>8.2f}" for percent in (50, 95, 99))
        per_search = search.found / len(search.ms)
        print(f"{title:<28}{times}{median(search.embed_ms):>8.2f}{database}{own}{per_search:>8.1f}")
    mem0 = {search.size: search for search in searching if search.name == "mem0"}
    for search in searching:
        if search.name == "agentmem" and search.scopes == 1 and search.size in mem0:
            print(f"mem0 takes {mem0[search.size].p50 / search.p50:.2f} times as long at {search.size} memories.")


def _own(search: Searching) -> float:
    """Give the median of our own code: the whole without embedding and SQL."""
    parts = zip(search.ms, search.embed_ms, search.database_ms, strict=True)
    return median(whole - embedding - database for whole, embedding, database in parts)


def _print_usage(report: Report) -> None:
    print(f"\n{'memory, MiB':<28}{'RSS':>8}{'peak':>8}{'PSS':>8}{'PG PSS':>8}{'mem0':>8}")
    for usage in report.usage:
        sizes = (usage.process_rss, usage.process_peak, usage.process_pss, usage.postgres_pss)
        mem0 = "" if usage.mem0_peak is None else f"{usage.mem0_peak / MEBIBYTE:.0f}"
        print(f"{usage.name:<28}" + "".join(f"{size / MEBIBYTE:>8.0f}" for size in sizes) + f"{mem0:>8}")
    both = {"AgentMem": report.installed, "mem0, without what runs a model": report.installed_mem0}
    for name, size in both.items():
        if size is not None:
            print(f"Installed, {name}: {size.total / 1e6:.0f} MB, {size.bytecode / 1e6:.0f} of them bytecode")
