"""Text as data: what only a terminal, a renderer or a model's tokenizer would see is taken out."""

from __future__ import annotations

import re
import unicodedata
from typing import Final

_ESCAPES: Final = re.compile(
    r"(?:\x1b\[|\x9b)[0-?]{0,64}[ -/]{0,16}[@-~]?|\x1b[\]P^_X][^\x07\x1b\x9c]{0,4096}(?:\x07|\x1b\\|\x9c)?|\x1b.?"
)
"""Control sequences of terminals (ECMA-48), whole or cut off."""

_INVISIBLE: Final = frozenset({"Cc", "Cf", "Cs", "Co", "Cn"})
"""Control characters; zero-width, bidirectional and tag characters; what has no meaning of its own."""

_KEPT: Final = frozenset("\n\t")
_SELECTORS: Final = re.compile(
    "[\u034f\u115f\u1160\u17b4\u17b5\u180b-\u180f\u3164\ufe00-\ufe0f\uffa0\U000e0100-\U000e01ef]"
)
"""Marks and fillers that show nothing and may carry data."""

_LINKS: Final = re.compile(r"!(?=\[)|\](?=[\[(:])|<(?=[A-Za-z/!?])")
"""Where Markdown would make an image, a link or a definition of one, or HTML an element."""


def plain_text(text: str) -> str:
    """Take out what cannot be seen, and keep Markdown and HTML from being rendered: a space stands in their way."""
    seen = _SELECTORS.sub("", _ESCAPES.sub("", text))
    if not seen.isascii() or not seen.isprintable():
        kept = (char for char in seen if char in _KEPT or unicodedata.category(char) not in _INVISIBLE)
        seen = "".join(kept)
    return _LINKS.sub(lambda match: f"{match[0]} ", seen)
