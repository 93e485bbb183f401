"""Reads sets of questions: files of the LoCoMo form, and the small sets in ``data/``."""

from __future__ import annotations

import json
import random
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

from benchmarks.dialogue import dialogue

CATEGORIES: Final[Mapping[int, str]] = {
    1: "multi-hop",
    2: "temporal",
    3: "open-domain",
    4: "single-hop",
    5: "adversarial",
}
HEADLINE: Final = (1, 2, 3, 4)
"""The categories of the overall figures; adversarial questions are shown beside them."""
_EVIDENCE: Final = re.compile(r"D:?(\d+):(\d+)")
_MIDDAY: Final = datetime(2024, 5, 4, 12, tzinfo=UTC)


@dataclass(frozen=True, slots=True, kw_only=True)
class Turn:
    """One turn; its ``id`` and ``session`` carry the name of the conversation, and are unique in a dataset."""

    id: str
    session: str
    speaker: str | None
    text: str
    occurred_at: datetime

    @property
    def spoken(self) -> str:
        """The text with its speaker in front, as an encoder reads it."""
        return f"{self.speaker}: {self.text}" if self.speaker else self.text


@dataclass(frozen=True, slots=True, kw_only=True)
class Question:
    """A question and the turns that hold its answer; ``conversation`` is the name of theirs."""

    conversation: str
    text: str
    category: int
    evidence: frozenset[str]


@dataclass(frozen=True, slots=True, kw_only=True)
class Conversation:
    """Turns in the order in which they were said, and questions about them."""

    name: str
    turns: Sequence[Turn]
    questions: Sequence[Question]


@dataclass(frozen=True, slots=True, kw_only=True)
class Dataset:
    """Conversations, and how many questions were left out because no turn of their evidence exists."""

    name: str
    conversations: Sequence[Conversation]
    skipped: int = 0

    @property
    def questions(self) -> list[Question]:
        """All questions of all conversations."""
        return [question for conversation in self.conversations for question in conversation.questions]


def read_locomo(path: Path) -> Dataset:
    """Read a file of the LoCoMo form, a list of conversations or a single one; in a folder, ``locomo-dev.json``."""
    file = path / "locomo-dev.json" if path.is_dir() else path
    read: list[dict[str, Any]] | dict[str, Any] = json.loads(file.read_text(encoding="utf-8"))
    conversations, skipped = [], 0
    for number, sample in enumerate([read] if isinstance(read, dict) else read):
        name = str(sample.get("sample_id", number))
        turns = _turns(name, sample["conversation"])
        known = {turn.id for turn in turns}
        asked = [_question(name, entry, known) for entry in sample.get("qa", ())]
        questions = [question for question in asked if question.evidence and question.text.strip()]
        skipped += len(asked) - len(questions)
        if turns:
            conversations.append(Conversation(name=name, turns=turns, questions=questions))
    return Dataset(name=file.stem, conversations=conversations, skipped=skipped)


def read_small(path: Path, *, haystack: int, lookalikes: int) -> Dataset:
    """Read one of the sets in ``data/``: memories that stand alone, in one scope with what surrounds them.

    That is so many turns of made-up dialogue, and for each memory that is asked for by a code, so many others that
    differ from it in the digits of that code alone.
    """
    read = json.loads(path.read_text(encoding="utf-8"))
    turns = [
        Turn(id=f"h{n}", session=said.session, speaker=said.speaker, text=said.text, occurred_at=said.occurred_at)
        for n, said in enumerate(dialogue(haystack))
    ]
    memories = {memory["id"]: memory for memory in read["memories"]}
    chance = random.Random(path.stem)
    for question in read["questions"]:
        for identity in question["evidence"]:
            likes = [_lookalike(memories[identity]["text"], question["question"], chance) for _ in range(lookalikes)]
            turns += [_alone(f"{identity}-{n}", text, None) for n, text in enumerate(dict.fromkeys(likes)) if text]
    turns += [_alone(identity, memory["text"], memory.get("speaker")) for identity, memory in memories.items()]
    questions = [
        Question(conversation=path.stem, text=q["question"], category=4, evidence=frozenset(q["evidence"]))
        for q in read["questions"]
    ]
    return Dataset(name=path.stem, conversations=[Conversation(name=path.stem, turns=turns, questions=questions)])


def _alone(identity: str, text: str, speaker: str | None) -> Turn:
    return Turn(id=identity, session=identity, speaker=speaker, text=text, occurred_at=_MIDDAY)


def _lookalike(text: str, query: str, chance: random.Random) -> str:
    """Change the digits of the codes that a query asks for; gives nothing if that changes nothing."""
    changed = text
    for word in query.split():
        if word in text:
            changed = changed.replace(word, re.sub(r"\d", lambda _: str(chance.randrange(10)), word))
    return "" if changed == text else changed


def _turns(name: str, conversation: Mapping[str, Any]) -> list[Turn]:
    numbers = sorted(int(key.removeprefix("session_")) for key in conversation if re.fullmatch(r"session_\d+", key))
    return [
        Turn(
            id=_ids(name, turn["dia_id"])[0],
            session=f"{name}/{number}",
            speaker=turn["speaker"],
            text=_text(turn),
            occurred_at=_time(conversation[f"session_{number}_date_time"]),
        )
        for number in numbers
        for turn in conversation[f"session_{number}"]
        if _text(turn).strip()
    ]


def _text(turn: Mapping[str, Any]) -> str:
    caption = turn.get("blip_caption")
    text = turn.get("text") or ""
    return f"{text} [shares {caption}]" if caption else str(text)


def _time(written: str) -> datetime:
    """Read a time such as "1:56 pm on 8 May, 2023", or one of ISO 8601."""
    try:
        return datetime.strptime(written, "%I:%M %p on %d %B, %Y").replace(tzinfo=UTC)
    except ValueError:
        read = datetime.fromisoformat(written)
        return read if read.tzinfo else read.replace(tzinfo=UTC)


def _ids(name: str, written: str) -> list[str]:
    """Read every turn id in a string; the labels hold several in one, and some with a stray colon."""
    return [f"{name}/D{int(session)}:{int(turn)}" for session, turn in _EVIDENCE.findall(written)]


def _question(conversation: str, entry: Mapping[str, Any], known: set[str]) -> Question:
    """Read a question; ids of turns that do not exist are dropped, and without a category it is a single-hop one."""
    written = " ".join(map(str, entry.get("evidence") or ()))
    return Question(
        conversation=conversation,
        text=str(entry["question"]),
        category=int(entry.get("category", 4)),
        evidence=frozenset(known.intersection(_ids(conversation, written))),
    )
