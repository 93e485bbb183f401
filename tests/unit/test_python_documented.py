"""The page on the Python library lists every method with its arguments."""

from __future__ import annotations

import inspect
import re
from pathlib import Path

from agentmem import AsyncMemory

PAGE = Path(__file__).resolve().parents[2] / "docs" / "reference" / "python.md"
ROW = re.compile(r"^\| `(\w+)\((.*?)\)` \|", re.MULTILINE)
LIFE_CYCLE = {"open", "aclose"}


def arguments(name: str) -> str:
    """Write a method's parameters as the page does: their names, with the stars."""
    written: list[str] = []
    for parameter in list(inspect.signature(getattr(AsyncMemory, name)).parameters.values())[1:]:
        if parameter.kind is parameter.KEYWORD_ONLY and "*" not in written:
            written.append("*")
        written.append(f"**{parameter.name}" if parameter.kind is parameter.VAR_KEYWORD else parameter.name)
    return ", ".join(written)


def test_every_method_is_listed_with_its_arguments() -> None:
    methods = [
        name for name, value in vars(AsyncMemory).items() if inspect.isfunction(value) and not name.startswith("_")
    ]

    listed = dict(ROW.findall(PAGE.read_text(encoding="utf-8")))

    assert listed == {name: arguments(name) for name in methods if name not in LIFE_CYCLE}
