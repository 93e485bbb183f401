"""How much memory processes take, and how much disk an installation."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Final

ROOT: Final = Path(__file__).resolve().parent.parent
PROC: Final = Path("/proc")
KIBIBYTE: Final = 1024


def process_memory() -> dict[str, object]:
    """Give this process's resident memory, now and at its highest, and its proportional share, in bytes."""
    return {
        "rss": _field(PROC / "self" / "status", "VmRSS"),
        "peak": _field(PROC / "self" / "status", "VmHWM"),
        "pss": _field(PROC / "self" / "smaps_rollup", "Pss"),
    }


def postgres_memory(backend: int) -> dict[str, object]:
    """Give the proportional share of all processes of the server that a backend belongs to, in bytes.

    Proportional, because they share one segment: their resident sizes would count it once for each process.
    """
    server = _field(PROC / str(backend) / "status", "PPid") // KIBIBYTE
    children = [path for path in PROC.iterdir() if path.name.isdigit() and _parent(path) == server]
    return {"postgres_pss": sum(_pss(path) for path in [PROC / str(server), *children])}


@dataclass(frozen=True, kw_only=True)
class Installed:
    """Bytes of an installation, and how many of them are bytecode that the installer compiled."""

    total: int
    bytecode: int


def installed_size(requirements: Path | None, package: str) -> Installed:
    """Install a package into a fresh virtual environment, and give what came with it."""
    with TemporaryDirectory(prefix="agentmem-install-") as directory:
        subprocess.run([sys.executable, "-m", "venv", directory], check=True)
        before = _installed(Path(directory))
        pip = [f"{directory}/bin/python", "-m", "pip", "--disable-pip-version-check", "install", "--quiet"]
        if requirements is not None:
            subprocess.run([*pip, "--require-hashes", "-r", str(requirements)], check=True, stderr=subprocess.DEVNULL)
            pip.append("--no-deps")
        subprocess.run([*pip, package], check=True, stderr=subprocess.DEVNULL)
        after = _installed(Path(directory))
        return Installed(total=after.total - before.total, bytecode=after.bytecode - before.bytecode)


def _installed(folder: Path) -> Installed:
    sizes = {path: path.lstat().st_size for path in folder.rglob("*") if not path.is_dir()}
    bytecode = sum(size for path, size in sizes.items() if path.suffix == ".pyc")
    return Installed(total=sum(sizes.values()), bytecode=bytecode)


def _parent(process: Path) -> int:
    try:
        return _field(process / "status", "PPid") // KIBIBYTE
    except OSError:  # it has ended meanwhile
        return 0


def _pss(process: Path) -> int:
    try:
        return _field(process / "smaps_rollup", "Pss")
    except OSError:
        return 0


def _field(path: Path, name: str) -> int:
    """Read a field of a file of the kernel; sizes stand there in KiB."""
    lines = path.read_text(encoding="utf-8", errors="replace").splitlines()
    line = next(line for line in lines if line.startswith(f"{name}:"))
    return int(line.split()[1]) * KIBIBYTE
