"""The pages tell the truth: their examples run, and their links lead somewhere."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from scripts.run_document import SHELL, blocks
from tests.architecture.source_tree import ROOT, files
from tests.support.embedded_server import open_folder

PAGES = sorted(path for path in files(ROOT) if path.suffix == ".md")
# Pages whose examples need values that another test prepares; that test runs them.
RUN_ELSEWHERE = {
    "docs/how-to/follow-events.md": "tests/e2e/test_events.py",
    "docs/reference/client.md": "tests/e2e/test_client.py",
    "docs/reference/encryption-format.md": "tests/unit/test_encryption_format_page.py",
    # Its examples are those of README.md, which are run here.
    "README.zh-CN.md": "tests/architecture/test_readme_parity.py",
}
# Languages a fence may name; `text` is for what is only looked at.
LANGUAGES = frozenset({"python", "text", "json", "toml", "sql", "mermaid", *SHELL})
RUNNABLE = [
    page
    for page in PAGES
    if page.relative_to(ROOT).as_posix() not in RUN_ELSEWHERE
    and any(block.language in {"python", *SHELL} for block in blocks(page.read_text(encoding="utf-8")))
]
LINK = re.compile(r"\[[^\]]*\]\((?P<target>[^)\s#]+)(?:#[^)]*)?\)")


def name_of(page: Path) -> str:
    return page.relative_to(ROOT).as_posix()


@pytest.fixture
def home() -> Iterator[Path]:
    with open_folder() as folder:
        yield folder


@pytest.mark.parametrize("page", RUNNABLE, ids=name_of)
def test_examples_of_the_page_run_from_top_to_bottom(page: Path, home: Path) -> None:
    environment = {
        **os.environ,
        "AGENTMEM_DATA_DIRECTORY": str(home / "store"),
        # Long enough for the next command to find the database up.
        "AGENTMEM_LINGER": "2",
        "HOME": str(home),
        "NO_COLOR": "1",
        "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}",
        "PYTHONPATH": str(ROOT),
    }
    command: list[str | Path] = [sys.executable, "-W", "error", ROOT / "scripts" / "run_document.py", page]

    done = subprocess.run(
        command, cwd=home, env=environment, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False
    )

    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize("page", RUN_ELSEWHERE)
def test_page_that_is_run_elsewhere_is_named_by_the_test_that_runs_it(page: str) -> None:
    assert Path(page).name in (ROOT / RUN_ELSEWHERE[page]).read_text(encoding="utf-8")


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_every_fence_of_the_page_names_its_language(page: Path) -> None:
    assert {block.language for block in blocks(page.read_text(encoding="utf-8"))} <= LANGUAGES


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_links_of_the_page_lead_to_files_that_are_there(page: Path) -> None:
    targets = (match["target"] for match in LINK.finditer(page.read_text(encoding="utf-8")))
    broken = [target for target in targets if "://" not in target and not (page.parent / target).exists()]

    assert broken == []


def test_an_example_that_fails_is_noticed_with_its_line(tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    page.write_text("# A page\n\n```python\nx = 1\n```\n\n```python\nassert x == 2\n```\n")

    command: list[str | Path] = [sys.executable, ROOT / "scripts" / "run_document.py", page]

    done = subprocess.run(command, capture_output=True, text=True, check=False)

    assert done.returncode != 0
    assert "line 8" in done.stderr
