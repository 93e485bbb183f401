"""Accounts, invitations and policies from the command line: the first administrator of an installation is made here."""

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


def test_first_operator_is_made_disabled_and_deleted(agentmem: CommandLine) -> None:
    create = ("accounts", "create", "Ada@Example.com", "--name", "Ada", "--operator", "--password-stdin")
    weak = agentmem.run(*create, given="password\n", status=1)
    made: Any = agentmem.json(*create, "--json", given=f"{PASSWORD}\n")
    twice = agentmem.run(*create, given=f"{PASSWORD}\n", status=1)
    agentmem.run("accounts", "disable", made["id"])
    listed: Any = agentmem.json("accounts", "list")

    assert weak.stderr.startswith("error: The password cannot be used: it has fewer than 15 characters")
    assert weak.stderr.endswith("(password_weak)\n")
    assert PASSWORD not in twice.stderr
    assert "has an account already" in twice.stderr
    assert made["email"] == "ada@example.com"
    assert [account["id"] for account in listed] == [made["id"]]
    assert listed[0]["disabled_at"] is not None
    agentmem.run("accounts", "enable", made["id"])
    agentmem.run("accounts", "unlock", made["id"])
    last = agentmem.run("accounts", "delete", made["id"], status=1)
    assert "last enabled operator" in last.stderr


def test_person_is_invited_and_the_invitation_taken_back(agentmem: CommandLine) -> None:
    made: Any = agentmem.json("invitations", "create", "eve@example.com", "--role", "viewer")
    listed: Any = agentmem.json("invitations", "list")
    agentmem.run("invitations", "revoke", made["id"])

    assert [one["id"] for one in listed] == [made["id"]]
    assert agentmem.json("invitations", "list") == []


def test_policy_is_set_and_shown(agentmem: CommandLine) -> None:
    changed: Any = agentmem.json("policies", "set", "password", '{"preset": "legacy", "history": 5}')
    shown: Any = agentmem.json("policies", "show", "password")
    refused = agentmem.run("policies", "set", "lockout", '{"failures": 3}', status=1)

    assert changed == shown
    assert (shown["policy"]["history"], shown["version"]) == (5, 2)
    assert "belong to the platform" in refused.stderr
