"""Key material in memory."""

from __future__ import annotations

from typing import NoReturn

from agentmem.errors import KeyUnavailable

KEY_BYTES = 32
"""Length of every key of AgentMem: 256 bits."""


class SecretKey:
    """Thirty-two secret bytes that never show in a ``repr``, cannot be pickled, and can be overwritten.

    The bytes live in a buffer of their own, so that :meth:`wipe` leaves no copy there. Python and the libraries below
    may have made copies of their own before that; nothing here can reach those.
    """

    __slots__ = ("_buffer",)

    def __init__(self, buffer: bytearray) -> None:
        if len(buffer) != KEY_BYTES:
            raise KeyUnavailable(f"A key has {KEY_BYTES} bytes, this one has {len(buffer)}.")
        self._buffer = buffer

    def reveal(self) -> bytearray:
        """Give the bytes themselves; not a copy, so do not keep them past :meth:`wipe`."""
        return self._buffer

    def wipe(self) -> None:
        """Overwrite the bytes with zeros; the key is useless from here on."""
        self._buffer[:] = bytes(len(self._buffer))

    def __repr__(self) -> str:
        return "SecretKey(***)"

    def __reduce__(self) -> NoReturn:
        raise TypeError("A SecretKey is not pickled: secrets stay in the process that unwrapped them.")
