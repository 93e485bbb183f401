"""The master key file: created once, checked at every reading, replaced whole.

Its format is specified in ``docs/reference/encryption-format.md``.
"""

from __future__ import annotations

import base64
import fcntl
import hashlib
import os
import shlex
import stat
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Final
from uuid import UUID, uuid4

from agentmem.errors import KeyUnavailable
from agentmem.foundation.encryption.secret import KEY_BYTES, SecretKey

_FIRST_LINE: Final = "agentmem-master-keys 1"
_NOTICE: Final = (
    "# Secret. Who has this file and the database can read every memory; without it nobody can.\n"
    "# Keep a copy apart from the copies of the database. Do not edit.\n"
)
_OPEN_TO_OTHERS: Final = stat.S_IRWXG | stat.S_IRWXO
_MOUNTED_OPEN: Final = _OPEN_TO_OTHERS & ~stat.S_IRGRP
_LARGEST_BYTES: Final = 65_536
_STATES: Final = ("active", "retired")


@dataclass(frozen=True, kw_only=True, slots=True)
class MasterKey:
    """One master key of the file; the active one wraps new keys, a retired one only unwraps."""

    key_id: UUID
    active: bool
    created_at: str
    key: SecretKey


@dataclass(frozen=True, kw_only=True, slots=True)
class MasterKeys:
    """The master keys of a file, one of them active."""

    keys: tuple[MasterKey, ...]

    @property
    def active(self) -> MasterKey:
        """The key that wraps."""
        return next(key for key in self.keys if key.active)

    def find(self, key_id: UUID) -> MasterKey | None:
        """Give the key with this id, if the file has it."""
        return next((key for key in self.keys if key.key_id == key_id), None)


@dataclass(frozen=True, kw_only=True, slots=True)
class _Damage:
    """Why a file is not a master key file; returned, not raised, so that no traceback holds a frame with the text."""

    reason: str


def create_if_missing(path: Path) -> None:
    """Create the file with one fresh key, or leave the one that is there.

    It appears whole or not at all, also when several processes try at once or the machine stops in between.
    """
    with _refusals(path, "read"):
        if path.exists():
            return
    with _refusals(path, "created"):
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        with _draft(path, MasterKeys(keys=(_fresh_key(),))) as draft, suppress(FileExistsError):
            # A hard link fails if the name is taken: of several processes one wins, and no one sees half a file.
            os.link(draft, path)
        with _directory(path.parent) as descriptor:
            os.fsync(descriptor)


def read(path: Path) -> MasterKeys:
    """Read the file; raise ``KeyUnavailable`` if it is missing, open to other users, or damaged."""
    parsed = _parse(_read_private(path))
    if isinstance(parsed, _Damage):
        raise KeyUnavailable(
            f"The master key file {path} cannot be used: {parsed.reason}.", hint="Restore it from its backup."
        )
    return parsed


def is_open_to_others(found: os.stat_result) -> bool:
    """Tell whether others than its user may read or change a file with a secret.

    Orchestrators mount a secret as root's, readable by a group that the program alone is in (ADR 0060).
    """
    mounted = found.st_uid == 0 and os.geteuid() != 0 and stat.S_ISREG(found.st_mode)
    return bool(found.st_mode & (_MOUNTED_OPEN if mounted else _OPEN_TO_OTHERS))


def _fresh_key() -> MasterKey:
    return MasterKey(
        key_id=uuid4(),
        active=True,
        created_at=datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ"),
        key=SecretKey(bytearray(os.urandom(KEY_BYTES))),
    )


def add_key(path: Path) -> str:
    """Replace the file by one with a fresh active key, the others retired, and give the key's id."""
    fresh = _fresh_key()
    with _changing(path) as change:
        change(MasterKeys(keys=(*(replace(key, active=False) for key in read(path).keys), fresh)))
    return str(fresh.key_id)


def remove_key(path: Path, key_id: str) -> None:
    """Replace the file by one without this retired key."""
    with _changing(path) as change:
        keys = read(path)
        if str(keys.active.key_id) == key_id:
            raise KeyUnavailable(f"The master key {key_id} is the active one and is not destroyed.")
        kept = tuple(key for key in keys.keys if str(key.key_id) != key_id)
        if len(kept) == len(keys.keys):
            raise KeyUnavailable(f"There is no master key {key_id} in {path}.")
        change(MasterKeys(keys=kept))


@contextmanager
def _changing(path: Path) -> Iterator[Callable[[MasterKeys], None]]:
    """Give what replaces the file, to one process at a time."""
    with _refusals(path, "written"), _directory(path.parent) as descriptor:
        # Of two changes at once, the second must start from what the first has written.
        fcntl.flock(descriptor, fcntl.LOCK_EX)

        def change(keys: MasterKeys) -> None:
            with _draft(path, keys) as draft:
                draft.replace(path)
            os.fsync(descriptor)

        yield change


@contextmanager
def _draft(path: Path, keys: MasterKeys) -> Iterator[Path]:
    """Write the keys to a file beside ``path``, on disk when this yields, and gone afterwards."""
    draft = path.with_name(f".{path.name}.{uuid4().hex}.draft")
    try:
        descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
        with os.fdopen(descriptor, "w", encoding="ascii") as file:
            file.write(render(keys))
            file.flush()
            os.fsync(file.fileno())
        yield draft
    finally:
        draft.unlink(missing_ok=True)


def _read_private(path: Path) -> str:
    with _refusals(path, "read"):
        # Without O_NONBLOCK a named pipe in the file's place would hang the start.
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
        with os.fdopen(descriptor, "rb") as file:
            found = os.fstat(file.fileno())
            if not stat.S_ISREG(found.st_mode):
                raise KeyUnavailable(f"The master key file {path} is not a regular file.")
            if is_open_to_others(found):
                raise KeyUnavailable(
                    f"The master key file {path} is open to other users (mode {stat.S_IMODE(found.st_mode):04o}).",
                    hint=f"Run: chmod 600 {shlex.quote(str(path))}",
                )
            return file.read(_LARGEST_BYTES).decode("ascii", "replace")


@contextmanager
def _refusals(path: Path, verb: str) -> Iterator[None]:
    try:
        yield
    except FileNotFoundError:
        raise KeyUnavailable(
            f"There is no master key file at {path}.", hint="Restore it from its backup: sealed content needs it."
        ) from None
    except OSError as error:
        raise KeyUnavailable(f"The master key file {path} cannot be {verb}: {error.strerror}.") from error


@contextmanager
def _directory(directory: Path) -> Iterator[int]:
    descriptor = os.open(directory, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        yield descriptor
    finally:
        os.close(descriptor)


def render(keys: MasterKeys) -> str:
    """Write the keys as the text of a file."""
    return f"{_FIRST_LINE}\n{_NOTICE}" + "".join(f"{_render_key(key)}\n" for key in keys.keys)


def _render_key(key: MasterKey) -> str:
    state = _STATES[0 if key.active else 1]
    line = f"{state} {key.key_id} {key.created_at} {base64.b64encode(key.key.reveal()).decode()}"
    return f"{line} {_checksum(line)}"


def _checksum(line: str) -> str:
    """Tell damage, not tampering: who can write this file can replace the key as well."""
    return hashlib.sha256(line.encode()).hexdigest()[:16]


def _parse(text: str) -> MasterKeys | _Damage:
    first, *lines = text.split("\n")
    if first != _FIRST_LINE:
        return _Damage(reason=f"its first line is not {_FIRST_LINE!r}")
    keys: list[MasterKey] = []
    for number, line in enumerate(lines, start=2):
        if not line or line.startswith("#"):
            continue
        key = _parse_key(line, number)
        if isinstance(key, _Damage):
            return key
        keys.append(key)
    if sum(key.active for key in keys) != 1:
        return _Damage(reason="it does not hold exactly one active key")
    if len({key.key_id for key in keys}) != len(keys):
        return _Damage(reason="it holds a key twice")
    return MasterKeys(keys=tuple(keys))


def _parse_key(line: str, number: int) -> MasterKey | _Damage:
    content, _, checksum = line.rpartition(" ")
    if _checksum(content) != checksum:
        return _Damage(reason=f"line {number} is damaged")
    try:
        state, key_id, created_at, encoded = content.split(" ")
        active = _STATES.index(state) == 0
        key = bytearray(base64.b64decode(encoded, validate=True))
        parsed_id = UUID(key_id)
    except ValueError:
        return _Damage(reason=f"line {number} is damaged")
    if len(key) != KEY_BYTES:
        return _Damage(reason=f"the key of line {number} has {len(key)} bytes and not {KEY_BYTES}")
    return MasterKey(key_id=parsed_id, active=active, created_at=created_at, key=SecretKey(key))
