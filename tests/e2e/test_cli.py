"""The command line as programs and people meet it: pipes, JSON, exit statuses, and one line for an error."""

from __future__ import annotations

import json
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.support.command_line import PATIENCE, PROGRAM, CommandLine, temporary_command_line

SECRET = "hunter2-the-secret"


@pytest.fixture(scope="module")
def agentmem() -> Iterator[CommandLine]:
    with temporary_command_line() as line:
        yield line


@pytest.fixture(scope="module")
def carol(agentmem: CommandLine) -> str:
    """A user with a conversation of two turns and a text, imported from a pipe."""
    turns = [
        {"role": "user", "content": "I play the cello on Sundays."},
        {"role": "assistant", "content": "How long have you been playing?"},
        {"content": "Two\nlines with [bold]markup[/bold].", "occurred_at": "2020-01-01"},
    ]

    counts = agentmem.json("import", "-", "--user", "carol", given="\n".join(map(json.dumps, turns)))

    assert counts == {"imported": 3, "skipped": 0}
    return "carol"


def test_text_from_a_pipe_is_found_by_a_search(agentmem: CommandLine) -> None:
    agentmem.run("add", "-", "--user", "alice", given="Alice drinks green tea in the morning.\n")

    found: Any = agentmem.json("search", "what does Alice drink?", "--user", "alice", "--explain")

    assert found["hits"][0]["memory"]["content"] == "Alice drinks green tea in the morning."
    assert "signals" in found["hits"][0]


def test_a_memory_lives_through_every_command_that_changes_it(agentmem: CommandLine) -> None:
    answer: Any = agentmem.json(
        *("add", "The key lies under the pot.", "--user", "bob", "--agent", "a", "--run", "r", "--app", "p"),
        *("--kind", "semantic", "--metadata", "place=garden", "--metadata", '{"floor": 0}', "--importance", "0.9"),
        *("--occurred-at", "2024-05-08T14:30Z", "--expires-at", "2999-01-01", "--not-pinned", "--role", "user"),
        *("--actor", "Ann", "--on-duplicate", "keep", "--idempotency-key", "once", "--classification", "confidential"),
    )
    (memory,) = answer["memories"]
    updated: Any = agentmem.json("update", memory["id"], "--content", "It hangs at the door.", "--if-version", "1")
    raised: Any = agentmem.json("update", memory["id"], "--classification", "restricted")
    pinned: Any = agentmem.json("pin", memory["id"])
    deleted: Any = agentmem.json("delete", memory["id"])
    gone = agentmem.run("get", memory["id"], "--json", status=1)
    restored: Any = agentmem.json("restore", memory["id"])
    history: Any = agentmem.json("history", memory["id"])

    assert (memory["user_id"], memory["agent_id"], memory["run_id"], memory["app_id"]) == ("bob", "a", "r", "p")
    assert (memory["kind"], memory["importance"], memory["pinned"]) == ("semantic", 0.9, False)
    assert memory["metadata"] == {"place": "garden", "floor": 0}
    assert (memory["occurred_at"], memory["expires_at"]) == ("2024-05-08T14:30:00Z", "2999-01-01T00:00:00Z")
    assert (memory["role"], memory["actor"]) == ("user", "Ann")
    assert (memory["classification"], raised["classification"]) == ("confidential", "restricted")
    assert updated["content"] == restored["content"] == "It hangs at the door."
    assert (pinned["pinned"], deleted) == (True, {"deleted": 1})
    assert gone.stdout == ""
    assert gone.stderr.startswith("error: ")
    assert gone.stderr.endswith("(not_found)\n")
    assert len(gone.stderr.splitlines()) == 1
    assert [change["version"] for change in history] == list(range(1, len(history) + 1))
    assert history[0]["memory"]["content"] == "The key lies under the pot."


def test_every_reading_command_writes_one_json_document(agentmem: CommandLine, carol: str) -> None:
    oldest = ("--order", "earliest_occurred", "--limit", "2", "--filters", '{"pinned": false}')
    listed: Any = agentmem.json("list", "--user", carol, *oldest)
    first: Any = agentmem.json("get", listed["items"][0]["id"], "--as-of", "2999-01-01")
    context: Any = agentmem.json("context", "which instrument?", "--user", carol, "--budget", "200")
    stats: Any = agentmem.json("stats", "--user", carol)
    pairs: Any = agentmem.json("duplicates", "--user", carol, "--threshold", "0.99")

    assert first == listed["items"][0]
    assert first["content"].startswith("Two\nlines")
    assert listed["next_cursor"]
    assert "cello" in context["text"]
    assert (stats["memories"], pairs) == (3, [])


def test_every_command_about_the_store_writes_one_json_document(agentmem: CommandLine) -> None:
    info: Any = agentmem.json("info")
    report: Any = agentmem.json("doctor", "--repair")
    vacuumed: Any = agentmem.json("vacuum", "--purge-after-days", "0")
    reembedded: Any = agentmem.json("reembed", "--model", "default")

    assert info["data_directory"] == str(agentmem.directory)
    assert report["healthy"] is True
    assert vacuumed["bytes_after"] > 0
    assert reembedded == {"model": info["embedding_model"], "embedded": 0}


def test_lines_in_a_pipe_have_tabs_and_no_decoration(agentmem: CommandLine, carol: str) -> None:
    shown = agentmem.run("list", "--user", carol, "--order", "earliest_occurred", "--limit", "1")

    (line,) = shown.stdout.splitlines()
    assert line.split("\t")[:4] == ["1", "2020-01-01 00:00", "", "Two lines with [bold]markup[/bold]."]
    assert "--cursor" in shown.stderr


def test_export_is_imported_again_and_known_already(agentmem: CommandLine, carol: str, tmp_path: Path) -> None:
    file = tmp_path / "export.jsonl"
    file.write_text(agentmem.run("export", "--user", carol).stdout, encoding="utf-8")

    again: Any = agentmem.json("import", str(file))

    assert all(json.loads(line)["versions"] for line in file.read_text(encoding="utf-8").splitlines())
    assert again == {"imported": 0, "skipped": 3}


def test_line_of_an_import_that_is_no_json_is_named(agentmem: CommandLine) -> None:
    failed = agentmem.run("import", "-", given='"fine"\n{"content": \n"fine"\n', status=1)

    assert failed.stdout == ""
    assert failed.stderr.startswith("error: Line 2: The line is not JSON")
    assert failed.stderr.endswith("(import_failed)\n")
    assert len(failed.stderr.splitlines()) == 1


@pytest.mark.parametrize("source,given", [("/proc/self/mem", "</dev/null"), ("-", "0>/dev/null")], ids=str)
def test_import_that_cannot_be_read_is_said_in_one_line(agentmem: CommandLine, source: str, given: str) -> None:
    failed = agentmem.shell(f"{PROGRAM} import {source} {given}")

    assert (failed.returncode, failed.stdout) == (1, "")
    assert failed.stderr.startswith(f"error: '{source}' cannot be read: ")
    assert failed.stderr.endswith("(import_failed)\n")
    assert len(failed.stderr.splitlines()) == 1


@pytest.mark.parametrize(
    "command", ["add -", "add - --lines", "update 01936a5e-7b1c-7d3e-9f20-4a5b6c7d8e9f --content -"]
)
def test_standard_input_that_cannot_be_read_is_said_in_one_line(agentmem: CommandLine, command: str) -> None:
    failed = agentmem.shell(f"{PROGRAM} {command} 0>/dev/null")

    assert (failed.returncode, failed.stdout) == (1, "")
    assert failed.stderr == "error: Standard input cannot be read: Bad file descriptor. (input_invalid)\n"


@pytest.mark.parametrize("command", ["export", "shell"])
@pytest.mark.parametrize("unbuffered", ["", "1"])
def test_output_to_a_full_disk_is_said_in_one_line(
    agentmem: CommandLine, carol: str, command: str, unbuffered: str
) -> None:
    failed = agentmem.shell(
        f"echo stats | PYTHONUNBUFFERED={unbuffered} {PROGRAM} {command} --user {carol} > /dev/full"
    )

    assert failed.returncode == 1
    assert failed.stderr.startswith("error: Nothing more can be written: No space left on device.")
    assert failed.stderr.endswith("(storage_full)\n")
    assert len(failed.stderr.splitlines()) == 1


def test_many_lines_of_standard_input_are_remembered_each(agentmem: CommandLine) -> None:
    counts: Any = agentmem.json("add", "-", "--lines", "--user", "dora", given="one thing\n\nanother\none thing\n")

    assert counts == {"added": 2, "duplicates": 1}


@pytest.mark.parametrize(
    "arguments",
    [
        ("search", "x", "--mode", "magic"),
        ("list", "--as-of", "yesterday"),
        ("list", "--filters", "[1]"),
        ("add", "x", "--metadata", "novalue"),
        ("import", "no-such-file.jsonl"),
        ("vacuum", "--purge-after-days", "x"),
        ("delete-all", "--user", "alice"),
    ],
    ids=" ".join,
)
def test_wrong_usage_ends_with_status_two(agentmem: CommandLine, arguments: tuple[str, ...]) -> None:
    failed = agentmem.run(*arguments, status=2)

    assert failed.stdout == ""
    assert "Traceback" not in failed.stderr


@pytest.mark.parametrize(
    "arguments", [("vacuum", "--purge-after-days", "1000000"), ("add", "x", "--idempotency-key", "")], ids=" ".join
)
def test_impossible_value_is_said_in_one_line(agentmem: CommandLine, arguments: tuple[str, ...]) -> None:
    failed = agentmem.run(*arguments, status=1)

    assert failed.stdout == ""
    assert failed.stderr.endswith("(input_invalid)\n")
    assert len(failed.stderr.splitlines()) == 1


def test_deleting_all_needs_a_scope(agentmem: CommandLine) -> None:
    unscoped = agentmem.run("delete-all", "--yes", status=1)
    deleted: Any = agentmem.json("delete-all", "--user", "nobody", "--yes")

    assert "(scope_empty)" in unscoped.stderr
    assert deleted == {"deleted": 0}


def test_reader_that_stops_early_ends_the_command_in_silence(agentmem: CommandLine, carol: str) -> None:
    process = agentmem.start("list", "--user", carol, "--json")
    assert process.stdout is not None
    process.stdout.close()
    process.stdout = None
    _, complaints = process.communicate(timeout=PATIENCE)

    assert (process.returncode, complaints) == (0, "")


def test_interrupted_command_ends_with_status_130(agentmem: CommandLine) -> None:
    process = agentmem.start("shell")
    assert process.stdin is not None
    assert process.stdout is not None
    process.stdin.write("stats\n")
    process.stdin.flush()
    process.stdout.readline()

    process.send_signal(signal.SIGINT)
    _, complaints = process.communicate(timeout=PATIENCE)

    assert process.returncode == 130
    assert "Traceback" not in complaints


def test_secrets_of_the_environment_are_never_shown(agentmem: CommandLine) -> None:
    endpoint = f"http://name:{SECRET}@127.0.0.1:1/v1"
    secret = {
        "AGENTMEM_EMBEDDING_KEY": SECRET,
        "AGENTMEM_EMBEDDING_URL": endpoint,
        "AGENTMEM_RERANKER": "words",
        "AGENTMEM_RERANKER_KEY": SECRET,
        "AGENTMEM_RERANKER_URL": endpoint,
    }
    unreachable = {**secret, "AGENTMEM_DATABASE_URL": f"postgresql://user:{SECRET}@127.0.0.1:1/none"}

    shown = CommandLine(directory=agentmem.directory, extra=secret).run("info", "--json")
    failed = CommandLine(directory=agentmem.directory, extra=unreachable).run("--debug", "stats", status=1)

    assert SECRET not in shown.stdout + shown.stderr + failed.stdout + failed.stderr
    assert "(database_unavailable)" in failed.stderr


def test_completion_script_is_printed_for_each_shell(agentmem: CommandLine) -> None:
    for shell in ("bash", "zsh", "fish"):
        line = CommandLine(directory=agentmem.directory, extra={"_AGENTMEM_COMPLETE": f"source_{shell}"})

        assert "agentmem" in line.run().stdout


@pytest.mark.parametrize(
    "typed,expected",
    [
        (("exp",), ["export"]),
        (("re",), ["reembed", "restore"]),
        (("list", "--or"), ["--order"]),
        (("keys", "rev"), ["revoke"]),
    ],
    ids=str,
)
def test_bash_completes_commands_and_options(
    agentmem: CommandLine, typed: tuple[str, ...], expected: list[str]
) -> None:
    words = " ".join(("agentmem", *typed))
    script = f"""
        eval "$(_AGENTMEM_COMPLETE=source_bash {PROGRAM})"
        COMP_WORDS=({words})
        COMP_CWORD={len(typed)}
        $(complete -p agentmem | sed 's/.*-F *\\([^ ]*\\).*/\\1/') {PROGRAM}
        printf '%s\\n' "${{COMPREPLY[@]}}"
    """
    completed = agentmem.shell(script)

    assert (completed.returncode, completed.stderr) == (0, "")
    assert sorted(completed.stdout.split()) == expected


def test_version_and_help_need_no_store(agentmem: CommandLine) -> None:
    line = CommandLine(directory=agentmem.directory / "never-made")

    version = line.run("--version").stdout
    shown = line.run("--help").stdout

    assert version.startswith("agentmem ")
    assert "Exit status" in shown
    assert not line.directory.exists()
