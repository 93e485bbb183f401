from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from uuid import UUID, uuid4

import pytest

from agentmem.errors import NotFound, PermissionDenied
from agentmem.features.memories.binding import (
    admit_new,
    bound_scope,
    bound_view,
    request_key,
    require_reach,
    require_unbound,
)
from agentmem.features.memories.visibility import View
from agentmem.foundation.authorization.caller import Binding, Caller, local_operator
from agentmem.kit.ids import OrganizationId, PrincipalId
from agentmem.schemas.memories import Kind, MemoryRecord, NewMemory, Origin, Scope

NOW = datetime(2026, 1, 1, tzinfo=UTC)
FREE = local_operator(OrganizationId(UUID(int=1)))
ALICE = replace(FREE, binding=Binding(user_id="alice"), api_key_id="k", principal_id=PrincipalId("member:1"))
IDS = ("user_id", "agent_id", "run_id", "app_id")


def record_of(**ids: str) -> MemoryRecord:
    return MemoryRecord(
        id=uuid4(),
        content="tea",
        kind=Kind.EPISODIC,
        origin=Origin.USER,
        authority=Origin.USER,
        metadata={},
        importance=0.5,
        pinned=False,
        occurred_at=NOW,
        created_at=NOW,
        updated_at=NOW,
        version=1,
        **ids,
    )


def bound_to(**ids: str) -> Caller:
    return replace(FREE, binding=Binding(**ids))


def test_scope_of_an_unbound_caller_stays_as_it_is() -> None:
    scope = Scope(user_id="bob")

    assert bound_scope(FREE, scope) is scope
    assert bound_view(FREE, view := View(scope=scope)) is view


@pytest.mark.parametrize("name", IDS)
def test_each_bound_id_narrows_the_scope(name: str) -> None:
    assert bound_scope(bound_to(**{name: "mine"}), Scope()) == Scope.model_validate({name: "mine"})
    assert bound_view(bound_to(**{name: "mine"}), View()).scope == Scope.model_validate({name: "mine"})


def test_ids_beside_the_bound_one_are_kept() -> None:
    assert bound_scope(ALICE, Scope(run_id="r")) == Scope(user_id="alice", run_id="r")
    assert bound_scope(ALICE, Scope(user_id="alice")) == Scope(user_id="alice")


@pytest.mark.parametrize("name", IDS)
def test_scope_of_somebody_else_is_denied_by_name(name: str) -> None:
    with pytest.raises(PermissionDenied, match=f"{name} 'other'"):
        bound_scope(bound_to(**{name: "mine"}), Scope.model_validate({name: "other"}))


@pytest.mark.parametrize("name", IDS)
def test_new_memory_gets_the_bound_id_or_is_denied(name: str) -> None:
    caller = bound_to(**{name: "mine"})

    assert getattr(admit_new(caller, NewMemory(content="tea")), name) == "mine"
    with pytest.raises(PermissionDenied, match=name):
        admit_new(caller, NewMemory.model_validate({"content": "tea", name: "other"}))


@pytest.mark.parametrize("name", IDS)
def test_memory_out_of_reach_is_not_found(name: str) -> None:
    caller = bound_to(**{name: "mine"})
    require_reach(caller, [record_of(**{name: "mine"})])

    for foreign in (record_of(), record_of(**{name: "other"})):
        with pytest.raises(NotFound, match=str(foreign.id)):
            require_reach(caller, [foreign])


def test_every_memory_is_within_reach_of_an_unbound_caller() -> None:
    require_reach(FREE, [record_of(), record_of(user_id="bob", app_id="a")])
    require_unbound(FREE, "Everything")


def test_bound_caller_is_told_what_needs_an_unbound_key() -> None:
    with pytest.raises(PermissionDenied, match="The import needs a key that is not bound"):
        require_unbound(ALICE, "The import")


def test_same_idempotency_key_of_two_callers_is_two_keys() -> None:
    other_user = replace(ALICE, binding=Binding(user_id="bob"))
    other_member = replace(ALICE, principal_id=PrincipalId("member:2"))
    unbound = replace(ALICE, binding=Binding())

    assert len({request_key(caller, "k") for caller in (FREE, ALICE, other_user, other_member, unbound)}) == 5
    assert request_key(FREE, "k") == "k"
