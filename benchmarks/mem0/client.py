"""Sets mem0 up in a virtual environment of its own, and starts it."""

from __future__ import annotations

import subprocess
from pathlib import Path
from typing import Final

from benchmarks.process import Engine

HERE: Final = Path(__file__).parent
ENVIRONMENT: Final = HERE.parent.parent / ".cache" / "mem0"
REQUIREMENTS: Final = HERE / "requirements.txt"


def prepare(python: str) -> None:
    """Make the virtual environment of mem0 from its pinned requirements; does nothing when they did not change."""
    ready = ENVIRONMENT / ".ready"
    wanted = REQUIREMENTS.read_text(encoding="utf-8")
    if ready.exists() and ready.read_text(encoding="utf-8") == wanted:
        return
    subprocess.run([python, "-m", "venv", "--clear", ENVIRONMENT], check=True)
    pip = [str(ENVIRONMENT / "bin" / "python"), "-m", "pip", "--disable-pip-version-check", "install"]
    install = [*pip, "--quiet", "--require-hashes", "--requirement", str(REQUIREMENTS)]
    done = subprocess.run(install, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise RuntimeError(f"mem0 cannot be installed:\n{done.stderr[-2000:]}")
    ready.write_text(wanted, encoding="utf-8")


def start(directory: Path, model: Path) -> Engine:
    """Start mem0 with a store in a folder, embedding by a model folder of AgentMem."""
    return Engine(ENVIRONMENT / "bin" / "python", HERE / "peer.py", directory=directory, model=str(model))
