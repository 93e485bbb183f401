"""Sessions of people and the keys of their tokens, from the command line."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from tests.support.command_line import CommandLine, temporary_command_line
from tests.support.people import PASSWORD


@pytest.fixture(scope="module")
def agentmem() -> Iterator[CommandLine]:
    with temporary_command_line() as line:
        yield line


def test_keys_are_listed_and_rotated_at_once_or_after_an_hour(agentmem: CommandLine) -> None:
    first: Any = agentmem.json("signing-keys", "rotate", "--now")
    then: Any = agentmem.json("signing-keys", "rotate")
    last: Any = agentmem.json("signing-keys", "rotate", "--now")

    assert [len(listed) for listed in (first, then, last)] == [1, 2, 1]
    assert then[0]["kid"] == first[0]["kid"]
    assert then[0]["checks_until"] > then[1]["signs_from"] > then[1]["created_at"]
    assert agentmem.json("signing-keys", "list") == last


def test_sessions_of_an_account_are_listed_and_ended(agentmem: CommandLine) -> None:
    made: Any = agentmem.json(
        *("accounts", "create", "ada@example.com", "--name", "Ada", "--owner", "--password-stdin"),
        "--json",
        given=f"{PASSWORD}\n",
    )

    assert agentmem.json("sessions", "list", made["id"]) == []
    assert "No open sessions" in agentmem.run("sessions", "list", made["id"]).stderr
    assert agentmem.json("sessions", "end", made["id"]) == {"ended": 0}
    missing = agentmem.run("sessions", "end", made["id"], "--session", made["id"], status=1)
    assert "There is no session" in missing.stderr
