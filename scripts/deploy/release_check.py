"""Refuse a release whose versions do not agree: its tag, the package, the chart, the changelog.

``python scripts/deploy/release_check.py v1.2.3`` prints the version's part of the changelog.
"""

from __future__ import annotations

import re
import sys
import tomllib
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]


def main(arguments: list[str]) -> None:
    """Compare, and print the notes."""
    if len(arguments) != 1 or not re.fullmatch(r"v\d+\.\d+\.\d+(-[0-9A-Za-z.]+)?", arguments[0]):
        sys.exit("usage: release_check.py vMAJOR.MINOR.PATCH")
    version = arguments[0].removeprefix("v")
    chart = (ROOT / "deploy" / "helm" / "agentmem" / "Chart.yaml").read_text(encoding="utf-8")
    changelog = (ROOT / "CHANGELOG.md").read_text(encoding="utf-8")
    notes = re.search(rf"^## \[{re.escape(version)}\][^\n]*\n(.*?)(?=^## \[|\Z)", changelog, re.MULTILINE | re.DOTALL)
    said = {
        "pyproject.toml": tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]["version"],
        "the chart's version": _of(chart, "version"),
        "the chart's appVersion": _of(chart, "appVersion"),
        "CHANGELOG.md": version if notes is not None and notes[1].strip() else "no notes",
    }
    wrong = [f"{what} says {value}" for what, value in said.items() if value != version]
    if wrong or notes is None:
        sys.exit(f"The tag says {version}, but {', '.join(wrong)}.")
    print(notes[1].strip())


def _of(chart: str, name: str) -> str:
    found = re.search(rf'^{name}: "?([^"\n]+)"?$', chart, re.MULTILINE)
    return found[1] if found is not None else "nothing"


if __name__ == "__main__":
    main(sys.argv[1:])
