"""Reads conversations of the LoCoMo form: sessions of turns, and questions with the turns that answer them."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import zip_longest
from pathlib import Path
from typing import Final

from pydantic import BaseModel, Field, JsonValue

from agentmem.errors import InvalidInput
from agentmem.schemas.base import parse

CATEGORIES: Final[Mapping[int, str]] = {
    1: "several memories",
    2: "time",
    3: "inference",
    4: "one memory",
    5: "adversarial",
}
_SESSION: Final = re.compile(r"session_(\d+)")
_EVIDENCE: Final = re.compile(r"D:?(\d+):(\d+)")


class _Turn(BaseModel):
    speaker: str
    dia_id: str
    text: str
    blip_caption: str | None = None


class _Question(BaseModel):
    question: str
    answer: JsonValue = None
    evidence: list[str] = Field(default_factory=list)
    category: int = 4


class _Sample(BaseModel):
    conversation: dict[str, JsonValue]
    qa: list[_Question] = Field(default_factory=list)


@dataclass(frozen=True, kw_only=True)
class Turn:
    """One turn; ``id`` is unique in its conversation."""

    id: str
    session: int
    speaker: str
    text: str
    said_at: datetime


@dataclass(frozen=True, kw_only=True)
class Question:
    """A question that the conversation answers, and the ids of the turns that do."""

    text: str
    answer: str
    category: int
    evidence: frozenset[str]


@dataclass(frozen=True, kw_only=True)
class Conversation:
    """Turns in the order in which they were said, and questions about them."""

    turns: Sequence[Turn]
    questions: Sequence[Question]

    @property
    def speakers(self) -> list[str]:
        """Who speaks, in the order of their first words."""
        return list(dict.fromkeys(turn.speaker for turn in self.turns))

    @property
    def sessions(self) -> int:
        """How many sessions there are."""
        return len({turn.session for turn in self.turns})

    def sample(self, most: int) -> list[Question]:
        """Choose questions: each category in turn, evenly spaced within it, in the order of the conversation."""
        if len(self.questions) <= most:
            return list(self.questions)
        kinds = [[one for one in self.questions if one.category == kind] for kind in sorted(CATEGORIES)]
        rows = zip_longest(*(_spaced(kind, most) for kind in kinds))
        chosen = [one for row in rows for one in row if one is not None][:most]
        return [one for one in self.questions if one in chosen]


def read_conversation(text: str, number: int) -> Conversation:
    """Read the conversation of this number (from 1); raises :class:`InvalidInput` that says what is not of the form."""
    try:
        given = json.loads(text)
    except (ValueError, RecursionError):
        raise InvalidInput("The conversation's file is no JSON.") from None
    samples = given if isinstance(given, list) else [given]
    if not 0 < number <= len(samples):
        raise InvalidInput(f"There is no conversation {number}: the file holds {len(samples)}.")
    sample = parse(_Sample, samples[number - 1])
    turns = _turns(sample.conversation)
    if not turns:
        raise InvalidInput(
            "The conversation has no turns.", hint="It needs lists named session_1, session_2 and so on."
        )
    known = {turn.id for turn in turns}
    asked = [_question(one, known) for one in sample.qa if one.answer is not None]
    return Conversation(turns=turns, questions=[one for one in asked if one.evidence])


def shipped() -> str:
    """Give the conversation that comes with the package."""
    return Path(__file__).with_name("demo.json").read_text(encoding="utf-8")


def _turns(conversation: Mapping[str, JsonValue]) -> list[Turn]:
    numbers = sorted(int(found[1]) for key in conversation if (found := _SESSION.fullmatch(key)))
    turns = []
    for number in numbers:
        said_at = _time(str(conversation.get(f"session_{number}_date_time")))
        listed = conversation[f"session_{number}"]
        for item in listed if isinstance(listed, list) else []:
            turn = parse(_Turn, item)
            text = f"{turn.text} [shares {turn.blip_caption}]" if turn.blip_caption else turn.text
            identity = next(iter(_ids([turn.dia_id])), turn.dia_id)
            turns.append(Turn(id=identity, session=number, speaker=turn.speaker, text=text, said_at=said_at))
    return turns


def _time(written: str) -> datetime:
    """Read a time such as "1:56 pm on 8 May, 2023"."""
    try:
        return datetime.strptime(written, "%I:%M %p on %d %B, %Y").replace(tzinfo=UTC)
    except ValueError:
        raise InvalidInput(f"{written!r} is no session time.", hint='Write it as "1:56 pm on 8 May, 2023".') from None


def _ids(written: Sequence[str]) -> list[str]:
    """Read every turn id; one text may hold several, and some have a stray colon or leading zeros."""
    return [f"D{int(session)}:{int(turn)}" for session, turn in _EVIDENCE.findall(" ".join(written))]


def _question(given: _Question, known: set[str]) -> Question:
    evidence = known.intersection(_ids(given.evidence))
    return Question(
        text=given.question, answer=str(given.answer), category=given.category, evidence=frozenset(evidence)
    )


def _spaced(questions: Sequence[Question], most: int) -> list[Question]:
    step = max(1.0, len(questions) / most)
    return [questions[int(index * step)] for index in range(min(most, len(questions)))]
