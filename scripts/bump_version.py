"""Set the version of package, chart and changelog: ``python scripts/bump_version.py 0.2.0``; then commit and tag."""

from __future__ import annotations

import datetime as dt
import re
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
SEMANTIC = re.compile(r"\d+\.\d+\.\d+(-[0-9A-Za-z.]+)?")


def main(arguments: list[str], root: Path = ROOT) -> None:
    """Write the version; the notes of what is unreleased become those of the version."""
    if len(arguments) != 1 or SEMANTIC.fullmatch(arguments[0]) is None:
        sys.exit("usage: bump_version.py MAJOR.MINOR.PATCH")
    version = arguments[0]
    today = dt.datetime.now(dt.UTC).date().isoformat()
    for name, pattern, text in (
        ("pyproject.toml", r'^version = ".*"$', f'version = "{version}"'),
        ("deploy/helm/agentmem/Chart.yaml", r"^version: .*$", f"version: {version}"),
        ("deploy/helm/agentmem/Chart.yaml", r"^appVersion: .*$", f'appVersion: "{version}"'),
        ("CHANGELOG.md", r"^## \[Unreleased\]$", f"## [Unreleased]\n\n## [{version}] - {today}"),
    ):
        path = root / name
        changed, count = re.subn(pattern, text, path.read_text(encoding="utf-8"), count=1, flags=re.MULTILINE)
        if count != 1:
            sys.exit(f"{name} has no line for the version.")
        path.write_text(changed, encoding="utf-8")


if __name__ == "__main__":
    main(sys.argv[1:])
