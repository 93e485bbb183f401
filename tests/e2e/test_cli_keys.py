"""API keys from the command line: made, listed, replaced and ended on the machine of the installation."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from agentmem.schemas.request_keys import to_text
from tests.support.command_line import CommandLine, temporary_command_line


@pytest.fixture(scope="module")
def agentmem() -> Iterator[CommandLine]:
    with temporary_command_line() as line:
        yield line


def test_key_is_made_shown_once_replaced_and_ended(agentmem: CommandLine) -> None:
    made: Any = agentmem.json("keys", "create", "deploy", "--scope", "memory:read", "--user", "alice", "--days", "7")
    key_id = made["api_key"]["id"]
    assert made["key"].startswith(f"amk_live_{key_id}_")
    assert made["api_key"]["scopes"] == ["memory:read"]
    assert made["api_key"]["binding"]["user_id"] == "alice"

    successor: Any = agentmem.json("keys", "rotate", key_id, "--overlap", "60")
    ended: Any = agentmem.json("keys", "revoke", key_id, "--reason", "test")
    listed: Any = agentmem.json("keys", "list")
    assert {key["id"]: key["revoke_reason"] for key in listed} == {key_id: "test", successor["api_key"]["id"]: None}
    assert ended["revoked_at"] is not None
    assert made["key"] not in agentmem.run("keys", "list").stdout


def test_operator_key_may_manage_the_platform(agentmem: CommandLine) -> None:
    made: Any = agentmem.json("keys", "create", "operations", "--operator")

    assert "platform:manage" in made["api_key"]["scopes"]
    assert "memory:read" not in made["api_key"]["scopes"]


def test_impossible_key_is_one_line_of_error(agentmem: CommandLine) -> None:
    failed = agentmem.run("keys", "create", "x", "--network", "nowhere", status=1)
    unknown = agentmem.run("keys", "revoke", "0123456789ab", status=1)

    assert failed.stderr.startswith("error: Input is not valid: networks.0")
    assert unknown.stderr == "error: There is no API key '0123456789ab'. (not_found)\n"


def test_key_that_signs_is_made_shown_once_listed_and_ended(agentmem: CommandLine) -> None:
    key: Any = agentmem.json("keys", "create", "signed")
    key_id = key["api_key"]["id"]
    made: Any = agentmem.json("keys", "signing", "create", key_id, "laptop")
    pair = to_text(bytes(32))
    own: Any = agentmem.json("keys", "signing", "create", key_id, "of my own", "--public-key", pair)
    signer_id = made["request_key"]["id"]
    assert made["key"].startswith(f"ams_ed25519_{signer_id}_")
    assert (own["key"], own["request_key"]["public_key"]) == (None, pair)

    ended: Any = agentmem.json("keys", "signing", "revoke", key_id, signer_id)
    assert ended["revoked_at"] is not None
    listed: Any = agentmem.json("keys", "signing", "list", key_id)
    assert {key["id"]: key["revoked_at"] for key in listed} == {
        signer_id: ended["revoked_at"],
        own["request_key"]["id"]: None,
    }
    assert made["key"] not in agentmem.run("keys", "signing", "list", key_id).stdout
    unknown = agentmem.run("keys", "signing", "revoke", key_id, "0123456789ab", status=1)
    assert "(not_found)" in unknown.stderr
