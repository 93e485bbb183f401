"""The calls of the client as values: what is sent with them."""

from __future__ import annotations

from typing import Any
from uuid import UUID

import pytest

from agentmem.client import administration, calls
from agentmem.client.calls import Call
from agentmem.schemas.memories import NewMemory

ID = UUID(int=1)
CHANGING: list[Call[Any]] = [
    calls.add([NewMemory(content="tea")], None, None),
    calls.restore(ID, None),
    calls.import_({}),
    calls.update_many([{"id": ID, "importance": 0.5}]),
    calls.delete_many([ID]),
    calls.doctor(repair=True),
    calls.vacuum(None),
    calls.reembed("default"),
    administration.create_key({"name": "one"}),
    administration.rotate_key("0123456789ab", 60),
    administration.create_member({"name": "one"}),
    administration.restore_organization(),
    administration.verify_audit(None),
    administration.create_organization("one", None),
    administration.suspend_organization(ID, "why"),
    administration.resume_organization(ID),
    administration.keep_organization(ID),
]


@pytest.mark.parametrize("call", CHANGING, ids=lambda call: call.path)
def test_every_post_that_changes_something_carries_a_key_of_its_own(call: Call[Any]) -> None:
    assert call.method == "POST"
    assert UUID(call.headers["Idempotency-Key"]).version == 4
