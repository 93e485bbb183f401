"""Run the examples of one Markdown page, from top to bottom, as its reader would.

Python blocks share one namespace; of the shell blocks only the commands that start with `agentmem` are run. The store
is the one that the environment names. The first example that fails ends the run, with its line in the page.
"""

from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

FENCE = re.compile(
    r"^(?P<indent> *)```(?P<language>[\w+-]*)[^\n]*\n(?P<body>.*?)^(?P=indent)```\s*$", re.MULTILINE | re.DOTALL
)
SHELL = frozenset({"bash", "console", "sh"})
SECONDS = 120


@dataclass(frozen=True, kw_only=True)
class Block:
    """A fenced block: its language, its text, and the line of the page where the text starts (from 1)."""

    language: str
    text: str
    line: int


def blocks(page: str) -> Iterator[Block]:
    """Give the fenced blocks of a page in order."""
    for match in FENCE.finditer(page):
        indent = len(match["indent"])
        text = "".join(line[indent:] for line in match["body"].splitlines(keepends=True))
        yield Block(language=match["language"], text=text, line=page.count("\n", 0, match.start("body")) + 1)


def commands(text: str) -> Iterator[str]:
    """Give the commands of a shell block that start with `agentmem`."""
    for line in text.replace("\\\n", " ").splitlines():
        command = line.strip().removeprefix("$ ")
        if command.split(" ", 1)[0] == "agentmem":
            yield command


def run_command(command: str, where: str) -> None:
    """Run one command by the shell, and end the run when it fails."""
    # The pages are the project's own, and so are their commands.
    done = subprocess.run(["/bin/sh", "-c", command], stdin=subprocess.DEVNULL, timeout=SECONDS, check=False)
    if done.returncode != 0:
        sys.exit(f"{where}: exit status {done.returncode} of: {command}")


def run(path: Path) -> None:
    """Run every example of the page."""
    page = path.read_text(encoding="utf-8")
    namespace: dict[str, object] = {"__name__": "__main__"}
    for block in blocks(page):
        if block.language == "python":
            # Blank lines above make the page's own lines appear in a traceback.
            code = compile("\n" * (block.line - 1) + block.text, str(path), "exec")
            exec(code, namespace)  # noqa: S102  # to run the page's examples is what this script is for
        elif block.language in SHELL:
            for command in commands(block.text):
                run_command(command, f"{path}:{block.line}")


if __name__ == "__main__":
    run(Path(sys.argv[1]))
