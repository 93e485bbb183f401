"""Trust, taint, rollback and the audit trail from the command line."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from tests.support.command_line import CommandLine, temporary_command_line


@pytest.fixture(scope="module")
def agentmem() -> Iterator[CommandLine]:
    with temporary_command_line() as line:
        yield line


def test_memory_is_explained_promoted_tainted_and_taken_back(agentmem: CommandLine) -> None:
    added: Any = agentmem.json("add", "The shop closes at six", "--role", "tool", "--user", "ada")
    memory_id, moment = added["memories"][0]["id"], added["memories"][0]["updated_at"]
    told: Any = agentmem.json("provenance", memory_id)
    nothing: Any = agentmem.json("list", "--min-authority", "user")
    promoted: Any = agentmem.json("promote", memory_id, "--authority", "user")
    counted = agentmem.run("taint", "--origin", "tool")
    agentmem.run("rollback", moment, "--user", "ada", "--do")
    back: Any = agentmem.json("list", "--min-authority", "tool")
    tainted = agentmem.run("taint", "--origin", "tool", "--do")
    gone: Any = agentmem.json("list")

    assert (told["principal"], told["origin"]) == ("local", "tool")
    assert nothing["items"] == []
    assert promoted["authority"] == "user"
    assert "1 memory would be tainted; say --do to do it." in counted.stdout
    assert [item["authority"] for item in back["items"]] == ["tool"]
    assert "1 memory tainted." in tainted.stdout
    assert gone["items"] == []


def test_trail_is_listed_exported_and_verified(agentmem: CommandLine) -> None:
    listed: Any = agentmem.json("audit", "list", "--action", "organization.registered")
    exported = agentmem.run("audit", "export", "--format", "cef").stdout.splitlines()
    verified: Any = agentmem.json("audit", "verify")
    missing = agentmem.run("audit", "verify", "--seal", "7", "--digest", "0" * 32, status=1)

    assert [entry["action"] for entry in listed] == ["organization.registered"]
    assert exported
    assert all(line.startswith("CEF:0|AgentMem|") for line in exported)
    assert verified["whole"]
    assert "seal 7" in missing.stdout
