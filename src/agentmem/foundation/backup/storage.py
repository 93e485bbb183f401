"""Where backups are kept: a folder, or what speaks as S3 does. Everything here blocks."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, Protocol

from agentmem.errors import ConfigurationError, NotFound, StorageFull


class BackupStorage(Protocol):
    """Keeps files by name; a file appears whole or not at all."""

    def writing(self, name: str) -> AbstractContextManager[BinaryIO]:
        """Write a file in the body of a ``with``; if that raises, there is none."""
        ...

    def reading(self, name: str) -> AbstractContextManager[BinaryIO]:
        """Read a file in the body of a ``with``; raises :class:`NotFound`."""
        ...

    def names(self) -> list[str]:
        """Name every file."""
        ...

    def remove(self, name: str) -> None:
        """Remove a file; nothing happens if there is none."""
        ...


@dataclass(frozen=True, slots=True)
class FolderStorage:
    """Backups in a folder that only its owner reads."""

    folder: Path

    @contextmanager
    def writing(self, name: str) -> Iterator[BinaryIO]:
        """Write a file, on disk when this ends, under its name only then."""
        path = self.folder / name
        draft = path.with_name(f".{path.name}.draft")
        try:
            path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
            with os.fdopen(descriptor, "wb") as file:
                yield file
                file.flush()
                os.fsync(file.fileno())
            draft.replace(path)
        except OSError as error:
            raise StorageFull(f"The backup cannot be written to {path}: {error.strerror}.") from error
        finally:
            draft.unlink(missing_ok=True)

    @contextmanager
    def reading(self, name: str) -> Iterator[BinaryIO]:
        """Read a file."""
        try:
            file = (self.folder / name).open("rb")
        except FileNotFoundError:
            raise NotFound(f"There is no file {name} in {self.folder}.") from None
        with file:
            yield file

    def names(self) -> list[str]:
        """Name every file, with its folder."""
        found = (path for path in self.folder.rglob("*") if path.is_file() and not path.name.startswith("."))
        return sorted(path.relative_to(self.folder).as_posix() for path in found)

    def remove(self, name: str) -> None:
        """Remove a file, and its folder with the last."""
        path = self.folder / name
        path.unlink(missing_ok=True)
        with suppress(OSError):
            path.parent.rmdir()


def open_storage(location: str, endpoint: str | None) -> BackupStorage:
    """Open the storage that a location names: the path of a folder, or ``s3://bucket/prefix``."""
    if not location.startswith("s3://"):
        return FolderStorage(Path(location).expanduser().absolute())
    bucket, _, prefix = location.removeprefix("s3://").partition("/")
    if not bucket:
        raise ConfigurationError("The location of backups names no bucket.", hint="Write s3://bucket/prefix.")
    # Read where a bucket is named: what speaks to it takes a start longer than most commands.
    from agentmem.foundation.backup.s3 import S3Storage  # noqa: PLC0415

    return S3Storage.open(bucket, prefix.strip("/"), endpoint)
