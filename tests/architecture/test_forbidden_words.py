"""Words that must stand nowhere in the project: hosts of registries, paths of one machine, other people's data."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.architecture.source_tree import ROOT, files

# Written in parts, so that this file may be searched like any other.
HOSTS = [
    ".".join(parts)
    for parts in (
        ("pypi", "org"),
        ("pythonhosted", "org"),
        ("registry", "npmjs", "org"),
        ("crates", "io"),
        ("proxy", "golang", "org"),
        ("deb", "debian", "org"),
    )
]
MACHINE = ["/".join(parts) for parts in (("", "work", ""), ("", "root", ""), ("", "home", "[a-z]"), ("file:", "", ""))]
PEOPLE = ["".join(parts) for parts in ((r"\bissue", r" #?\d"), (r"\bCE", r"O\b"), (r"\bfoun", r"der\b"))]
# A model's vocabulary holds every word there is.
VOCABULARIES = "src/agentmem/foundation/inference/models/"
FORBIDDEN = re.compile("|".join([*map(re.escape, HOSTS), *MACHINE, *PEOPLE]))
# The words of a quotation: long enough that two texts do not share them by chance.
QUOTE_WORDS = 9


def texts() -> Iterator[tuple[str, str]]:
    """Give each text file of the project with its name; binary files are left out."""
    for path in files(ROOT):
        try:
            yield path.relative_to(ROOT).as_posix(), path.read_text(encoding="utf-8")
        except UnicodeDecodeError:
            continue


def test_no_file_names_a_registry_a_machine_or_people() -> None:
    found = [
        (name, match[0])
        for name, text in texts()
        if not name.startswith(VOCABULARIES)
        for match in FORBIDDEN.finditer(text)
    ]

    assert found == []


def quotations(text: str) -> Iterator[tuple[str, ...]]:
    """Give every run of words of the length of a quotation."""
    words = re.findall(r"\w+", text.lower())
    return zip(*(words[start:] for start in range(QUOTE_WORDS)), strict=False)


def strings(value: object) -> Iterator[str]:
    """Give every string inside a JSON value."""
    if isinstance(value, str):
        yield value
    elif isinstance(value, list):
        for item in value:
            yield from strings(item)
    elif isinstance(value, dict):
        yield from strings(list(value.values()))


def test_no_file_quotes_the_shared_conversations(shared_data: Path) -> None:
    source = shared_data / "locomo-dev.json"
    if not source.is_file():
        pytest.skip("needs the shared data: the conversations are not there")
    theirs = {words for text in strings(json.loads(source.read_text())) for words in quotations(text)}

    found = {name: " ".join(shared) for name, text in texts() for shared in theirs.intersection(quotations(text))}

    assert found == {}


@pytest.mark.parametrize("parts", [("see https://", HOSTS[0]), ("in /wo", "rk/lab"), ("see iss", "ue #12")])
def test_each_kind_of_forbidden_word_is_noticed(parts: tuple[str, str]) -> None:
    assert FORBIDDEN.search("".join(parts))
