from __future__ import annotations

import inspect
from collections.abc import Iterator

import pytest

from agentmem.foundation.authorization.caller import Caller, Permission
from agentmem.foundation.database.system import SystemPurpose
from agentmem.schemas.events import EVENT_TYPES
from tests.support.operations import (
    CALLS,
    DECIDING,
    needed,
    operations,
    service_classes,
    service_modules,
    system_operations,
)

# Registration makes the organization that a transaction would be bound to, so it cannot be an operation of it.
NOT_BOUND = frozenset({"OrganizationService.register"})
READS_BY_NAME = frozenset(
    {
        "AccountService.find",
        "AccountService.get",
        "AccountService.last_passwords",
        "AccountService.own",
        "AccountService.page",
        "FactorService.get",
        "FactorService.kinds",
        "FactorService.of_account",
        "InvitationService.read",
        "PasskeyService.address",
        "PasskeyService.all",
        "PasskeyService.find",
        "PlatformService.view",
        "NetworkService.page_installation",
        "FederationService.secret",
        "FederationService.account_of",
        "MemoryService.classes",
        "SelfService.find",
        "SelfService.read",
        "SessionService.of_account",
        "SessionService.own",
        "SigningKeyService.due",
        "SigningKeyService.every",
        "SigningKeyService.signing",
    }
)
WRITES_OF_READS = frozenset({"AuditService.note_read", "PrivacyService.begin_export"})
"""Operations that whoever may read may, and that write down what was read."""
READS = frozenset(
    {
        Permission.AUDIT_READ,
        Permission.AUDIT_VERIFY,
        Permission.ENCRYPTION_READ,
        Permission.JOB_READ,
        Permission.EVENT_READ,
        Permission.KEY_READ,
        Permission.MEMBER_READ,
        Permission.MEMORY_READ,
        Permission.ORGANIZATION_READ,
        Permission.PRIVACY_READ,
        Permission.USAGE_READ,
        Permission.WEBHOOK_READ,
    }
)
# What runs without a caller is a closed list: whoever adds to it says here why.
SYSTEM = {
    "ApiKeyService.find": SystemPurpose.AUTHENTICATE,
    # A sign-in that waits for a factor is nobody's yet; an attempt is counted whatever comes of it.
    "ChallengeService.close": SystemPurpose.AUTHENTICATE,
    "ChallengeService.find": SystemPurpose.AUTHENTICATE,
    "ChallengeService.open": SystemPurpose.AUTHENTICATE,
    "ChallengeService.reserve": SystemPurpose.AUTHENTICATE,
    "PolicyService.of": SystemPurpose.AUTHENTICATE,
    "InstanceService.every": SystemPurpose.PRESENCE,
    "InstanceService.gone": SystemPurpose.PRESENCE,
    "InstanceService.seen": SystemPurpose.PRESENCE,
    "KeyUsage.record": SystemPurpose.SWEEP,
    "MemberService.owners": SystemPurpose.SWEEP,
    "MemberService.standing": SystemPurpose.AUTHENTICATE,
    "NetworkService.of_installation": SystemPurpose.AUTHENTICATE,
    "RequestKeyService.of_key": SystemPurpose.AUTHENTICATE,
    "MembershipService.of_account": SystemPurpose.AUTHENTICATE,
    "PlatformService.all_ids": SystemPurpose.SWEEP,
    "PlatformService.due": SystemPurpose.SWEEP,
    "PlatformService.erased": SystemPurpose.SWEEP,
    "PlatformService.several": SystemPurpose.SWEEP,
    "SessionService.account_of_family": SystemPurpose.AUTHENTICATE,
    "SessionService.find": SystemPurpose.AUTHENTICATE,
    "SessionService.sweep": SystemPurpose.SWEEP,
    "SessionService.touch": SystemPurpose.AUTHENTICATE,
    "SigningKeyService.published": SystemPurpose.AUTHENTICATE,
    "WebhookDeliveries.relay": SystemPurpose.RELAY,
    "WebhookDeliveries.waiting": SystemPurpose.RELAY,
}


def coroutines_of_services() -> Iterator[str]:
    for owner in service_classes():
        for name, value in vars(owner).items():
            if inspect.iscoroutinefunction(value) and not name.startswith("_"):
                yield f"{owner.__qualname__}.{name}"


def test_every_public_coroutine_of_a_service_is_an_operation() -> None:
    assert set(coroutines_of_services()) - NOT_BOUND - set(SYSTEM) == set(operations())


def test_what_runs_without_a_caller_is_the_known_list() -> None:
    assert system_operations() == SYSTEM


def test_no_class_of_a_feature_reaches_the_database_beside_the_services() -> None:
    holding = {
        f"{owner.__module__}.{owner.__qualname__}"
        for module in service_modules()
        for _, owner in inspect.getmembers(module, inspect.isclass)
        if owner.__module__ == module.__name__ and "database" in inspect.get_annotations(owner)
    }

    assert holding == {f"{owner.__module__}.{owner.__qualname__}" for owner in service_classes()}


@pytest.mark.parametrize("name", sorted(operations()))
def test_operation_takes_a_caller_without_a_default(name: str) -> None:
    # The gate puts the caller in the place of the transaction, which the signature of the body shows.
    parameters = list(inspect.signature(operations()[name]).parameters.values())

    assert [parameter.name for parameter in parameters[:2]] == ["self", "tx"]
    assert parameters[1].default is inspect.Parameter.empty
    assert Caller.__dataclass_params__.frozen  # type: ignore[attr-defined]


@pytest.mark.parametrize("name", sorted(operations()))
def test_operation_that_changes_memories_is_audited(name: str) -> None:
    permission, audited = needed(name)

    if audited is None:
        maintains = permission is Permission.MEMORY_MAINTAIN
        assert permission in READS or maintains or name in READS_BY_NAME or name in DECIDING
    else:
        assert permission not in READS or name in WRITES_OF_READS
        assert audited.count(".") == 1


def test_every_type_of_event_is_the_name_of_an_audit_entry_of_an_operation() -> None:
    audited = {needed(name)[1] for name in operations()} - {None}

    assert set(EVENT_TYPES) == audited.union({"organization.registered"}, *DECIDING.values())
    assert list(EVENT_TYPES) == sorted(EVENT_TYPES)


def test_every_permission_is_a_resource_and_an_action() -> None:
    assert all(permission.value.count(":") == 1 for permission in Permission)
    assert {needed(name)[0] for name in CALLS} <= set(Permission)
