"""``agentmem organizations``: an operator at the machine makes, limits, suspends and deletes organizations."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any
from uuid import UUID

import pytest

from tests.support.command_line import CommandLine, temporary_command_line


@pytest.fixture(scope="module")
def agentmem() -> Iterator[CommandLine]:
    with temporary_command_line() as line:
        yield line


@pytest.fixture(scope="module")
def acme(agentmem: CommandLine) -> Any:
    return agentmem.json("organizations", "create", "Acme", "--memories", "1000")


def test_created_organization_has_an_owner_with_a_key_that_is_shown_once(agentmem: CommandLine, acme: Any) -> None:
    listed = agentmem.run("organizations", "list", "--json").stdout

    assert acme["key"].startswith("amk_live_")
    assert acme["organization"]["limits"]["memories"] == 1000
    assert "memory:write" in acme["api_key"]["scopes"]
    assert acme["key"] not in listed
    assert acme["organization"]["id"] in listed


def test_organization_is_limited_suspended_resumed_deleted_and_restored(agentmem: CommandLine, acme: Any) -> None:
    name = acme["organization"]["id"]
    limited: Any = agentmem.json("organizations", "limits", name, "--requests-per-minute", "60")
    suspended: Any = agentmem.json("organizations", "suspend", name, "--reason", "unpaid")
    resumed: Any = agentmem.json("organizations", "resume", name)
    deleted: Any = agentmem.json("organizations", "delete", name, "--grace-days", "7")
    restored: Any = agentmem.json("organizations", "restore", name)

    assert limited["limits"] == {"memories": None, "storage_bytes": None, "requests_per_minute": 60}
    assert (suspended["status"], suspended["status_reason"]) == ("suspended", "unpaid")
    assert resumed["status"] == "active"
    assert (deleted["status"], deleted["purge_after"] is None) == ("deleting", False)
    assert (restored["status"], restored["purge_after"]) == ("active", None)


def test_person_sees_a_line_for_each_organization(agentmem: CommandLine, acme: Any) -> None:
    lines = agentmem.run("organizations", "list").stdout.splitlines()
    names = {line.split("\t")[1] for line in lines}

    assert {"Acme", "local"} <= names
    assert all(UUID(line.split("\t")[0]) for line in lines)


def test_unknown_organization_and_impossible_limits_are_said_in_one_line(agentmem: CommandLine, acme: Any) -> None:
    unknown = agentmem.run("organizations", "resume", str(UUID(int=1)), status=1).stderr
    negative = agentmem.run("organizations", "limits", acme["organization"]["id"], "--memories", "-1", status=1).stderr

    assert "(not_found)" in unknown
    assert "memories" in negative
    assert "(input_invalid)" in negative
    assert unknown.count("\n") == negative.count("\n") == 1
