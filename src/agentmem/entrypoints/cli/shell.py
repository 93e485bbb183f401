"""The memory shell: what is written is remembered, what is asked is searched."""

from __future__ import annotations

import importlib
import sys
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from importlib.metadata import version
from typing import TYPE_CHECKING, Final
from uuid import UUID

import typer

from agentmem.entrypoints.cli import options, views
from agentmem.entrypoints.cli.output import Facts, complain, counted, give, remark, show
from agentmem.entrypoints.cli.session import invocation
from agentmem.errors import AgentMemError, InvalidInput
from agentmem.schemas.keywords import ScopeKeywords
from agentmem.schemas.memories import MemoryRecord

if TYPE_CHECKING:
    from agentmem.entrypoints.embedded.sync import Memory

_HITS: Final = 5
_LISTED: Final = 10
_ABOUT_ONE: Final = frozenset({"get", "history", "delete", "restore"})
_LEAVE: Final = frozenset({"quit", "exit", "/quit", "/exit"})
_HELP: Final = (
    ("TEXT", "remember it; write + TEXT when it begins with a command's name"),
    ("? QUESTION", "find what answers it"),
    ("context QUESTION", "the same, as a text for a prompt"),
    ("list [N]", "the newest memories"),
    ("get N", "the memory with this number in the last list, or with this id, whole"),
    ("history N", "its versions"),
    ("delete N", "forget it; restore N brings it back"),
    ("user NAME", "speak as this user; user alone as nobody; so too agent, run, app"),
    ("stats", "count what is remembered"),
    ("quit", "leave, as does Ctrl-D"),
)


def shell(
    context: typer.Context,
    *,
    user: options.User = None,
    agent: options.Agent = None,
    run: options.Run = None,
    app: options.App = None,
    as_json: options.AsJson = False,
) -> None:
    """Remember and ask, line by line, on a terminal or from a pipe."""
    call = invocation(context)
    with call.opened() as memory:
        session = Session(memory=memory, scope=options.scope(user, agent, run, app), as_json=as_json)
        if sys.stdin.isatty():
            remark(f"AgentMem {version('agentmem')}, {counted(memory.stats().memories, 'memory', 'memories')}.")
            remark("Write something to remember it, `? question` to find it again, `help` for more.")
        for line in _lines(session):
            if line in _LEAVE:
                break
            session.survive(line)


@dataclass(kw_only=True)
class Session:
    """What the shell keeps between two lines: for whom it speaks, and what it has shown."""

    memory: Memory
    scope: ScopeKeywords
    as_json: bool
    shown: list[MemoryRecord] = field(default_factory=list)

    @property
    def prompt(self) -> str:
        """What stands before the line that a person writes."""
        return f"{' '.join(str(value) for value in self.scope.values() if value)}> "

    def survive(self, line: str) -> None:
        """Do what a line says; an error is told, and the shell goes on."""
        try:
            self.obey(line)
        except AgentMemError as error:
            complain(f"{error} ({error.code})")
        except KeyboardInterrupt:
            if not sys.stdin.isatty():
                raise
            complain("Interrupted.")
        sys.stdout.flush()

    def obey(self, line: str) -> None:
        """Run a command, search, or remember; words that only begin like a command are a text."""
        name, _, argument = line.removeprefix("/").partition(" ")
        argument = argument.strip()
        if line.startswith("?"):
            self._search(line[1:].strip())
        elif line.startswith("+"):
            self._remember(line[1:].strip())
        elif self._ask(name, argument) or self._touch(name, argument):
            return
        elif line.startswith("/"):
            raise InvalidInput(f"There is no command {line.split(maxsplit=1)[0]}.", hint="See help.")
        else:
            self._remember(line)

    def _ask(self, name: str, argument: str) -> bool:
        """Run a command about many memories; say whether it was one."""
        match name:
            case "help" if not argument:
                show(Facts(pairs=_HELP))
            case "stats" if not argument:
                counts = self.memory.stats(**self.scope)
                give(counts, views.facts(counts), as_json=self.as_json)
            case "list" if not argument or argument.isdecimal():
                page = self.memory.list(limit=int(argument or _LISTED), **self.scope)
                self.shown = page.items
                give(page, views.memories(page.items), as_json=self.as_json)
            case "context" if argument:
                packed = self.memory.context(argument, **self.scope)
                give(packed, packed.text, as_json=self.as_json)
            case "user" | "agent" | "run" | "app" if len(argument.split()) <= 1:
                self._speak_as(name, argument or None)
            case _:
                return False
        return True

    def _touch(self, name: str, argument: str) -> bool:
        """Run a command about one memory; say whether it was one."""
        chosen = self._chosen(argument) if name in _ABOUT_ONE else None
        if chosen is None:
            return False
        match name:
            case "get":
                record = self.memory.get(chosen)
                give(record, views.facts(record), as_json=self.as_json)
            case "history":
                versions = self.memory.history(chosen)
                give(versions, views.history(versions), as_json=self.as_json)
            case "delete":
                self.memory.delete(chosen)
                give({"deleted": 1}, f"Deleted; `restore {argument}` brings it back.", as_json=self.as_json)
            case "restore":
                record = self.memory.restore(chosen)
                give(record, f"Restored: {record.content}", as_json=self.as_json)
            case _:
                return False
        return True

    def _search(self, query: str) -> None:
        results = self.memory.search(query, limit=_HITS, explain=True, **self.scope)
        self.shown = [hit.memory for hit in results.hits]
        give(results, views.hits(results.hits), as_json=self.as_json)
        if sys.stdin.isatty():
            remark(f"  {results.timings.total_ms:.1f} ms")

    def _remember(self, text: str) -> None:
        added = self.memory.add(text, **self.scope)
        give(added, "Known already." if added.duplicates else "Remembered.", as_json=self.as_json)

    def _speak_as(self, name: str, given: str | None) -> None:
        ids = {key.removesuffix("_id"): value for key, value in self.scope.items()}
        whose = {key: None if value is None else str(value) for key, value in {**ids, name: given}.items()}
        self.scope = options.scope(whose["user"], whose["agent"], whose["run"], whose["app"])
        if not sys.stdin.isatty():
            return
        remark(f"Now for {name} {given}." if given else f"Now for any {name}.")

    def _chosen(self, argument: str) -> UUID | str | None:
        """Give the memory that a number of the last list, or an id, stands for."""
        if argument.isdecimal():
            if not 0 < int(argument) <= len(self.shown):
                raise InvalidInput(f"The last list has no number {argument}.", hint="See list.")
            return self.shown[int(argument) - 1].id
        with suppress(ValueError):
            return UUID(argument)
        return None


def _lines(session: Session) -> Iterator[str]:
    """Give what is written, line by line, until it ends; Ctrl-C drops the line that is being written."""
    if not sys.stdin.isatty():
        yield from filter(None, map(str.strip, sys.stdin))
        return
    with suppress(ImportError):
        # Makes `input` edit and recall lines. No file keeps them: memories are sealed at rest, and these are to be.
        importlib.import_module("readline")
    while True:
        try:
            line = input(session.prompt).strip()
        except EOFError:
            remark("")
            return
        except KeyboardInterrupt:
            remark("")
            continue
        if line:
            yield line
