"""The memory shell and the demonstration, from a pipe and on a terminal."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.support.command_line import CommandLine, temporary_command_line
from tests.support.embedding_vendor import DIMENSIONS, embedding_vendor


@pytest.fixture(scope="module")
def agentmem() -> Iterator[CommandLine]:
    with temporary_command_line() as line:
        yield line


def test_shell_in_a_pipe_remembers_finds_and_survives_errors(agentmem: CommandLine) -> None:
    script = (
        "My bicycle is red.\n? which colour has the bicycle\nget 1\nget 7\nget up early\n/nope\n"
        "+ list of groceries: milk\ncontext bicycle\nhistory 1\ndelete 1\nrestore 1\nlist 2\n"
        "user bob\nstats\nquit\nnever\n"
    )

    done = agentmem.run("shell", "--user", "alice", "--json", given=script)

    answers: list[Any] = [json.loads(line) for line in done.stdout.splitlines()]
    assert answers[1]["hits"][0]["memory"]["content"] == answers[2]["content"] == "My bicycle is red."
    assert answers[3]["memories"][0]["content"] == "get up early"
    assert answers[4]["memories"][0]["content"] == "list of groceries: milk"
    assert (answers[-1]["memories"], len(answers)) == (0, 11)
    assert [line.rpartition(" ")[2] for line in done.stderr.splitlines()] == ["(input_invalid)"] * 2


def test_shell_on_a_terminal_goes_on_after_ctrl_c_and_leaves_no_trace_in_clear(agentmem: CommandLine) -> None:
    with agentmem.terminal("shell", "--user", "carol") as terminal:
        terminal.wait_for("carol> ")
        terminal.type("half a thou")
        terminal.wait_for("half a thou")
        # Between the echo and its next wait for a key, Python notes an interrupt and acts on it at the next one.
        terminal.press_until("\x03", "carol> ")
        terminal.type("The boat is called Zyxwvut.\n")
        terminal.wait_for("Remembered.")
        terminal.wait_for("carol> ")
        terminal.type("? what is the boat called\n")
        terminal.wait_for("Zyxwvut")
        terminal.wait_for("carol> ")
        terminal.type("\x04")

        assert terminal.end() == 0

    files = [path for path in agentmem.directory.rglob("*") if path.is_file()]
    assert files != []
    assert [path for path in files if b"Zyxwvut" in path.read_bytes()] == []


def test_stored_text_cannot_steer_the_terminal(agentmem: CommandLine) -> None:
    agentmem.run("add", "harmless \x1b[2J\x1b]0;owned\x07 text \u202egnol", "--user", "eve")

    with agentmem.terminal("list", "--user", "eve", columns=80) as terminal:
        status = terminal.end()

    assert status == 0
    assert "harmless" in terminal.seen
    assert [sign for sign in ("\x1b[2J", "\x1b]", "\x07", "\u202e") if sign in terminal.seen] == []


def test_person_is_asked_before_all_is_deleted(agentmem: CommandLine) -> None:
    agentmem.run("add", "Fred sings.", "--user", "fred")

    with agentmem.terminal("delete-all", "--user", "fred") as terminal:
        terminal.wait_for("Delete 1 memory of user fred?")
        terminal.type("n\n")
        refused = terminal.end()

    assert refused == 1
    assert "deleted" not in terminal.seen


def test_demonstration_finds_the_evidence_and_leaves_nothing_behind(agentmem: CommandLine) -> None:
    with tempfile.TemporaryDirectory(prefix="agentmem-") as folder:
        shown: Any = CommandLine(directory=agentmem.directory, extra={"TMPDIR": folder}).json(
            "demo", "--questions", "14"
        )
        left = list(Path(folder).glob("agentmem-demo-*"))

    assert shown["memories"] == 96
    assert len(shown["questions"]) == 14
    assert shown["evidence_in_top_10"] >= 12
    assert shown["evidence_in_top_3"] >= 9
    assert left == []


SAMPLE = {
    "conversation": {
        "session_1": [
            {"speaker": "Ann", "dia_id": "D1:1", "text": "I moved to Oslo.", "blip_caption": "a fjord"},
            {"speaker": "Ben", "dia_id": "D1:2", "text": "How is it?"},
        ],
        "session_1_date_time": "1:56 pm on 8 May, 2023",
    },
    "qa": [{"question": "Where does Ann live?", "answer": "Oslo", "evidence": ["D1:1"], "category": 4}],
}


def test_demonstration_takes_a_conversation_of_ones_own(agentmem: CommandLine, tmp_path: Path) -> None:
    file = tmp_path / "own.json"
    file.write_text(json.dumps([SAMPLE]), encoding="utf-8")

    shown = agentmem.run("demo", str(file)).stdout
    missing = agentmem.run("demo", str(file), "--conversation", "2", status=1)

    assert "Ann and Ben: 2 turns in 1 session, May 2023." in shown
    assert "Nothing leaves this machine." in shown
    assert "I moved to Oslo. [shares a fjord]" in shown
    assert "1 of 1 questions" in shown
    assert "from agentmem import Memory" in shown
    assert "(input_invalid)" in missing.stderr


def test_demonstration_says_what_it_sends_to_a_remote_model(agentmem: CommandLine, tmp_path: Path) -> None:
    file = tmp_path / "own.json"
    file.write_text(json.dumps([SAMPLE]), encoding="utf-8")
    with embedding_vendor() as vendor:
        remote = {
            "AGENTMEM_EMBEDDING_MODEL": "openai:words",
            "AGENTMEM_EMBEDDING_URL": vendor.url,
            "AGENTMEM_EMBEDDING_DIMENSIONS": str(DIMENSIONS),
        }
        shown = CommandLine(directory=agentmem.directory, extra=remote).run("demo", str(file)).stdout

    told = " ".join(shown.split())
    assert f"Every text and every question is sent to the embedding model openai:words at {vendor.url}." in told
    assert "Nothing leaves" not in told
    assert any("I moved to Oslo" in text for batch in vendor.batches for text in batch)


def test_demonstration_says_that_a_database_of_ones_own_is_used(
    agentmem: CommandLine, tmp_path: Path, database_url: str
) -> None:
    file = tmp_path / "own.json"
    file.write_text(json.dumps([SAMPLE]), encoding="utf-8")

    shown = agentmem.run("--database-url", database_url, "demo", str(file)).stdout

    assert "What is remembered goes to that database, its texts sealed" in " ".join(shown.split())
