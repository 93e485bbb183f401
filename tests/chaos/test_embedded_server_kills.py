from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest

from agentmem.errors import DatabaseUnavailable
from agentmem.foundation.database.embedded.layout import Layout, takes_connections
from agentmem.foundation.database.embedded.server import Attachment, EmbeddedServer
from tests.support.embedded_server import (
    UserProcess,
    ask,
    guards,
    is_down,
    kill,
    postmaster,
    server_processes,
    supervisors,
    user_process,
    wait_until,
)


@pytest.fixture
def directory(tmp_path: Path) -> Iterator[Path]:
    yield tmp_path / "store"
    wait_until(lambda: is_down(tmp_path / "store"))


@pytest.fixture
def attachment(directory: Path) -> Iterator[Attachment]:
    attachment = EmbeddedServer.attach(directory, linger=0)
    yield attachment
    attachment.detach()


def test_server_stops_when_its_last_user_was_killed(directory: Path) -> None:
    with user_process(directory) as first, user_process(directory) as second:
        first.kill()
        assert server_processes(directory)
        second.kill()
    wait_until(lambda: is_down(directory))


def kill_supervisor_for_good(directory: Path) -> None:
    for process in (*guards(directory), *supervisors(directory)):
        kill(process)
    wait_until(lambda: not supervisors(directory))


def test_server_stops_when_its_supervisor_and_all_users_were_killed_together(directory: Path) -> None:
    with user_process(directory) as first, user_process(directory) as second:
        server = server_processes(directory)
        for process in supervisors(directory):
            kill(process)
        first.kill()
        second.kill()
        assert server
    wait_until(lambda: is_down(directory))


def test_killed_supervisor_is_replaced_at_once_and_disturbs_no_connection(
    directory: Path, attachment: Attachment
) -> None:
    server = postmaster(directory)
    with psycopg.connect(attachment.conninfo) as connection:
        for _ in range(2):
            (killed,) = supervisors(directory)
            kill(killed)
            wait_until(lambda: supervisors(directory) not in ([], [killed]))  # noqa: B023  # asked before the next turn
            assert connection.execute("SELECT 1").fetchone() == (1,)
    assert postmaster(directory) == server


def test_last_user_has_the_server_stopped_though_the_supervisor_was_killed_for_good(directory: Path) -> None:
    attachment = EmbeddedServer.attach(directory, linger=0)
    kill_supervisor_for_good(directory)
    attachment.detach()
    wait_until(lambda: is_down(directory))


def test_next_user_replaces_a_supervisor_that_was_killed_for_good(directory: Path, attachment: Attachment) -> None:
    server = postmaster(directory)
    kill_supervisor_for_good(directory)
    with user_process(directory):
        assert len(supervisors(directory)) == 1
        assert postmaster(directory) == server


def test_killed_server_is_brought_back_with_all_that_was_committed(directory: Path, attachment: Attachment) -> None:
    ask(attachment, "CREATE TABLE kept AS SELECT 42 AS answer")
    before = attachment.conninfo
    for _ in range(3):
        kill(postmaster(directory))
        attachment.ensure_running()
        assert ask(attachment, "SELECT answer FROM kept") == 42
        assert attachment.conninfo == before


def test_killed_server_is_brought_back_once_for_all_its_users(directory: Path, attachment: Attachment) -> None:
    with user_process(directory):
        kill(postmaster(directory))
        users = [UserProcess(directory) for _ in range(3)]
        attachment.ensure_running()
        for user in users:
            user.wait_attached()
        assert ask(attachment, "SELECT 1") == 1
        for user in users:
            user.leave()


def test_store_opens_after_everything_was_killed_at_once(directory: Path) -> None:
    with user_process(directory) as user:
        kill_supervisor_for_good(directory)
        user.kill()
        for process in server_processes(directory):
            kill(process)
    wait_until(lambda: is_down(directory))
    attachment = EmbeddedServer.attach(directory, linger=0)
    assert ask(attachment, "SELECT 1") == 1
    attachment.detach()


def test_server_that_lost_its_users_and_supervisor_is_taken_over_by_the_next_user(directory: Path) -> None:
    with user_process(directory) as user:
        server = postmaster(directory)
        kill_supervisor_for_good(directory)
        user.kill()
    attachment = EmbeddedServer.attach(directory, linger=0)
    assert postmaster(directory) == server
    attachment.detach()
    wait_until(lambda: is_down(directory))


def test_process_id_left_by_a_killed_server_may_belong_to_another_program(directory: Path) -> None:
    EmbeddedServer.attach(directory, linger=0).detach()
    wait_until(lambda: is_down(directory))
    layout = Layout(directory=directory)
    owner = layout.cluster.stat()
    with subprocess.Popen(["sleep", "60"], user=owner.st_uid if os.geteuid() == 0 else None, cwd="/") as other:
        note = layout.cluster / "postmaster.pid"
        folder = layout.noted_socket_folder()
        note.write_text(f"{other.pid}\n{layout.cluster}\n0\n5432\n{folder}\n\n  0  0\nready   \n")
        os.chown(note, owner.st_uid, owner.st_gid)
        attachment = EmbeddedServer.attach(directory, linger=0)
        assert ask(attachment, "SELECT 1") == 1
        attachment.detach()
        other.kill()


def test_store_opens_after_its_first_user_was_killed_while_making_it(directory: Path) -> None:
    for delay in (0.05, 0.3, 0.5, 0.7, 0.9):
        user = UserProcess(directory)
        time.sleep(delay)
        user.kill()
    attachment = EmbeddedServer.attach(directory, linger=0)
    assert ask(attachment, "SELECT 1") == 1
    assert not list(directory.glob(".making-*"))
    attachment.detach()


def test_server_started_by_hand_on_the_same_folder_is_not_disturbed(directory: Path) -> None:
    with user_process(directory):
        program = Path(f"/proc/{postmaster(directory)}/exe").readlink()
    wait_until(lambda: is_down(directory))
    layout = Layout(directory=directory)
    account = layout.server_account(None)
    folder = layout.choose_socket_folder(account)
    with subprocess.Popen(
        [program, "-D", layout.cluster_as_seen_by(account), "-k", folder],
        cwd=layout.cluster,
        user=account.to_become,
        stderr=subprocess.DEVNULL,
    ) as by_hand:
        wait_until(lambda: takes_connections(layout.cluster))
        try:
            with pytest.raises(DatabaseUnavailable, match="did not start"):
                EmbeddedServer.attach(directory)
            assert postmaster(directory) == by_hand.pid
        finally:
            by_hand.send_signal(signal.SIGINT)


def test_store_in_use_by_a_container_with_another_socket_folder_is_refused(
    directory: Path, attachment: Attachment
) -> None:
    note = Layout(directory=directory).socket_note
    folder = note.read_text()
    (Layout(directory=directory).cluster / "postmaster.pid").rename(directory / "hidden")
    note.write_text("/nonexistent/elsewhere")
    with pytest.raises(DatabaseUnavailable, match="cannot be seen from here"):
        EmbeddedServer.attach(directory)
    note.write_text(folder)
    (directory / "hidden").rename(Layout(directory=directory).cluster / "postmaster.pid")


_COMERS_AND_GOERS = """
import random, sys, time
from pathlib import Path
import psycopg
from agentmem.foundation.database.embedded.server import EmbeddedServer
chance = random.Random(int(sys.argv[2]))
end = time.monotonic() + float(sys.argv[3])
visits = 0
while time.monotonic() < end:
    attachment = EmbeddedServer.attach(Path(sys.argv[1]), linger=chance.choice([0, 0, 0.05]))
    with psycopg.connect(attachment.conninfo) as connection:
        connection.execute("INSERT INTO visits DEFAULT VALUES")
    visits += 1
    attachment.detach()
    time.sleep(chance.choice([0, 0.01, 0.1, 0.3]))
print(visits)
"""


def test_processes_that_come_and_go_at_random_never_miss_the_server(directory: Path, full: bool) -> None:
    attachment = EmbeddedServer.attach(directory, linger=0)
    ask(attachment, "CREATE TABLE visits (at timestamptz DEFAULT now())")
    attachment.detach()
    seconds = "60" if full else "6"
    comers = [
        subprocess.Popen(
            [sys.executable, "-c", _COMERS_AND_GOERS, str(directory), str(seed), seconds], stdout=subprocess.PIPE
        )
        for seed in range(4)
    ]
    visits = [int(comer.communicate()[0]) for comer in comers]
    assert [comer.returncode for comer in comers] == [0, 0, 0, 0]
    attachment = EmbeddedServer.attach(directory, linger=0)
    assert ask(attachment, "SELECT count(*) FROM visits") == sum(visits)
    attachment.detach()


def test_random_kills_lose_no_committed_row_and_leave_no_process(directory: Path, full: bool) -> None:
    chance = random.Random(18)
    attachment = EmbeddedServer.attach(directory, linger=0)
    ask(attachment, "CREATE TABLE kept (n int)")
    for n in range(40 if full else 8):
        ask(attachment, f"INSERT INTO kept VALUES ({n})")
        victims = [*guards(directory), *supervisors(directory), *server_processes(directory)]
        for victim in chance.sample(victims, chance.randint(1, 2)):
            kill(victim)
        time.sleep(chance.choice([0, 0, 0.02, 0.2]))
        attachment = _reopened(attachment, directory) if chance.random() < 0.3 else attachment
        wait_until(lambda: _counts(attachment, n + 1))  # noqa: B023  # asked before the next turn
    attachment.detach()


def _reopened(attachment: Attachment, directory: Path) -> Attachment:
    attachment.detach()
    return EmbeddedServer.attach(directory, linger=0)


def _counts(attachment: Attachment, expected: int) -> bool:
    try:
        attachment.ensure_running()
        return ask(attachment, "SELECT count(*) FROM kept") == expected
    except psycopg.OperationalError:
        # A killed backend makes the server restart its processes; the next connection finds it ready.
        return False
