"""The provider at which an organization's people sign in, from the command line."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from tests.support.command_line import CommandLine, temporary_command_line

ISSUER = "https://login.example.com"
SECRET = "canary-of-the-client"


@pytest.fixture(scope="module")
def agentmem() -> Iterator[CommandLine]:
    with temporary_command_line() as line:
        yield line


def test_provider_is_named_shown_and_taken_away(agentmem: CommandLine) -> None:
    given = ("sso", "set", ISSUER, "agentmem", "--role", "engineering=member", "--default-role", "viewer")
    told: Any = agentmem.json(*given, "--secret", given=f"{SECRET}\n")
    shown: Any = agentmem.json("sso", "show")

    assert shown == told
    assert (shown["policy"]["issuer"], shown["policy"]["roles"]) == (ISSUER, {"engineering": "member"})
    seen = agentmem.run("sso", "show")
    assert ISSUER in seen.stdout
    assert SECRET not in seen.stdout + seen.stderr + str(told)
    agentmem.run("sso", "off")
    assert "none" in agentmem.run("sso", "show").stdout


def test_what_would_lock_everybody_out_or_give_no_role_is_refused(agentmem: CommandLine) -> None:
    enforced = agentmem.run("sso", "set", ISSUER, "agentmem", "--enforced", status=1)
    assert "break_glass" in enforced.stderr
    role = agentmem.run("sso", "set", ISSUER, "agentmem", "--role", "engineering", status=2)
    assert "GROUP=ROLE" in role.stderr
    owner = agentmem.run("sso", "set", ISSUER, "agentmem", "--role", "engineering=owner", status=1)
    assert "admin, member or viewer" in owner.stderr
    assert "none" in agentmem.run("sso", "show").stdout
