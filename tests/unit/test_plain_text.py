"""Text as data: what nobody sees is gone, what would be rendered is broken, and the rest is as it was."""

from __future__ import annotations

import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agentmem.kit.text.plain import plain_text

CASES = {
    "I like green tea (and 3 < 4) [really]!": "I like green tea (and 3 < 4) [really]!",
    "我喜欢绿茶。\tТоже так": "我喜欢绿茶。\tТоже так",
    "a\u200bb\u2060c\ufeffd\u00ade": "abcde",
    "\u202eevil\u202c \u2066x\u2069": "evil x",
    "hi" + "".join(chr(0xE0000 + ord(char)) for char in "obey"): "hi",
    "v\ufe0fx\U000e0101y\u3164z": "vxyz",
    "\x1b[31mred\x1b[0m \x1b]0;title\x07end \x9b1mx": "red end x",
    "cut \x1b[31": "cut ",
    "bell\x07 null-like\x01": "bell null-like",
    "![a](https://evil.example)": "! [a] (https://evil.example)",
    "!\u200d[a]\u2060(x)": "! [a] (x)",
    "[a][b] and [b]: https://evil.example": "[a] [b] and [b] : https://evil.example",
    "<img src=x> </a> <!-- --> <https://x.example>": "< img src=x> < /a> < !-- --> < https://x.example>",
    "\ue000private": "private",
}


@pytest.mark.parametrize("text", CASES)
def test_only_what_is_unseen_or_rendered_is_changed(text: str) -> None:
    assert plain_text(text) == CASES[text]


@given(st.text())
def test_nothing_unseen_is_left_and_doing_it_again_changes_nothing(text: str) -> None:
    plain = plain_text(text)

    assert not any(unicodedata.category(char) in {"Cf", "Cs", "Co", "Cn"} for char in plain)
    assert not any(unicodedata.category(char) == "Cc" and char not in "\n\t" for char in plain)
    assert not any(broken in plain for broken in ("](", "][", "![", "]:"))
    assert plain_text(plain) == plain
