"""What the architecture tests look at: the project's files, read and parsed."""

from __future__ import annotations

import ast
import os
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
SOURCE = ROOT / "src" / "agentmem"

# Folders that hold what tools made, by name.
MADE = frozenset({".git", ".venv", ".cache", "__pycache__", "mutants", "build", "dist", "node_modules"})
Function = ast.FunctionDef | ast.AsyncFunctionDef


@dataclass(frozen=True, kw_only=True)
class Module:
    """One Python file: where it is, its text and its tree."""

    path: Path

    @property
    def name(self) -> str:
        """The path from the project's root, with slashes."""
        return self.path.relative_to(ROOT).as_posix()

    @cached_property
    def text(self) -> str:
        """The source text."""
        return self.path.read_text(encoding="utf-8")

    @cached_property
    def tree(self) -> ast.Module:
        """The parsed source."""
        return ast.parse(self.text, self.name)

    def functions(self) -> Iterator[Function]:
        """Give every function and method, nested ones too."""
        for node in ast.walk(self.tree):
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
                yield node

    def imports(self) -> Iterator[tuple[str, str | None]]:
        """Give each imported module with the name taken from it (None for a plain import)."""
        for node in ast.walk(self.tree):
            if isinstance(node, ast.Import):
                yield from ((alias.name, None) for alias in node.names)
            elif isinstance(node, ast.ImportFrom) and node.module is not None:
                yield from ((node.module, alias.name) for alias in node.names)


def files(*folders: Path) -> list[Path]:
    """List the files under the folders (by default the whole project), without what tools made."""
    found: list[Path] = []
    for top in folders or (ROOT,):
        for folder, names, leaves in os.walk(top):
            names[:] = sorted(name for name in names if name not in MADE and not name.endswith(("_cache", ".egg-info")))
            # `.hypothesis` and the like; `.ci` is the project's own.
            names[:] = [name for name in names if not name.startswith(".") or name == ".ci"]
            found.extend(Path(folder, leaf) for leaf in sorted(leaves))
    return found


def modules(*folders: Path) -> list[Module]:
    """Parse the Python files under the folders; by default all that are the project's own."""
    own = (ROOT / "src", ROOT / "tests", ROOT / "scripts", ROOT / "benchmarks")
    return [Module(path=path) for path in files(*(folders or own)) if path.suffix == ".py"]
