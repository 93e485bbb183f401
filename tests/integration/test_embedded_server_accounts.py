from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import psycopg
import pytest

import agentmem
from agentmem.errors import ConfigurationError
from agentmem.foundation.database.embedded.layout import ACCOUNT_OF_ROOT, Layout
from agentmem.foundation.database.embedded.server import EmbeddedServer
from tests.support.embedded_server import ask, is_down, postmaster, wait_until

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="only root may act as several users")

NAMED, NAMELESS = 65534, 54321
PATHS = os.pathsep.join([str(Path(psycopg.__file__).parents[1]), str(Path(agentmem.__file__).parents[1])])

WORK = """
import os, sys
from pathlib import Path
import psycopg
from agentmem.errors import AgentMemError
from agentmem.foundation.database.embedded.server import EmbeddedServer
try:
    attachment = EmbeddedServer.attach(Path(sys.argv[1]), linger=0)
except AgentMemError as error:
    sys.exit(f"{type(error).__name__}: {error}")
with psycopg.connect(attachment.conninfo) as connection:
    connection.execute("CREATE TABLE IF NOT EXISTS visits (uid int)")
    connection.execute("INSERT INTO visits VALUES (%s)", (os.getuid(),))
    print(connection.execute("SELECT count(*) FROM visits").fetchone()[0])
attachment.detach()
"""

RunAs = Callable[[int, Path], "subprocess.CompletedProcess[str]"]


@pytest.fixture(scope="module")
def run_as() -> RunAs:
    """Run a program that writes to a store as another user, with an interpreter that such a user can reach."""

    def run(interpreter: str, uid: int, *arguments: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [interpreter, "-c", *arguments],
            user=uid,
            group=uid,
            extra_groups=[],
            cwd="/",
            env={"PYTHONPATH": PATHS},
            capture_output=True,
            text=True,
            check=False,
        )

    check = "import psycopg, agentmem, sys; print(sys.version_info[:2])"
    for interpreter in (sys.executable, "/usr/bin/python3", "/usr/local/bin/python3"):
        try:
            if run(interpreter, NAMELESS, check).stdout.strip() == str(sys.version_info[:2]):
                return lambda uid, directory: run(interpreter, uid, WORK, str(directory))
        except OSError:
            continue
    pytest.skip("no Python of this version can be reached by an ordinary user")


@pytest.fixture
def home(request: pytest.FixtureRequest) -> Iterator[Path]:
    """A home folder that belongs to the test's user and is closed to others."""
    folder = Path(tempfile.mkdtemp(prefix="home-", dir="/tmp"))
    yield folder
    wait_until(lambda: is_down(folder / "store"))
    shutil.rmtree(folder)


@pytest.mark.parametrize("uid", [NAMED, NAMELESS], ids=["named", "without a name"])
def test_ordinary_user_has_a_store_and_server_of_their_own(run_as: RunAs, home: Path, uid: int) -> None:
    os.chown(home, uid, uid)
    for visit in ("1\n", "2\n"):
        finished = run_as(uid, home / "store")
        assert (finished.stdout, finished.stderr) == (visit, "")
    wait_until(lambda: is_down(home / "store"))
    owners = {path.lstat().st_uid for path in (home / "store").rglob("*")}
    assert owners == {uid}


def test_store_of_another_user_is_refused(run_as: RunAs, home: Path) -> None:
    home.chmod(0o755)
    (home / "store").mkdir(mode=0o755)
    finished = run_as(NAMELESS, home / "store")
    assert finished.returncode != 0
    assert finished.stderr.startswith(f"ConfigurationError: {home / 'store'} belongs to user id 0")


def test_closed_home_is_named_as_the_reason(run_as: RunAs, home: Path) -> None:
    finished = run_as(NAMELESS, home / "store")
    assert finished.returncode != 0
    assert finished.stderr.startswith(f"ConfigurationError: {home / 'store'} cannot be used: Permission denied.")


def test_server_of_root_runs_as_an_account_of_its_own_in_a_folder_closed_to_it(tmp_path: Path) -> None:
    (tmp_path / "closed").mkdir(mode=0o700)
    directory = tmp_path / "closed" / "store"
    attachment = EmbeddedServer.attach(directory, linger=0)
    assert Path(f"/proc/{postmaster(directory)}").stat().st_uid == ACCOUNT_OF_ROOT
    assert ask(attachment, "SELECT 1") == 1
    attachment.detach()
    wait_until(lambda: is_down(directory))


def test_account_of_roots_server_can_be_chosen(tmp_path: Path) -> None:
    attachment = EmbeddedServer.attach(tmp_path / "store", linger=0, uid_for_root=NAMELESS)
    assert Path(f"/proc/{postmaster(tmp_path / 'store')}").stat().st_uid == NAMELESS
    attachment.detach()
    wait_until(lambda: is_down(tmp_path / "store"))


def test_programs_of_roots_server_cannot_be_changed_by_its_account(tmp_path: Path) -> None:
    attachment = EmbeddedServer.attach(tmp_path / "store", linger=0)
    program = Path(f"/proc/{postmaster(tmp_path / 'store')}/exe").readlink()
    for path in (program, *program.parents):
        assert path.stat().st_uid == 0
        assert path.name == "tmp" or not path.stat().st_mode & 0o022
    attachment.detach()
    wait_until(lambda: is_down(tmp_path / "store"))


def test_root_and_the_owner_can_use_a_store_in_turn(run_as: RunAs, home: Path) -> None:
    os.chown(home, NAMELESS, NAMELESS)
    (home / "store").mkdir(mode=0o700)
    os.chown(home / "store", NAMELESS, NAMELESS)
    by_root = EmbeddedServer.attach(home / "store", linger=0)
    assert Path(f"/proc/{postmaster(home / 'store')}").stat().st_uid == NAMELESS
    by_root.detach()
    wait_until(lambda: is_down(home / "store"))
    assert run_as(NAMELESS, home / "store").stdout == "1\n"
    again = EmbeddedServer.attach(home / "store", linger=0)
    assert run_as(NAMELESS, home / "store").stdout == "2\n"
    again.detach()


def test_cluster_that_root_restored_as_its_own_is_refused_with_advice(tmp_path: Path) -> None:
    EmbeddedServer.attach(tmp_path / "store", linger=0).detach()
    wait_until(lambda: is_down(tmp_path / "store"))
    cluster = Layout(directory=tmp_path / "store").cluster
    os.chown(cluster, 0, 0)
    with pytest.raises(ConfigurationError, match="chown"):
        EmbeddedServer.attach(tmp_path / "store")
