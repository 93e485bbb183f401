"""Change the modules that decide who somebody is in small ways, and fail if the tests of one miss a tenth of them.

Each run starts anew: a change that an older test missed is tried again. What no test runs counts as missed.
"""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path

from mutmut.stats import status_by_exit_code

ROOT = Path(__file__).resolve().parent.parent
MUTANTS = ROOT / "mutants"
LEAST = 0.9
"""The part of a module's changes that its tests must notice."""
NOTICED = frozenset({"killed", "timeout"})


def main() -> int:
    """Run mutmut, and print of each module how many of its changes were noticed, and those that were not."""
    shutil.rmtree(MUTANTS, ignore_errors=True)
    MUTANTS.mkdir()
    log = MUTANTS / "mutmut.log"
    with log.open("w", encoding="utf-8") as output:
        run = subprocess.run(
            [Path(sys.executable).with_name("mutmut"), "run"], cwd=ROOT, stdout=output, stderr=output, check=False
        )
    if run.returncode:
        print(f"mutmut failed with {run.returncode}; the end of {log}:", *_lines(log)[-30:], sep="\n")
        return 1
    scores = dict(_score(path) for path in sorted((MUTANTS / "src").rglob("*.py.meta")))
    return 1 if not scores or min(scores.values()) < LEAST else 0


def _lines(log: Path) -> list[str]:
    return log.read_text(encoding="utf-8").splitlines()


def _score(path: Path) -> tuple[str, float]:
    """Print a module's score with what was missed, and give its name with the part that was noticed."""
    codes = json.loads(path.read_text(encoding="utf-8"))["exit_code_by_key"]
    missed = [name for name, code in codes.items() if status_by_exit_code[code] not in NOTICED]
    module = str(path.relative_to(MUTANTS / "src")).removesuffix(".meta")
    noticed = len(codes) - len(missed)
    score = noticed / len(codes) if codes else 1.0
    print(f"{score:7.1%}  {noticed:3} of {len(codes):3}  {module}", *missed, sep="\n           missed: ")
    return module, score


if __name__ == "__main__":
    sys.exit(main())
