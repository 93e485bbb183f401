"""Where an embedded store keeps its files, and which account of the system its server runs as."""

from __future__ import annotations

import errno
import os
import pwd
import socket
import stat
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from agentmem.errors import ConfigurationError, DatabaseUnavailable, StorageFull

PORT = 5432
LONGEST_SOCKET_PATH = 103
"""Bytes that a socket's path may have on every system (macOS; Linux allows 107)."""

ACCOUNT_OF_ROOT = 59117
"""User id of the server of a store that root owns.

Linux distributions leave 30000 to 59999 unassigned and root lends the id to nothing else, so that, unlike with `nobody`
or `postgres`, no other program can read the data or signal the server.
"""

_FULL = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EROFS})
_WORKING_DIRECTORY = Path("/proc/self/cwd")


@dataclass(frozen=True, kw_only=True, slots=True)
class Account:
    """The user and group that the server runs as."""

    uid: int
    gid: int

    @property
    def is_mine(self) -> bool:
        """True where this process runs as the same user."""
        return self.uid == os.geteuid()

    @property
    def to_become(self) -> int | None:
        """The user id that a child process has to change to; none where it is ours already."""
        return None if self.is_mine else self.uid

    @property
    def has_name(self) -> bool:
        """True where the system knows a name for the user; containers often do not."""
        try:
            pwd.getpwuid(self.uid)
        except KeyError:
            return False
        return True

    def own(self, path: Path) -> None:
        """Give a file or folder to the account."""
        if not self.is_mine:
            os.chown(path, self.uid, self.gid, follow_symlinks=False)


@dataclass(frozen=True, kw_only=True, slots=True)
class Layout:
    """The paths of one data directory."""

    directory: Path

    @property
    def marker(self) -> Path:
        """The file that says that the folder is ours, and in which format."""
        return self.directory / "agentmem.json"

    @property
    def cluster(self) -> Path:
        """The folder of PostgreSQL's own files."""
        return self.directory / "postgres"

    @property
    def password_file(self) -> Path:
        """The password of the one login role, in the form that libpq reads; lives and moves with the cluster."""
        return self.cluster / "agentmem.pgpass"

    @property
    def log(self) -> Path:
        """What the server and its supervisor have to say."""
        return self.directory / "log" / "postgresql.log"

    @property
    def socket_note(self) -> Path:
        """The file that names the socket's folder, so that a restart takes the same one."""
        return self.directory / "locks" / "socket"

    @property
    def start_lock(self) -> Path:
        """Held while the server is started or stopped."""
        return self.directory / "locks" / "start"

    @property
    def users_lock(self) -> Path:
        """Held, shared, by every process that uses the store."""
        return self.directory / "locks" / "users"

    @property
    def supervisor_lock(self) -> Path:
        """Held by the supervisor as long as it lives."""
        return self.directory / "locks" / "supervisor"

    @property
    def server_lock(self) -> Path:
        """Inherited, and so held, by every process of the server; free means that nobody touches the cluster."""
        return self.directory / "locks" / "server"

    def make_folders(self) -> None:
        """Make what is missing of the data directory, closed to other users."""
        self.directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        owner = self.directory.stat().st_uid
        if os.geteuid() not in {0, owner}:
            raise ConfigurationError(
                f"{self.directory} belongs to user id {owner}, not to this process (user id {os.geteuid()}).",
                hint="Name a data directory of your own with AGENTMEM_DATA_DIRECTORY.",
            )
        for folder in (self.start_lock.parent, self.log.parent):
            folder.mkdir(mode=0o700, exist_ok=True)
            descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW)
            try:
                _give_to_owner_of(self.directory, descriptor)
            finally:
                os.close(descriptor)

    def server_account(self, uid_for_root: int | None) -> Account:
        """Choose who runs the server: whoever owns the store, but never root."""
        if os.geteuid() != 0:
            return Account(uid=os.geteuid(), gid=os.getegid())
        existing = self.cluster if self.cluster.exists() else self.directory
        owner = existing.stat()
        if owner.st_uid != 0:
            return Account(uid=owner.st_uid, gid=owner.st_gid)
        if existing == self.cluster:
            raise ConfigurationError(
                f"{self.cluster} belongs to root, and PostgreSQL refuses to run as root.",
                hint=f"Give it to the server's account: chown -R {ACCOUNT_OF_ROOT}:{ACCOUNT_OF_ROOT} {self.cluster}",
            )
        uid = ACCOUNT_OF_ROOT if uid_for_root is None else uid_for_root
        return Account(uid=uid, gid=uid)

    def cluster_as_seen_by(self, account: Account) -> Path:
        """Give the path by which the server reaches its files.

        A server of another account cannot pass through a closed home folder; it is started inside the cluster's folder
        and reaches it as its working directory, which needs no right on the folders above.
        """
        if not account.is_mine and _WORKING_DIRECTORY.exists():
            return _WORKING_DIRECTORY
        return self.cluster

    def choose_socket_folder(self, account: Account) -> Path:
        """Give a folder for the socket: short enough, and closed to everybody but the account (and root)."""
        noted = self.noted_socket_folder()
        if noted is not None and _is_closed_folder(noted, account):
            return noted
        chosen = self._inside(account) or _outside(account)
        write_whole(self.socket_note, str(chosen))
        return chosen

    def noted_socket_folder(self) -> Path | None:
        """Give the socket's folder of the running or the last server."""
        try:
            return Path(self.socket_note.read_text(encoding="utf-8"))
        except FileNotFoundError:
            return None

    def _inside(self, account: Account) -> Path | None:
        folder = self.directory / "run"
        if not account.is_mine or not _fits(folder):
            return None
        folder.mkdir(mode=0o700, exist_ok=True)
        folder.chmod(0o700)
        return folder if _can_hold_a_socket(folder) else None


def _outside(account: Account) -> Path:
    """Make a new folder in a place for short-lived files; a fresh, random name cannot have been prepared by others."""
    places = [Path("/run"), Path("/tmp")] if os.geteuid() == 0 else [Path("/tmp"), Path(tempfile.gettempdir())]  # noqa: S108
    for place in places:
        with suppress(OSError):
            folder = Path(tempfile.mkdtemp(prefix="agentmem-", dir=place))
            if _fits(folder) and _can_hold_a_socket(folder):
                account.own(folder)
                return folder
            folder.rmdir()
    raise DatabaseUnavailable(
        f"No folder for the server's socket can be made in {' or '.join(map(str, places))}.",
        hint="Make one of them writable, or use a data directory with a shorter path.",
    )


def _fits(folder: Path) -> bool:
    return len(os.fsencode(socket_path(folder))) <= LONGEST_SOCKET_PATH


def _is_closed_folder(folder: Path, account: Account) -> bool:
    try:
        found = folder.lstat()
    except OSError:
        return False
    return stat.S_ISDIR(found.st_mode) and found.st_uid == account.uid and stat.S_IMODE(found.st_mode) == stat.S_IRWXU


def _can_hold_a_socket(folder: Path) -> bool:
    """Try it: shared and network folders often refuse sockets."""
    probe = folder / f".probe{os.getpid()}"
    with socket.socket(socket.AF_UNIX) as listener:
        try:
            listener.bind(str(probe))
        except OSError:
            return False
        probe.unlink()
    return True


def socket_path(folder: Path) -> Path:
    """Give the path of PostgreSQL's socket in a folder."""
    return folder / f".s.PGSQL.{PORT}"


def takes_connections(cluster: Path) -> bool:
    """Say whether a server is ready for connections on this cluster, by its own note and by knocking at its socket."""
    try:
        lines = (cluster / "postmaster.pid").read_text(encoding="utf-8").splitlines()
        port, folder, status = lines[3], lines[4], lines[7]
        with socket.socket(socket.AF_UNIX) as probe:
            probe.connect(f"{folder}/.s.PGSQL.{port}")
    except (OSError, IndexError):
        return False
    return status.strip() == "ready"


def open_private(path: Path, flags: int) -> int:
    """Open a file, made if need be, that only the owner of its folder can read, also when root makes it."""
    descriptor = os.open(path, flags | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
    _give_to_owner_of(path.parent, descriptor)
    return descriptor


def write_whole(path: Path, text: str) -> None:
    """Write a private file that is found whole or not at all, whatever happens meanwhile."""
    staging = path.with_name(f".{path.name}.new")
    with os.fdopen(open_private(staging, os.O_WRONLY | os.O_TRUNC), "w", encoding="utf-8") as stream:
        stream.write(text)
        stream.flush()
        os.fsync(stream.fileno())
    staging.replace(path)


def _give_to_owner_of(folder: Path, descriptor: int) -> None:
    owner = folder.stat()
    if os.geteuid() == 0 and os.fstat(descriptor).st_uid != owner.st_uid:
        os.fchown(descriptor, owner.st_uid, owner.st_gid)


@contextmanager
def storage_errors(path: Path) -> Iterator[None]:
    """Turn the system's errors on files into ours, with the path that they are about."""
    try:
        yield
    except OSError as error:
        where = error.filename or path
        if error.errno in _FULL:
            raise StorageFull(
                f"{where} cannot be written: {os.strerror(error.errno or 0)}.",
                hint="Free some space, or use another disk.",
            ) from error
        raise ConfigurationError(
            f"{where} cannot be used: {os.strerror(error.errno or 0)}.",
            hint="Check its owner and permissions, or name another folder with AGENTMEM_DATA_DIRECTORY.",
        ) from error
