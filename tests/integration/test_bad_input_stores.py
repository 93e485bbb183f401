"""Places where a store cannot be: full disks, read-only folders, folders of others and of newer versions."""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest

from agentmem import AsyncMemory
from agentmem.errors import ConfigurationError, IncompatibleStore, KeyUnavailable, StorageFull
from tests.support.embedded_server import is_down, wait_until

MEBIBYTE = 1024 * 1024


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A disk of its own with little room; mounting needs root."""
    folder = tmp_path / "disk"
    folder.mkdir()
    with mounted(folder, "size=160m,mode=0755"):
        yield folder
        wait_until(lambda: is_down(folder / "store"))


@pytest.fixture
def read_only_disk(tmp_path: Path) -> Iterator[Path]:
    """A disk of its own that nobody can write to; mounting needs root."""
    folder = tmp_path / "disk"
    folder.mkdir()
    with mounted(folder, "ro"):
        yield folder


@contextmanager
def mounted(folder: Path, options: str) -> Iterator[None]:
    """Mount a disk in memory, or skip the test where that is not allowed."""
    mount = ["mount", "-t", "tmpfs", "-o", options, "tmpfs", str(folder)]
    if os.geteuid() != 0 or subprocess.run(mount, check=False, capture_output=True).returncode != 0:
        pytest.skip("needs the right to mount a disk")
    try:
        yield
    finally:
        subprocess.run(["umount", str(folder)], check=True)


def fill(folder: Path) -> Path:
    """Take all the room that is left."""
    ballast = folder / "ballast"
    with ballast.open("wb", buffering=0) as stream, suppress(OSError):
        while stream.write(b"\0" * MEBIBYTE) == MEBIBYTE:
            pass
    with ballast.open("ab", buffering=0) as stream, suppress(OSError):
        while stream.write(b"\0" * 512):
            pass
    return ballast


async def test_full_disk_is_reported_and_writing_goes_on_when_there_is_room(small_disk: Path) -> None:
    async with AsyncMemory(data_directory=small_disk / "store", linger=0.1) as memory:
        await memory.add("before the disk was full")
        ballast = fill(small_disk)
        with pytest.raises(StorageFull, match="disk is full"):
            await write_much(memory)
        kept = (await memory.stats()).memories
        assert (await memory.search("before the disk was full", limit=100)).hits
        ballast.unlink()
        await memory.add("there is room again")

        assert (await memory.stats()).memories == kept + 1


async def write_much(memory: AsyncMemory) -> None:
    for number in range(50):
        await memory.add({"content": "x" * 500_000, "metadata": {"n": number}, "role": "user"})


async def test_full_disk_is_reported_when_a_store_is_made(small_disk: Path) -> None:
    ballast = fill(small_disk)
    with pytest.raises(StorageFull):
        await AsyncMemory(data_directory=small_disk / "store").open()
    ballast.unlink()

    async with AsyncMemory(data_directory=small_disk / "store", linger=0.1) as memory:
        assert (await memory.stats()).memories == 0


def names(folder: Path) -> set[str]:
    return {path.name for path in folder.iterdir()}


async def test_folder_of_another_program_is_refused_and_left_alone(tmp_path: Path) -> None:
    (tmp_path / "thesis.tex").write_text("chapter 1")
    with pytest.raises(IncompatibleStore, match=r"thesis\.tex"):
        await AsyncMemory(data_directory=tmp_path).open()

    assert names(tmp_path) == {"thesis.tex"}


async def test_store_of_a_newer_version_is_refused(tmp_path: Path) -> None:
    (tmp_path / "agentmem.json").write_text(json.dumps({"format": 99}))
    with pytest.raises(IncompatibleStore, match="99"):
        await AsyncMemory(data_directory=tmp_path).open()


@pytest.mark.parametrize("text", ["", "{}", "[]", '{"format": "one"}'])
async def test_damaged_marker_is_refused(tmp_path: Path, text: str) -> None:
    (tmp_path / "agentmem.json").write_text(text)
    with pytest.raises(IncompatibleStore, match="damaged"):
        await AsyncMemory(data_directory=tmp_path).open()


async def test_file_in_place_of_the_folder_is_refused(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(ConfigurationError, match="file"):
        await AsyncMemory(data_directory=tmp_path / "file").open()


async def test_read_only_disk_is_refused(read_only_disk: Path) -> None:
    with pytest.raises(StorageFull, match="Read-only"):
        await AsyncMemory(data_directory=read_only_disk / "store").open()


async def test_key_file_that_others_can_read_is_refused(tmp_path: Path) -> None:
    key_file = tmp_path / "keys" / "master.json"
    async with AsyncMemory(data_directory=tmp_path / "store", key_file=key_file, linger=0.1):
        pass
    key_file.chmod(0o644)
    with pytest.raises(KeyUnavailable, match=r"master\.json"):
        await AsyncMemory(data_directory=tmp_path / "store", key_file=key_file, linger=0.1).open()
    wait_until(lambda: is_down(tmp_path / "store"))


async def test_store_with_another_key_file_is_refused(tmp_path: Path) -> None:
    async with AsyncMemory(data_directory=tmp_path / "store", linger=0.1) as memory:
        await memory.add("sealed by the first key")
    with pytest.raises(KeyUnavailable):
        await AsyncMemory(data_directory=tmp_path / "store", key_file=tmp_path / "other.json", linger=0.1).open()

    async with AsyncMemory(data_directory=tmp_path / "store", linger=0.1) as memory:
        assert [record.content for record in (await memory.list()).items] == ["sealed by the first key"]
    wait_until(lambda: is_down(tmp_path / "store"))
