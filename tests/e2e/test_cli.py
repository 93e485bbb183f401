"""The command line as programs and people meet it: pipes, JSON, exit statuses, and one line for an error."""

from __future__ import annotations

import json
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest

from tests.support.command_line import CommandLine, temporary_command_line

SECRET = "hunter2-the-secret"
NOBODY = "01890000-0000-7000-8000-000000000000"


@pytest.fixture(scope="module")
def agentmem() -> Iterator[CommandLine]:
    with temporary_command_line() as line:
        yield line


@pytest.fixture
def user() -> str:
    return f"user-{uuid4().hex[:12]}"


def added(agentmem: CommandLine, text: str, user: str, *options: str) -> str:
    """Add a text and give its id."""
    answer: Any = agentmem.json("add", text, "--user", user, *options)
    (memory,) = answer["memories"]
    return str(memory["id"])


def test_text_from_a_pipe_is_found_by_a_search(agentmem: CommandLine, user: str) -> None:
    agentmem.run("add", "-", "--user", user, given="Alice drinks green tea in the morning.\n")

    found: Any = agentmem.json("search", "what does Alice drink?", "--user", user, "--explain")

    assert found["hits"][0]["memory"]["content"] == "Alice drinks green tea in the morning."
    assert "signals" in found["hits"][0]


def test_every_attribute_of_a_memory_can_be_given(agentmem: CommandLine, user: str) -> None:
    answer: Any = agentmem.json(
        *("add", "The key lies under the pot.", "--user", user, "--agent", "a", "--run", "r", "--app", "p"),
        *("--kind", "semantic", "--metadata", "place=garden", "--metadata", '{"floor": 0}', "--importance", "0.9"),
        *("--occurred-at", "2024-05-08T14:30Z", "--expires-at", "2999-01-01", "--pinned", "--role", "user"),
        *("--actor", "Ann", "--on-duplicate", "keep", "--idempotency-key", user),
    )

    (memory,) = answer["memories"]
    assert (memory["user_id"], memory["agent_id"], memory["run_id"], memory["app_id"]) == (user, "a", "r", "p")
    assert (memory["kind"], memory["importance"], memory["pinned"]) == ("semantic", 0.9, True)
    assert memory["metadata"] == {"place": "garden", "floor": 0}
    assert (memory["occurred_at"], memory["expires_at"]) == ("2024-05-08T14:30:00Z", "2999-01-01T00:00:00Z")
    assert (memory["role"], memory["actor"]) == ("user", "Ann")


def test_a_memory_lives_through_every_command_that_changes_it(agentmem: CommandLine, user: str) -> None:
    memory = added(agentmem, "Bob lives in Berlin.", user)

    updated: Any = agentmem.json("update", memory, "--content", "Bob lives in Rome.", "--if-version", "1")
    pinned: Any = agentmem.json("pin", memory)
    deleted: Any = agentmem.json("delete", memory)
    gone = agentmem.run("get", memory, status=1)
    restored: Any = agentmem.json("restore", memory)
    seen: Any = agentmem.json("get", memory)
    history: Any = agentmem.json("history", memory)

    assert (updated["content"], pinned["pinned"], deleted["deleted"]) == ("Bob lives in Rome.", True, 1)
    assert "(not_found)" in gone.stderr
    assert restored["content"] == seen["content"] == "Bob lives in Rome."
    assert [change["version"] for change in history] == list(range(1, len(history) + 1))
    assert history[0]["memory"]["content"] == "Bob lives in Berlin."


def test_every_reading_command_writes_one_json_document(agentmem: CommandLine, user: str) -> None:
    added(agentmem, "Carol plays the cello on Sundays.", user)
    scope = ("--user", user)

    listed: Any = agentmem.json("list", *scope, "--order", "oldest", "--limit", "5", "--filters", '{"pinned": false}')
    context: Any = agentmem.json("context", "which instrument?", *scope, "--budget", "200")
    stats: Any = agentmem.json("stats", *scope)
    pairs: Any = agentmem.json("duplicates", *scope, "--threshold", "0.9")

    assert [item["content"] for item in listed["items"]] == ["Carol plays the cello on Sundays."]
    assert "cello" in context["text"]
    assert stats["memories"] == 1
    assert pairs == []


def test_every_command_of_the_store_writes_one_json_document(agentmem: CommandLine) -> None:
    info: Any = agentmem.json("info")
    report: Any = agentmem.json("doctor", "--repair")
    vacuumed: Any = agentmem.json("vacuum")

    assert info["data_directory"] == str(agentmem.directory)
    assert report["healthy"] is True
    assert vacuumed["bytes_after"] > 0


def test_lines_in_a_pipe_have_tabs_and_no_decoration(agentmem: CommandLine, user: str) -> None:
    memory = added(agentmem, "Two\nlines with [bold]markup[/bold].", user)

    shown = agentmem.run("list", "--user", user).stdout

    (line,) = shown.splitlines()
    assert line.split("\t")[-2:] == ["Two lines with [bold]markup[/bold].", memory]


def test_export_of_one_user_is_imported_without_loss(agentmem: CommandLine, user: str, tmp_path: Path) -> None:
    added(agentmem, "Dora has two cats.", user)
    file = tmp_path / "export.jsonl"
    file.write_text(agentmem.run("export", "--user", user).stdout, encoding="utf-8")

    again: Any = agentmem.json("import", str(file))
    with temporary_command_line() as other:
        elsewhere: Any = other.json("import", "-", given=file.read_text(encoding="utf-8"))
        exported = other.run("export", "--user", user).stdout

    assert again == {"imported": 0, "skipped": 1}
    assert elsewhere == {"imported": 1, "skipped": 0}
    assert exported == file.read_text(encoding="utf-8")


def test_conversation_is_imported_from_a_pipe(agentmem: CommandLine, user: str) -> None:
    turns = [{"role": "user", "content": "I moved to Oslo."}, {"role": "assistant", "content": "How is the weather?"}]

    counts: Any = agentmem.json("import", "-", "--user", user, given="\n".join(map(json.dumps, turns)))

    assert counts == {"imported": 2, "skipped": 0}


def test_line_of_an_import_that_is_no_json_is_named(agentmem: CommandLine, user: str) -> None:
    failed = agentmem.run("import", "-", "--user", user, given='"fine"\n{"content": \n"fine"\n', status=1)

    assert failed.stdout == ""
    assert failed.stderr.startswith("error: Line 2 is not JSON")
    assert len(failed.stderr.splitlines()) == 1
    assert "(import_failed)" in failed.stderr


def test_many_lines_of_standard_input_are_remembered_each(agentmem: CommandLine, user: str) -> None:
    counts: Any = agentmem.json("add", "-", "--lines", "--user", user, given="one thing\n\nanother thing\none thing\n")

    assert counts == {"added": 2, "duplicates": 1}


def test_error_is_one_line_with_its_code_and_status_one(agentmem: CommandLine) -> None:
    failed = agentmem.run("get", NOBODY, "--json", status=1)

    assert failed.stdout == ""
    (line,) = failed.stderr.splitlines()
    assert line.startswith("error: ")
    assert line.endswith("(not_found)")


@pytest.mark.parametrize(
    "arguments",
    [
        ("search",),
        ("search", "x", "--mode", "magic"),
        ("list", "--as-of", "yesterday"),
        ("list", "--filters", "[1]"),
        ("add", "x", "--metadata", "novalue"),
        ("import", "no-such-file.jsonl"),
        ("unknown",),
    ],
    ids=" ".join,
)
def test_wrong_usage_ends_with_status_two(agentmem: CommandLine, arguments: tuple[str, ...]) -> None:
    failed = agentmem.run(*arguments, status=2)

    assert failed.stdout == ""
    assert "Traceback" not in failed.stderr


def test_deleting_all_asks_for_yes_and_for_a_scope(agentmem: CommandLine, user: str) -> None:
    added(agentmem, "Erik sails.", user)

    agentmem.run("delete-all", "--user", user, status=2)
    unscoped = agentmem.run("delete-all", "--yes", status=1)
    deleted: Any = agentmem.json("delete-all", "--user", user, "--yes")

    assert "(scope_empty)" in unscoped.stderr
    assert deleted == {"deleted": 1}


def test_reader_that_stops_early_ends_the_command_in_silence(agentmem: CommandLine, user: str) -> None:
    added(agentmem, "Frida writes a diary.", user)

    process = agentmem.start("list", "--user", user, "--json")
    assert process.stdout is not None
    process.stdout.close()
    process.stdout = None
    _, complaints = process.communicate(timeout=60)

    assert (process.returncode, complaints) == (0, "")


def test_interrupted_command_ends_with_status_130(agentmem: CommandLine) -> None:
    process = agentmem.start("shell")
    assert process.stdin is not None
    assert process.stdout is not None
    process.stdin.write("stats\n")
    process.stdin.flush()
    process.stdout.readline()

    process.send_signal(signal.SIGINT)
    _, complaints = process.communicate(timeout=60)

    assert process.returncode == 130
    assert "Traceback" not in complaints


def test_secrets_of_the_environment_are_never_shown(agentmem: CommandLine) -> None:
    secret = {"AGENTMEM_EMBEDDING_KEY": SECRET}
    unreachable = {**secret, "AGENTMEM_DATABASE_URL": f"postgresql://user:{SECRET}@127.0.0.1:1/none"}

    shown = CommandLine(directory=agentmem.directory, extra=secret).run("info", "--json")
    failed = CommandLine(directory=agentmem.directory, extra=unreachable).run("--debug", "stats", status=1)

    assert SECRET not in shown.stdout + shown.stderr + failed.stdout + failed.stderr
    assert "(database_unavailable)" in failed.stderr


def test_completion_script_is_printed_for_each_shell(agentmem: CommandLine) -> None:
    for shell in ("bash", "zsh", "fish"):
        line = CommandLine(directory=agentmem.directory, extra={"_AGENTMEM_COMPLETE": f"source_{shell}"})

        assert "agentmem" in line.run().stdout


def test_version_and_help_need_no_store(agentmem: CommandLine) -> None:
    line = CommandLine(directory=agentmem.directory / "never-made")

    version = line.run("--version").stdout
    shown = line.run("--help").stdout

    assert version.startswith("agentmem ")
    assert "Exit status" in shown
    assert not line.directory.exists()
