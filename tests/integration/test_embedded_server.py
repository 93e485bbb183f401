from __future__ import annotations

import json
import os
import signal
import stat
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest

from agentmem.errors import Closed, ConfigurationError, DatabaseUnavailable, IncompatibleStore, StorageFull
from agentmem.foundation.database.embedded.layout import LONGEST_SOCKET_PATH, Layout
from agentmem.foundation.database.embedded.server import Attachment, EmbeddedServer
from tests.support.embedded_server import (
    UserProcess,
    ask,
    is_down,
    postmaster,
    server_processes,
    supervisors,
    user_process,
    wait_until,
)

CANARY = "canary7f3a"


@pytest.fixture
def directory(tmp_path: Path) -> Iterator[Path]:
    yield tmp_path / "store"
    wait_until(lambda: is_down(tmp_path / "store"))


@pytest.fixture(scope="module")
def shared_directory(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("embedded") / "store"


@pytest.fixture(scope="module")
def attachment(shared_directory: Path) -> Iterator[Attachment]:
    attachment = EmbeddedServer.attach(shared_directory, linger=0)
    yield attachment
    attachment.detach()
    wait_until(lambda: is_down(shared_directory))


def test_what_was_written_is_there_after_the_server_stopped_and_started(directory: Path) -> None:
    first = EmbeddedServer.attach(directory, linger=0)
    ask(first, "CREATE TABLE kept AS SELECT 42 AS answer")
    first.detach()
    wait_until(lambda: is_down(directory))
    second = EmbeddedServer.attach(directory, linger=0)
    assert ask(second, "SELECT answer FROM kept") == 42
    second.detach()


def test_processes_that_attach_at_once_share_one_server(directory: Path) -> None:
    users = [UserProcess(directory) for _ in range(5)]
    for user in users:
        user.wait_attached()
    first = postmaster(directory)
    for user in users[1:]:
        user.leave()
    assert postmaster(directory) == first
    assert len(supervisors(directory)) == 1
    users[0].leave()
    wait_until(lambda: is_down(directory))


def test_two_attachments_of_one_process_are_counted_separately(directory: Path) -> None:
    first, second = (EmbeddedServer.attach(directory, linger=0) for _ in range(2))
    first.detach()
    first.detach()
    assert ask(second, "SELECT 1") == 1
    second.detach()


def test_server_outlives_its_last_user_for_the_lingering_time_and_a_new_one_finds_it(directory: Path) -> None:
    with user_process(directory, linger=3600) as user:
        user.leave()
    server = postmaster(directory)
    again = EmbeddedServer.attach(directory)
    assert postmaster(directory) == server
    again.detach()
    os.kill(supervisors(directory)[0], signal.SIGTERM)
    wait_until(lambda: is_down(directory))


def test_process_with_pipes_ends_though_the_server_stays(directory: Path) -> None:
    code = (
        "import sys; from pathlib import Path;"
        "from agentmem.foundation.database.embedded.server import EmbeddedServer;"
        "EmbeddedServer.attach(Path(sys.argv[1]), linger=3600); print('done')"
    )
    finished = subprocess.run(
        [sys.executable, "-c", code, str(directory)],
        input="",
        capture_output=True,
        text=True,
        check=True,
        env={**os.environ, "SECRET_OF_THE_PARENT": CANARY},
    )
    assert finished.stdout == "done\n"
    for process in (*supervisors(directory), *server_processes(directory)):
        assert CANARY not in Path(f"/proc/{process}/environ").read_text()
    os.kill(supervisors(directory)[0], signal.SIGTERM)


def test_server_inherits_no_open_file_of_the_process_that_started_it(directory: Path, tmp_path: Path) -> None:
    secret = (tmp_path / "secret").open("w")
    os.set_inheritable(secret.fileno(), True)
    attachment = EmbeddedServer.attach(directory, linger=0)
    for process in (*supervisors(directory), *server_processes(directory)):
        links = [path.readlink() for path in Path(f"/proc/{process}/fd").iterdir()]
        assert tmp_path / "secret" not in links
    secret.close()
    attachment.detach()


def test_forked_child_keeps_the_server_that_its_parent_left(directory: Path) -> None:
    code = """
import os, sys
from pathlib import Path
import psycopg
from agentmem.foundation.database.embedded.server import EmbeddedServer
attachment = EmbeddedServer.attach(Path(sys.argv[1]), linger=0)
child = os.fork()
if child:
    attachment.detach()
    os.waitpid(child, 0)
else:
    attachment.ensure_running()
    print(psycopg.connect(attachment.conninfo).execute("SELECT 'from the child'").fetchone()[0])
"""
    finished = subprocess.run([sys.executable, "-c", code, str(directory)], capture_output=True, text=True, check=True)
    assert finished.stdout == "from the child\n"


def test_server_listens_on_its_socket_alone(attachment: Attachment) -> None:
    assert ask(attachment, "SHOW listen_addresses") == ""
    assert ask(attachment, "SELECT inet_server_addr()") is None


def test_socket_is_closed_to_other_accounts_and_its_path_is_short(
    attachment: Attachment, shared_directory: Path
) -> None:
    folder = attachment.socket_directory.stat()
    assert stat.S_IMODE(folder.st_mode) == 0o700
    assert folder.st_uid == Layout(directory=shared_directory).cluster.stat().st_uid
    socket = attachment.socket_directory / ".s.PGSQL.5432"
    assert stat.S_IMODE(socket.stat().st_mode) == 0o700
    assert len(os.fsencode(socket)) <= LONGEST_SOCKET_PATH


def test_connection_without_the_password_is_refused(attachment: Attachment) -> None:
    with pytest.raises(psycopg.OperationalError, match="no password supplied"):
        psycopg.connect(attachment.conninfo, passfile="/dev/null")
    with pytest.raises(psycopg.OperationalError, match="authentication failed"):
        psycopg.connect(attachment.conninfo, password="guessed")


def test_connection_settings_hold_no_password(attachment: Attachment, shared_directory: Path) -> None:
    file = Layout(directory=shared_directory).password_file
    password = file.read_text().strip().split(":")[-1]
    assert len(password) == 64
    assert password not in attachment.conninfo
    assert stat.S_IMODE(file.stat().st_mode) == 0o600


def test_data_is_safe_from_a_power_cut_and_checked_when_read(attachment: Attachment) -> None:
    for setting in ("fsync", "synchronous_commit", "full_page_writes", "data_checksums", "autovacuum"):
        assert ask(attachment, f"SHOW {setting}") == "on"


def test_text_is_unicode_and_sorted_alike_everywhere(attachment: Attachment) -> None:
    assert ask(attachment, "SHOW server_encoding") == "UTF8"
    assert ask(attachment, "SELECT datlocale FROM pg_database WHERE datname = current_database()") == "C.UTF-8"
    assert ask(attachment, "SELECT upper('é')") == "É"


def test_log_shows_no_text_of_statements_values_or_errors(attachment: Attachment, shared_directory: Path) -> None:
    with psycopg.connect(attachment.conninfo, autocommit=True) as connection:
        connection.execute("CREATE TEMPORARY TABLE once (value text UNIQUE)")
        for statement in (
            f"SELEC '{CANARY}'",
            f"SELECT '{CANARY}'::int",
            f"INSERT INTO once VALUES ('{CANARY}'), ('{CANARY}')",
            f"DO $$ BEGIN RAISE WARNING '{CANARY}'; RAISE EXCEPTION '{CANARY}'; END $$",
        ):
            with pytest.raises(psycopg.Error):
                connection.execute(statement.encode())
        with pytest.raises(psycopg.Error):
            connection.execute("SELECT %s::int", (CANARY,))
    for log in Layout(directory=shared_directory).log.parent.iterdir():
        assert CANARY not in log.read_text()


def test_log_shows_no_statement_of_a_session_that_crashed(directory: Path) -> None:
    attachment = EmbeddedServer.attach(directory, linger=0)
    with psycopg.connect(attachment.conninfo) as connection:
        killer = subprocess.Popen(["/bin/sh", "-c", f"sleep 0.3; kill -9 {connection.info.backend_pid}"])
        with pytest.raises(psycopg.OperationalError):
            connection.execute(f"SELECT '{CANARY}', pg_sleep(30)".encode())
        killer.wait()
    wait_until(lambda: answers(attachment))
    log = Layout(directory=directory).log.read_text()
    assert "terminated by signal 9" in log
    assert CANARY not in log
    attachment.detach()


def answers(attachment: Attachment) -> bool:
    try:
        return ask(attachment, "SELECT 1") == 1
    except psycopg.OperationalError:
        return False


def test_folder_of_another_program_is_refused_and_left_alone(tmp_path: Path) -> None:
    (tmp_path / "thesis.tex").write_text("years of work")
    with pytest.raises(IncompatibleStore, match=r"thesis\.tex"):
        EmbeddedServer.attach(tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["thesis.tex"]


def test_folder_that_holds_only_the_keys_becomes_a_store(directory: Path) -> None:
    (directory / "keys").mkdir(parents=True)
    (directory / "keys" / "master.json").write_text("{}")
    EmbeddedServer.attach(directory, linger=0).detach()


@pytest.mark.parametrize("content", ['{"format": 2}', "{}", "not json", '{"format": "1"}'])
def test_store_of_a_newer_or_unreadable_format_is_refused(tmp_path: Path, content: str) -> None:
    (tmp_path / "agentmem.json").write_text(content)
    with pytest.raises(IncompatibleStore, match=r"newer AgentMem|damaged"):
        EmbeddedServer.attach(tmp_path)


@pytest.mark.parametrize(
    "version, advice",
    [("99", "Upgrade AgentMem"), ("16", "agentmem export"), ("", "backup")],
    ids=["newer", "older", "damaged"],
)
def test_cluster_of_another_postgresql_is_refused_with_advice(directory: Path, version: str, advice: str) -> None:
    EmbeddedServer.attach(directory, linger=0).detach()
    wait_until(lambda: is_down(directory))
    (Layout(directory=directory).cluster / "PG_VERSION").write_text(version)
    with pytest.raises(IncompatibleStore, match=advice):
        EmbeddedServer.attach(directory)


def test_marker_names_the_format(attachment: Attachment, shared_directory: Path) -> None:
    assert json.loads(Layout(directory=shared_directory).marker.read_text()) == {"format": 1}


def test_data_directory_that_cannot_be_made_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(ConfigurationError, match=str(tmp_path / "file")):
        EmbeddedServer.attach(tmp_path / "file" / "store")


@pytest.mark.skipif(os.geteuid() != 0, reason="only root may mount a small disk")
def test_full_disk_is_reported_and_leaves_nothing_half_made(tmp_path: Path) -> None:
    disk = tmp_path / "disk"
    disk.mkdir()
    if subprocess.run(["mount", "-t", "tmpfs", "-o", "size=12m", "none", disk], check=False).returncode != 0:
        pytest.skip("this machine lets nobody mount")
    try:
        with pytest.raises(StorageFull, match=str(disk)):
            EmbeddedServer.attach(disk / "store")
        assert sorted(path.name for path in (disk / "store").iterdir()) == ["agentmem.json", "locks", "log"]
    finally:
        subprocess.run(["umount", disk], check=True)


def test_server_that_does_not_start_is_reported_with_the_end_of_its_log(directory: Path) -> None:
    EmbeddedServer.attach(directory, linger=0).detach()
    wait_until(lambda: is_down(directory))
    (Layout(directory=directory).cluster / "postgresql.auto.conf").write_text("shared_buffers = 'plenty'\n")
    with pytest.raises(DatabaseUnavailable, match="shared_buffers"):
        EmbeddedServer.attach(directory)


def test_detached_attachment_is_closed(directory: Path) -> None:
    attachment = EmbeddedServer.attach(directory, linger=0)
    attachment.detach()
    with pytest.raises(Closed):
        attachment.ensure_running()


def test_running_as_root_is_refused_by_name(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="root"):
        EmbeddedServer.attach(tmp_path / "store", uid_for_root=0)


def test_long_log_is_put_aside_at_the_next_start(directory: Path) -> None:
    EmbeddedServer.attach(directory, linger=0).detach()
    wait_until(lambda: is_down(directory))
    log = Layout(directory=directory).log
    log.write_text("x" * 2_000_000)
    EmbeddedServer.attach(directory, linger=0).detach()
    assert log.stat().st_size < 100_000
    assert log.with_suffix(".log.1").stat().st_size == 2_000_000
