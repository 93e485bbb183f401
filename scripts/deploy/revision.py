"""Pick the revision of a release to go back to: by its number, by the version that it ran, or the one before.

Reads ``helm history --output json`` from standard input.
"""

from __future__ import annotations

import json
import sys

GOOD = frozenset({"deployed", "superseded"})


def main(arguments: list[str]) -> None:
    """Print the revision's number."""
    wanted = arguments[0].removeprefix("v") if arguments else ""
    history = sorted(json.load(sys.stdin), key=lambda one: int(one["revision"]))
    current = max((one["revision"] for one in history if one["status"] == "deployed"), default=None)
    earlier = [one for one in history if one["status"] in GOOD and one["revision"] != current]
    if wanted.isdigit():
        earlier = [one for one in earlier if str(one["revision"]) == wanted]
    elif wanted:
        earlier = [one for one in earlier if one["app_version"] == wanted]
    if not earlier:
        sys.exit(f"There is no revision to go back to{f' that is or ran {wanted}' if wanted else ''}.")
    print(earlier[-1]["revision"])


if __name__ == "__main__":
    main(sys.argv[1:])
