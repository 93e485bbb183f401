"""Passwords that others have lost: a file of SHA-1 digests in order, searched where it lies.

The format is that of Have I Been Pwned, one line for each: 40 hexadecimal digits, and perhaps ``:`` and a count.
"""

from __future__ import annotations

import hashlib
import mmap
from pathlib import Path
from typing import Final

from agentmem.errors import Unavailable

_DIGITS: Final = 40


class BreachedPasswords:
    """The file that an operator has downloaded; it may have any size, and be replaced while it is used."""

    def __init__(self, path: Path) -> None:
        """Name the file; it is opened for each search."""
        self._path = path

    def holds(self, password: str) -> bool:
        """Tell whether a password is in it; raises :class:`Unavailable` if that cannot be told."""
        digest = hashlib.sha1(password.encode("utf-8", "surrogatepass"), usedforsecurity=False).hexdigest().upper()
        try:
            with self._path.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as lines:
                return _search(lines, digest.encode())
        except (OSError, ValueError) as error:  # an empty file cannot be mapped
            raise Unavailable(
                f"The file of breached passwords cannot be read ({type(error).__name__}).",
                hint="Whoever runs this installation must put it back, or set no such file.",
            ) from None


def _search(lines: mmap.mmap, wanted: bytes) -> bool:
    """Find a digest by halving the lines that it may be on."""
    low, high = 0, len(lines)
    while low < high:
        start = lines.rfind(b"\n", low, (low + high) // 2) + 1 or low
        found = lines[start : start + _DIGITS].upper()
        if found == wanted:
            return True
        end = lines.find(b"\n", start)
        if found < wanted:
            low = len(lines) if end < 0 else end + 1
        else:
            high = start
    return False
