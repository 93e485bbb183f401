"""The demonstration: a conversation of some months is remembered, then asked about."""

from __future__ import annotations

import shutil
import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Final

import typer

from agentmem.entrypoints.cli import demo_views, options
from agentmem.entrypoints.cli.conversation import Conversation, Question, Turn, read_conversation, shipped
from agentmem.entrypoints.cli.demo_views import Answer
from agentmem.entrypoints.cli.output import emit
from agentmem.entrypoints.cli.progress import progress
from agentmem.entrypoints.cli.session import Invocation, invocation

if TYPE_CHECKING:
    from agentmem.entrypoints.embedded.sync import Memory

_USER: Final = "demo"
_TURN: Final = "turn"
_DEPTH: Final = 10
_PATIENCE: Final = 20.0
"""Seconds that the server of the demonstration may take to stop."""


def demo(
    context: typer.Context,
    path: Annotated[
        Path | None,
        typer.Argument(
            metavar="FILE", exists=True, dir_okay=False, readable=True,
            help="A conversation of the LoCoMo form; by default the one that AgentMem carries.",
        ),
    ] = None,
    *,
    conversation: Annotated[
        int, typer.Option("--conversation", metavar="N", help="Which conversation of the file.")
    ] = 1,
    questions: Annotated[int, typer.Option("--questions", metavar="N", min=1, help="How many to ask.")] = 12,
    keep: Annotated[bool, typer.Option("--keep", metavar="", help="Keep its store, and say where that is.")] = False,
    as_json: options.AsJson = False,
) -> None:  # fmt: skip
    """See a conversation of some months remembered and asked about.

    Everything happens in a store of its own, which is removed at the end.
    """
    call = invocation(context)
    with call.guarded():
        text = shipped() if path is None else path.read_text(encoding="utf-8", errors="surrogateescape")
        talk = read_conversation(text, conversation)
        with _place(call, keep=keep) as (folder, settings), call.opened(**settings) as memory:
            if not as_json:
                demo_views.introduce(talk, folder, memory.info(), kept=keep or not settings)
            seconds = _remember(memory, talk)
            answers = []
            for number, question in enumerate(talk.sample(questions), 1):
                answers.append(_ask(memory, question))
                if not as_json:
                    demo_views.show_answer(number, answers[-1])
            if as_json:
                emit(demo_views.document(talk, answers, seconds))
            else:
                demo_views.close(talk, answers, seconds, folder if keep or not settings else None)


@contextmanager
def _place(call: Invocation, *, keep: bool) -> Iterator[tuple[Path | None, Mapping[str, object]]]:
    """Give a folder for the demonstration and the settings of a store in it; a store that was named is used instead."""
    if call.given:
        named = call.given.get("data_directory")
        yield named if isinstance(named, Path) else None, {}
        return
    folder = Path(tempfile.mkdtemp(prefix="agentmem-demo-"))
    try:
        # Nothing of the environment may lead to a real store.
        yield folder, {"data_directory": folder, "database_url": None, "key_file": None, "linger": 0}
    finally:
        if not keep:
            _remove(folder)


def _remove(folder: Path) -> None:
    """Remove the store once its server has stopped, which takes a moment."""
    deadline = time.monotonic() + _PATIENCE
    while folder.exists() and time.monotonic() < deadline:
        if next(folder.rglob("postmaster.pid"), None) is None:
            shutil.rmtree(folder, ignore_errors=True)
        time.sleep(0.05)


def _remember(memory: Memory, talk: Conversation) -> float:
    """Remember every turn, and say how many seconds that took."""
    began = time.perf_counter()
    with progress("Remembering the conversation", len(talk.turns)) as done:
        memory.add_many(map(_item, talk.turns), progress=done, user_id=_USER)
    return time.perf_counter() - began


def _item(turn: Turn) -> dict[str, object]:
    """Write a turn as the library takes it; the turns of one run are neighbours."""
    return {
        "content": turn.text,
        "role": "user",
        "actor": turn.speaker,
        "occurred_at": turn.said_at,
        "run_id": f"session-{turn.session}",
        "metadata": {_TURN: turn.id},
    }


def _ask(memory: Memory, question: Question) -> Answer:
    results = memory.search(question.text, limit=_DEPTH, explain=True, user_id=_USER)
    ranks = [rank for rank, hit in enumerate(results.hits, 1) if hit.memory.metadata.get(_TURN) in question.evidence]
    return Answer(question=question, hits=results.hits, ranks=ranks, milliseconds=results.timings.total_ms)
