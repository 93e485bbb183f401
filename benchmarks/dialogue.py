"""Made-up dialogue for measuring speed: turns of two people, grouped in sessions, with the shape of real chat.

A grammar of our own and a vocabulary drawn by Zipf's law: sessions keep to a topic, people and places come back, and a
long tail of invented names grows with the conversation. A turn has 23 words in the mean, most have 10 to 40. The same
seed gives the same text.
"""

from __future__ import annotations

import itertools
import json
import random
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import cache
from pathlib import Path
from typing import Final, TypeAlias

Topic: TypeAlias = Mapping[str, Sequence[str]]

TURNS_OF_CONVERSATION: Final = 600
TURNS_OF_SESSION: Final = (12, 30)
FIRST_DAY: Final = datetime(2023, 1, 7, 18, 30, tzinfo=UTC)

_STATEMENTS: Final = (
    "I {doing} {when}, and it was {quality}.",
    "{when}, I {doing} at {place}.",
    "So I finally {doing}, can you believe it?",
    "{friend} and I {doing} {when}.",
    "{friend} gave me {thing} for my birthday, it is so {quality}.",
    "I've been thinking about {thing} a lot lately.",
    "We went to {place} {when} and came back with {thing}.",
    "My plan is to go back to {place} with {friend} in {month}.",
    "It took me {number} weeks, but {thing} is done now.",
    "There is a new place called {proper}, it is close to {place}.",
    "{friend} showed me {thing} and I fell in love with it right away.",
    "I spent {number} hours at {place} trying to sort out {thing}.",
    "The best part was {thing}, everyone said it looked {quality}.",
    "They told me that {thing} would cost {number} hundred, so I went to {proper} instead.",
    "{friend} moved to {proper} {when}, so I have {thing} all to myself.",
    "I wrote down everything about {thing}, {proper} style.",
    "Honestly, {thing} has been {quality} since {month}.",
)
_QUESTIONS: Final = (
    "How is {thing} going?",
    "Have you been to {place} since {month}?",
    "What did {friend} say about {thing}?",
    "Did you ever get {thing} fixed?",
    "Who is coming with you to {place}?",
    "How long have you been into {topic}?",
    "When are you going back to {proper}?",
    "What made you start with {topic}?",
)
_REACTIONS: Final = (
    "Wow, that sounds {quality}!",
    "That's great, {other}!",
    "Oh no, I'm sorry to hear that.",
    "Haha, I know exactly what you mean.",
    "Congrats, you worked so hard for it!",
    "Thanks, {other}, that means a lot.",
    "Hey {other}, good to hear from you!",
    "I'm so happy for you.",
    "You should be proud of yourself.",
    "Same here, to be honest.",
)
_TAILS: Final = (
    "It makes me feel {quality}.",
    "Let me know if you want to come along.",
    "I'll send you a picture later.",
    "{friend} is still laughing about it.",
    "Next time I will take you to {place}.",
    "I hope it stays that way until {month}.",
    "Can't wait to tell you more about {proper}.",
)
_WHENS: Final = (
    "yesterday", "last Friday", "last week", "two weeks ago", "this morning", "last weekend", "a month ago",
    "on Tuesday", "last summer", "the other day", "three days ago", "back in {month}", "last night",
)  # fmt: skip
_MONTHS: Final = (
    "January", "February", "March", "April", "May", "June", "July", "August", "September", "October", "November",
    "December",
)  # fmt: skip
_SYLLABLES: Final = (
    "bra del fen gor hal jun kel lor mar nov ost pra quil ros sel tor ul ver wyn yar zan mi ta no".split()
)
_ASKED: Final = (
    "When was it that {speaker} {doing}?",
    "What did {speaker} say about {thing}?",
    "Where was {speaker} going with {friend}?",
    "What does {speaker} know of {proper}?",
    "What did {speaker} do at {place}?",
    "Why was {thing} so important to {speaker}?",
    "Who told {speaker} about {thing}?",
    "How did {speaker} feel at {place} with {friend}?",
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Turn:
    """What one person said, when, and in which session."""

    speaker: str
    text: str
    occurred_at: datetime
    session: str


class Zipf:
    """Draws from a list so that the item of rank r comes 1/r as often as the first."""

    def __init__(self, items: Sequence[str]) -> None:
        self._items = items
        self._weights = tuple(itertools.accumulate(1 / rank for rank in range(1, len(items) + 1)))

    def draw(self, chance: random.Random) -> str:
        """Draw one item."""
        return chance.choices(self._items, cum_weights=self._weights)[0]


@dataclass(frozen=True, slots=True, kw_only=True)
class _World:
    """Two people, their friends, the names they know, and the topics they talk about in their order of preference."""

    people: tuple[str, str]
    friends: Zipf
    propers: Zipf
    topics: Zipf
    words: Mapping[str, Mapping[str, Zipf]]

    def fill(self, pattern: str, topic: str, speaker: str, chance: random.Random) -> str:
        """Fill the slots of a pattern, those of a filled-in slot too."""
        words = self.words[topic]
        other = self.people[1] if speaker == self.people[0] else self.people[0]
        month = chance.choice(_MONTHS)
        text = pattern.format(
            thing=words["things"].draw(chance),
            doing=words["doings"].draw(chance),
            place=words["places"].draw(chance),
            quality=words["qualities"].draw(chance),
            friend=self.friends.draw(chance),
            proper=self.propers.draw(chance),
            when=chance.choice(_WHENS).format(month=month),
            month=month,
            number=chance.randint(2, 40),
            topic=topic,
            speaker=speaker,
            other=other,
        )
        return text[0].upper() + text[1:]


def dialogue(count: int, *, seed: int = 1) -> Iterator[Turn]:
    """Give so many turns, no two with the same text; every 600 of them are of two other people."""
    said: set[str] = set()
    for start in range(0, count, TURNS_OF_CONVERSATION):
        length = min(count - start, TURNS_OF_CONVERSATION)
        yield from _conversation(length, f"{seed}:{start // TURNS_OF_CONVERSATION}", said)


def questions(count: int, *, turns: int, seed: int = 1) -> list[str]:
    """Give so many different questions about the dialogue of so many turns."""
    chance = random.Random(f"questions {seed}")
    conversations = -(-turns // TURNS_OF_CONVERSATION)
    asked: dict[str, None] = {}
    while len(asked) < count:
        world = _world(f"{seed}:{chance.randrange(conversations)}")
        topic, speaker = world.topics.draw(chance), chance.choice(world.people)
        asked[world.fill(chance.choice(_ASKED), topic, speaker, chance)] = None
    return list(asked)


def _conversation(count: int, seed: str, said: set[str]) -> Iterator[Turn]:
    chance = random.Random(f"turns {seed}")
    world = _world(seed)
    day = FIRST_DAY + timedelta(days=chance.randrange(400))
    session, left, topic, moment = 0, 0, "", day
    for number in range(count):
        if left == 0:
            session, left, topic = session + 1, chance.randint(*TURNS_OF_SESSION), world.topics.draw(chance)
            day += timedelta(days=chance.randint(2, 16), minutes=chance.randint(-90, 90))
            moment = day
        left -= 1
        moment += timedelta(seconds=chance.randint(20, 180))
        speaker = world.people[number % 2]
        while (text := _utterance(world, topic, speaker, chance)) in said:
            pass
        said.add(text)
        yield Turn(speaker=speaker, text=text, occurred_at=moment, session=f"{seed}:{session}")


def _utterance(world: _World, topic: str, speaker: str, chance: random.Random) -> str:
    """Make a turn of one to five sentences; now and then it strays to another topic."""
    patterns = [chance.choice(_REACTIONS)] if chance.random() < 0.45 else []
    patterns += chance.choices(_STATEMENTS, k=chance.choices((0, 1, 2, 3), weights=(3, 9, 6, 1))[0])
    if chance.random() < 0.35:
        patterns.append(chance.choice(_TAILS))
    if not patterns or chance.random() < 0.3:
        patterns.append(chance.choice(_QUESTIONS))
    strays = chance.random() < 0.1
    theme = world.topics.draw(chance) if strays else topic
    return " ".join(world.fill(pattern, theme, speaker, chance) for pattern in patterns)


@cache
def _world(seed: str) -> _World:
    chance = random.Random(f"world {seed}")
    people, topics = _vocabulary()
    names = chance.sample(people, 22)
    words = {
        topic: {slot: Zipf(chance.sample(list(options), len(options))) for slot, options in slots.items()}
        for topic, slots in topics.items()
    }
    return _World(
        people=(names[0], names[1]),
        friends=Zipf(names[2:]),
        propers=Zipf([_invented(chance) for _ in range(120)]),
        topics=Zipf(chance.sample(list(topics), len(topics))),
        words=words,
    )


@cache
def _vocabulary() -> tuple[list[str], dict[str, Topic]]:
    read = json.loads((Path(__file__).parent / "data" / "topics.json").read_text(encoding="utf-8"))
    return read["names"], read["topics"]


def _invented(chance: random.Random) -> str:
    return "".join(chance.choices(_SYLLABLES, k=chance.choice((2, 2, 3, 3, 4)))).capitalize()
