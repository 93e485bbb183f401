"""What the demonstration shows."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Final

from rich.console import Group, RenderableType
from rich.padding import Padding
from rich.rule import Rule
from rich.table import Table
from rich.text import Text

from agentmem.entrypoints.cli.conversation import CATEGORIES, Conversation, Question
from agentmem.entrypoints.cli.output import QUIET, console, counted, on_one_line
from agentmem.entrypoints.cli.views import reasons, speaker
from agentmem.schemas.health import StoreInfo
from agentmem.schemas.memories import SearchHit

_REMOTE: Final = "openai:"
_TOP: Final = 3
_DEEP: Final = 10
_WIDEST: Final = 110
_COMMANDS: Final = (
    ("agentmem shell", "remember and ask"),
    ('agentmem add "I like green tea" --user alice', "remember"),
    ('agentmem search "what to drink?" --user alice', "ask"),
)
_PYTHON: Final = """\
from agentmem import Memory

with Memory() as memory:
    memory.add("I like green tea", user_id="alice")
    memory.search("what to drink?", user_id="alice")"""


@dataclass(frozen=True, kw_only=True)
class Answer:
    """What was found for a question: memories, best first, and the ranks (from 1) of those that answer it."""

    question: Question
    hits: Sequence[SearchHit]
    ranks: Sequence[int]
    milliseconds: float

    def within(self, most: int) -> bool:
        """Whether a memory that answers it is among the first."""
        return any(rank <= most for rank in self.ranks)


def introduce(talk: Conversation, folder: Path | None, store: StoreInfo, *, kept: bool) -> None:
    """Say what is going to be remembered, where, and what leaves this machine."""
    months = " to ".join(dict.fromkeys(f"{turn.said_at:%B %Y}" for turn in (talk.turns[0], talk.turns[-1])))
    size = f"{counted(len(talk.turns), 'turn')} in {counted(talk.sessions, 'session')}"
    place = "in your database" if folder is None else f"in {folder}, {'kept' if kept else 'removed at the end'}"
    _print(
        Rule(Text("AgentMem", style="bold"), style=QUIET, align="left"),
        Text(f"\n{' and '.join(talk.speakers)}: {size}, {months}."),
        Text(f"Remembered {place}.\n{_leaving(store)}\n", style=QUIET),
    )


def _leaving(store: StoreInfo) -> str:
    model = str(store.settings["embedding_model"])
    if model.startswith(_REMOTE):
        address = store.settings["embedding_url"] or "its vendor"
        return f"Every text and every question is sent to the embedding model {model} at {address}."
    if store.server == "external":
        return "What is remembered goes to that database, its texts sealed; nothing else leaves this machine."
    return "Nothing leaves this machine."


def show_answer(number: int, answer: Answer) -> None:
    """Show a question with what was found for it, and why."""
    grid = Table.grid(padding=(0, 2, 0, 0), expand=True)
    grid.add_column(width=2, justify="right", style=QUIET)
    grid.add_column(ratio=1)
    grid.add_column(justify="right", style=QUIET, no_wrap=True)
    asked = Text.assemble((on_one_line(answer.question.text), "bold"), (f"\n{_expected(answer)}", QUIET))
    grid.add_row(str(number), asked, f"{answer.milliseconds:.1f} ms")
    _print(grid, _found(answer), Text(""))


def _expected(answer: Answer) -> str:
    told = on_one_line(answer.question.answer)
    if answer.within(_TOP):
        return told
    place = f"found as number {answer.ranks[0]}" if answer.ranks else f"not among the first {_DEEP}"
    return f"{told} ({place})"


def _found(answer: Answer) -> Table:
    """Lay out the best memories: one that answers whole, the others on a line each."""
    grid = Table.grid(padding=(0, 2, 0, 0), expand=True)
    grid.add_column(width=2, justify="right", style="green")
    grid.add_column(no_wrap=True, style="yellow")
    grid.add_column(no_wrap=True, style="cyan")
    grid.add_column(no_wrap=True, style="green")
    grid.add_column(ratio=1)
    for rank, hit in enumerate(answer.hits[:_TOP], 1):
        holds = rank in answer.ranks
        whole = Text(on_one_line(hit.memory.content), overflow="fold")
        short = Text(on_one_line(hit.memory.content), style=QUIET, overflow="ellipsis", no_wrap=True)
        said = Group(
            whole if holds else short,
            Text(reasons(hit.signals), style=f"italic {QUIET}", overflow="ellipsis", no_wrap=True),
        )
        date = f"{hit.memory.occurred_at:%Y-%m-%d}"
        grid.add_row("✓" if holds else "", f"{hit.score:.2f}", date, on_one_line(speaker(hit.memory)), said)
    return grid


def close(talk: Conversation, answers: Sequence[Answer], seconds: float, kept: Path | None) -> None:
    """Sum up, and say how to go on."""
    table = Table.grid(padding=(0, 3, 0, 0))
    table.add_column(style=QUIET)
    table.add_column()
    for name, value in _sums(talk, answers, seconds).items():
        table.add_row(name, value)
    commands = Table.grid(padding=(0, 3, 0, 0))
    commands.add_column(style="cyan", no_wrap=True)
    commands.add_column(style=QUIET)
    for command, meaning in _COMMANDS:
        commands.add_row(command, meaning)
    _print(
        Rule(Text("In short", style="bold"), style=QUIET, align="left"),
        Padding(table, (1, 0)),
        Rule(Text("Go on", style="bold"), style=QUIET, align="left"),
        Padding(commands, (1, 0)),
        Text(_PYTHON, style="cyan"),
        Text(f"\n{_kept(kept)}docs/tutorial.md goes on from here.", style=QUIET),
    )


def _kept(folder: Path | None) -> str:
    return "" if folder is None else f"This store stays: agentmem --data-directory {folder} shell --user demo\n"


def _sums(talk: Conversation, answers: Sequence[Answer], seconds: float) -> dict[str, str]:
    asked = len(answers)
    return {
        "Evidence among the first 3": f"{sum(answer.within(_TOP) for answer in answers)} of {asked} questions",
        "Evidence among the first 10": f"{sum(answer.within(_DEEP) for answer in answers)} of {asked} questions",
        "A search takes (median)": f"{_median(answers):.1f} ms",
        "Remembered": f"{len(talk.turns) / seconds:,.0f} memories a second",
    }


def _median(answers: Sequence[Answer]) -> float:
    return median(answer.milliseconds for answer in answers) if answers else 0.0


def document(talk: Conversation, answers: Sequence[Answer], seconds: float) -> dict[str, object]:
    """Write the whole demonstration for a program."""
    return {
        "memories": len(talk.turns),
        "sessions": talk.sessions,
        "seconds": seconds,
        "questions": [
            {
                "question": answer.question.text,
                "answer": answer.question.answer,
                "category": CATEGORIES.get(answer.question.category, str(answer.question.category)),
                "evidence_ranks": answer.ranks,
                "milliseconds": answer.milliseconds,
                "hits": answer.hits,
            }
            for answer in answers
        ],
        "evidence_in_top_3": sum(answer.within(_TOP) for answer in answers),
        "evidence_in_top_10": sum(answer.within(_DEEP) for answer in answers),
        "median_milliseconds": _median(answers),
    }


def _print(*parts: RenderableType) -> None:
    screen = console()
    screen.print(Group(*parts), width=min(screen.width, _WIDEST))
