"""The README says the same in every language: the same examples, the same sections, the same picture."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from scripts.run_document import blocks
from tests.architecture.source_tree import ROOT

README = ROOT / "README.md"
TRANSLATIONS = sorted(ROOT.glob("README.*.md"))
TARGET = re.compile(r"\]\(([^)]+)\)")


def prose(page: str) -> str:
    """Give a page without its fenced blocks, in which a `#` begins a comment and not a heading."""
    return re.sub(r"^```.*?^```$", "", page, flags=re.MULTILINE | re.DOTALL)


def headings(page: str) -> list[int]:
    """Give the levels of a page's headings in order."""
    return [len(match[1]) for match in re.finditer(r"^(#+) ", prose(page), re.MULTILINE)]


def targets(page: str) -> list[str]:
    """Give where a page's links and pictures lead, in order, apart from the links between the translations."""
    return [target for target in TARGET.findall(prose(page)) if not target.startswith("README")]


def test_readme_is_translated() -> None:
    assert [path.name for path in TRANSLATIONS] == ["README.zh-CN.md"]


@pytest.mark.parametrize("path", TRANSLATIONS, ids=lambda path: path.name)
def test_translated_readme_has_the_same_code_blocks(path: Path) -> None:
    english = [(block.language, block.text) for block in blocks(README.read_text(encoding="utf-8"))]

    assert [(block.language, block.text) for block in blocks(path.read_text(encoding="utf-8"))] == english


@pytest.mark.parametrize("path", TRANSLATIONS, ids=lambda path: path.name)
def test_translated_readme_has_the_same_headings_and_links(path: Path) -> None:
    english, translated = README.read_text(encoding="utf-8"), path.read_text(encoding="utf-8")

    assert headings(translated) == headings(english)
    assert targets(translated) == targets(english)


@pytest.mark.parametrize("path", TRANSLATIONS, ids=lambda path: path.name)
def test_readmes_link_to_each_other(path: Path) -> None:
    assert f"({path.name})" in README.read_text(encoding="utf-8")
    assert "(README.md)" in path.read_text(encoding="utf-8")
