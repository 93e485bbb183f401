"""Packing memories into a prompt: as many of the best as a token budget holds, in the order they happened."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Final

from agentmem.kit.text.plain import plain_text
from agentmem.schemas.memories import Citation, PackedContext, SearchHit

_WORD: Final = re.compile(r"[A-Za-z]+|[0-9]{1,3}|[^\sA-Za-z0-9]")
_LETTERS_PER_TOKEN: Final = 6


def count_tokens(text: str) -> int:
    """Estimate the tokens of a text, a little high for English and one a character for CJK; needs no tokenizer."""
    return sum(1 + (len(word) - 1) // _LETTERS_PER_TOKEN for word in _WORD.findall(text))


def pack(hits: Sequence[SearchHit], budget: int) -> PackedContext:
    """Take hits best first while they fit, then list them by time, each with a marker that a citation explains.

    Behind the time stands how far the memory is trusted; what it says is data: nothing in it is invisible, or rendered.

    A hit that does not fit is passed over for shorter ones after it; ``left_out`` counts those.
    """
    taken: list[SearchHit] = []
    tokens = 0
    for hit in hits:
        cost = count_tokens(_line(len(hits), hit)) + 1
        if tokens + cost <= budget:
            taken.append(hit)
            tokens += cost
    taken.sort(key=lambda hit: (hit.memory.occurred_at, hit.memory.created_at, hit.memory.id))
    text = "\n".join(_line(number, hit) for number, hit in enumerate(taken, 1))
    return PackedContext(
        text=text,
        tokens=count_tokens(text) + max(0, len(taken) - 1),
        budget=budget,
        citations=[
            Citation(
                marker=number,
                memory_id=hit.memory.id,
                occurred_at=hit.memory.occurred_at,
                score=hit.score,
                authority=hit.memory.authority,
            )
            for number, hit in enumerate(taken, 1)
        ],
        left_out=len(hits) - len(taken),
    )


def _line(number: int, hit: SearchHit) -> str:
    memory = hit.memory
    speaker = memory.actor or (memory.role.value if memory.role else "")
    said = f"{speaker}: {memory.content}" if speaker else memory.content
    # Whatever breaks a line, in the speaker's name too, so that no text can pose as the line of another memory.
    indented = "\n    ".join(map(plain_text, said.splitlines()))
    return f"[{number}] {memory.occurred_at:%Y-%m-%d %H:%M} ({memory.authority.value}) {indented}"
