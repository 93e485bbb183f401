"""The script behind `make services`, where there is nothing to install and where nothing can be."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from scripts import install_services
from tests.architecture.source_tree import ROOT

SCRIPT = ROOT / "scripts" / "install_services.py"


def run(path: Path) -> subprocess.CompletedProcess[str]:
    """Run the script where only this folder's programs are found."""
    return subprocess.run(
        [sys.executable, SCRIPT], env={"PATH": str(path)}, capture_output=True, text=True, timeout=60, check=False
    )


def program(folder: Path, name: str, text: str = "exit 0") -> Path:
    """Put a program into a folder."""
    file = folder / name
    file.write_text(f"#!/bin/sh\n{text}\n", encoding="utf-8")
    file.chmod(0o755)
    return file


def test_nothing_is_installed_where_everything_is_there(tmp_path: Path) -> None:
    for name in install_services.PACKAGES:
        program(tmp_path, name)
    program(tmp_path, "apt-get", "exit 1")

    done = run(tmp_path)

    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


def test_a_system_without_apt_is_told_what_it_lacks(tmp_path: Path) -> None:
    done = run(tmp_path)

    assert done.returncode == 0
    assert "redis-server" in done.stderr


def test_a_failed_installation_is_told_and_stops_nothing(tmp_path: Path) -> None:
    program(tmp_path, "apt-get", "exit 1")
    program(tmp_path, "env", 'shift; exec "$@"')
    program(tmp_path, "sudo", 'shift; exec "$@"')

    done = run(tmp_path)

    assert done.returncode == 0
    assert "Could not install redis-server" in done.stderr
