"""Two organizations behind one server: with every id of one, the other gets what it would get with ids of nobody.

The requests are made of the OpenAPI document, so that a new route is attacked without being named here. Every one is
sent past both walls, past row security alone, and past the conditions of the statements alone.
"""

from __future__ import annotations

import re
from collections.abc import AsyncIterator, Iterator, Mapping
from dataclasses import replace
from typing import Final
from zlib import crc32

import httpx
import pytest
from fastapi.routing import APIRoute

from agentmem.entrypoints.api.routes.all import routers
from agentmem.schemas.memories import NewMemory
from agentmem.schemas.webhooks import NewWebhook
from tests.support.api_matrix import ApiOperation, operations_of
from tests.support.foreign import rule
from tests.support.people import invitation_of
from tests.support.served import client
from tests.support.stores import Owner, Store
from tests.support.twins import CANARY, PLACES, WALLS, Twins, Victim, of_nobody, standing, twins_in, victim_in
from tests.support.walls import row_security_off, rows_of

NAMES: Final = sorted(route.name for router in routers() for route in router.routes if isinstance(route, APIRoute))
LISTS: Final = (
    *(
        "list",
        "query",
        "audit_entries",
        "list_members",
        "list_api_keys",
        "list_jobs",
        "list_webhooks",
        "entities",
        "list_invitations",
        "list_networks",
    ),
)
"""Every list that an organization has, each of which gives cursors; those of one webhook are not found by others."""
PASSING: Final = re.compile(r"req_[0-9a-f]{32}|\"timings\":{[^}]*}|\"exported_at\":\"[^\"]*\"")
"""What a response says of the request alone: its id, when it was and how long it took."""
CREATED: Final = frozenset({"add", "create_member", "erase_subject", "invite", "set_policy"})
"""What these answer is new, and so differs from one call to the next."""
OWN: Final[Mapping[str, int]] = {
    # Ids of a scope are names that each organization gives as it likes: these are asked of the attacker's own.
    **dict.fromkeys(("search", "context", "query", "list", "stats", "duplicates", "export", "entities"), 200),
    **dict.fromkeys(("delete_all", "rollback"), 200),
    "add": 201,
    # A user is erased, held or restricted where the attacker is.
    "erase_subject": 202,
    **dict.fromkeys(("get_subject", "mark_subject", "export_subject"), 200),
    # One id may name a memory in each of two organizations: the import makes one of the attacker's.
    "import_": 200,
    # What an audit trail is searched for is a condition on the attacker's own entries.
    "audit_entries": 200,
    # The kind of a policy is a name that all organizations have.
    **dict.fromkeys(("get_policy", "set_policy"), 200),
}
"""Operations that take ids of the victim's as the attacker's own, and what they answer; all others answer 404."""
SAMPLED: Final = 8
"""Of so many operations one is tried with each wall alone, unless the suite runs whole."""
PLATFORM: Final = frozenset({"platform:manage", "account:manage", "account:use"})
"""Permissions that no role of an organization has; the attacker is told that it lacks them."""

OTHER_LISTS: Final = frozenset({"list_accounts", "list_organizations", "list_installation_networks", "list_deliveries"})
"""Lists of the platform's operators, and one of what a single webhook was sent."""


@pytest.fixture(scope="session")
async def operations(store: Store) -> dict[str, ApiOperation]:
    """Every operation of the server's document."""
    async with client(store.app, None) as anybody:
        return operations_of((await anybody.get("/openapi.json")).json())


@pytest.fixture
def silent_logs(capfd: pytest.CaptureFixture[str]) -> Iterator[None]:
    """See to it that a test writes nothing of anybody's content to the log."""
    yield
    assert CANARY not in "".join(capfd.readouterr())


async def attack(twins: Twins, operation: ApiOperation, ids: Mapping[str, str], key: str) -> httpx.Response:
    headers = {}
    if "Idempotency-Key" in operation.in_header:
        headers["Idempotency-Key"] = key
    if "If-Match" in operation.in_header and operation.in_path and operation.operation_id != "set_policy":
        headers["If-Match"] = '"1"'
    content = twins.lines(ids["memory_id"]) if operation.operation_id == "import_" else None
    return await operation.send(twins.mine, ids, headers=headers, content=content)


def told(response: httpx.Response, ids: Mapping[str, str]) -> str:
    """Give what a response says, without the ids that were asked for and the request's own."""
    text = PASSING.sub("<request>", response.text)
    for value in sorted(set(ids.values()), key=len, reverse=True):
        text = text.replace(value, "<id>")
    return f"{response.status_code} {text}"


def everything_in(response: httpx.Response) -> str:
    return f"{response.headers!r} {response.text}"


async def attack_in_every_way(twins: Twins, owner: Owner, operation: ApiOperation) -> None:
    """Send an operation with ids of nobody, with the victim's, and without a scope: the victim is not there."""
    before = rows_of(owner, twins.foreign.organization_id)
    carries = operation.carries(twins.ids)
    for number, ids in enumerate(twins.ids_for(operation)):
        nobody = of_nobody(ids)
        without = await attack(twins, operation, nobody, f"of-the-attacker-{number}")
        answered = await attack(twins, operation, ids, f"{twins.foreign.key}-{number}" if number else twins.foreign.key)
        wide = await attack(twins, operation.unscoped, nobody, f"wide-{number}")

        assert rows_of(owner, twins.foreign.organization_id) == before
        for response in (without, answered, wide):
            assert response.status_code < 500, response.text
            assert CANARY not in everything_in(response)
            assert twins.foreign.key_id not in everything_in(response) or operation.carries({"key_id": ""})
        assert answered.status_code == without.status_code
        if carries and operation.permission is not None:
            expected = 403 if operation.permission in PLATFORM else OWN.get(operation.operation_id, 404)
            assert answered.status_code == expected, answered.text
        if carries and operation.operation_id not in CREATED:
            assert told(answered, ids) == told(without, nobody)


@pytest.fixture(scope="module")
async def victim(store: Store) -> Victim:
    """The organization that all requests attack: after each attack it must be as it was before."""
    return await victim_in(store)


@pytest.fixture
def in_the_sample(name: str, walls: str, *, full: bool) -> None:
    """Let a request go that is not in the sample of those made with one wall alone."""
    if not full and walls != "both walls" and crc32(name.encode()) % SAMPLED:
        pytest.skip("is run by make test-full: one wall alone is tried with a sample")


@pytest.fixture
async def twins(store: Store, owner: Owner, victim: Victim, walls: str) -> AsyncIterator[Twins]:
    """A new attacker beside the victim, with the walls that are to stand."""
    async with standing(store, owner, walls) as app, twins_in(store, app, victim=victim) as twins:
        yield twins


@pytest.mark.parametrize("walls", WALLS)
@pytest.mark.parametrize("name", NAMES)
@pytest.mark.usefixtures("in_the_sample", "silent_logs")
async def test_no_request_reaches_another_organization(
    twins: Twins, owner: Owner, operations: dict[str, ApiOperation], name: str
) -> None:
    await attack_in_every_way(twins, owner, operations[name])


def test_every_operation_of_the_document_is_attacked(operations: dict[str, ApiOperation]) -> None:
    public = {name for name, operation in operations.items() if operation.permission is None}

    assert set(operations) - public - {"metrics"} <= set(NAMES)
    assert len(NAMES) > 50


@pytest.mark.parametrize("name", ["list", "history", "export", "audit_entries"])
async def test_without_both_walls_the_attack_would_be_noticed(
    store: Store, owner: Owner, operations: dict[str, ApiOperation], name: str
) -> None:
    async with standing(store, owner, "no conditions") as app, twins_in(store, app) as twins, row_security_off(owner):
        with pytest.raises(AssertionError):
            await attack_in_every_way(twins, owner, operations[name])


@pytest.mark.parametrize("walls", WALLS)
async def test_cursor_of_another_organization_gives_nothing_of_it(
    store: Store, owner: Owner, operations: dict[str, ApiOperation], walls: str
) -> None:
    async with standing(store, owner, walls) as app, twins_in(store, app) as twins:
        for text in ("one", "two", "three"):
            places = {name: f"{name}-{text}" for name in PLACES}
            await twins.victim.add(NewMemory.model_validate({**places, "content": f"{CANARY} {text}"}))
            hook = NewWebhook(url="https://hooks.example/", description=f"{CANARY} {text}")
            await twins.victim.app.events.webhooks.create(twins.victim.app.caller, hook)
            await invitation_of(twins.victim.app, twins.victim.app.caller, f"{CANARY}-{text}@example.com")
            await twins.victim.app.networks.add(twins.victim.app.caller, rule(f"{CANARY} {text}"))
        for name in LISTS:
            for ids in twins.ids_for(operations[name]):
                await follow_a_foreign_cursor(twins, operations[name].unscoped, ids["kind"])


async def follow_a_foreign_cursor(twins: Twins, operation: ApiOperation, kind: str) -> None:
    """Read the victim's first page as the victim, and the one behind it as the attacker."""
    page = {"kind": kind, "limit": "1"}
    first = (await replace(operation, example={"limit": 1}).send(twins.theirs, page)).json()
    assert first["next_cursor"], first
    followed = {**page, "cursor": first["next_cursor"], "limit": "100"}
    example = {"cursor": first["next_cursor"], "limit": 100}
    answered = await replace(operation, example=example).send(twins.mine, followed)

    assert answered.status_code == 200, answered.text
    assert CANARY not in everything_in(answered)
    assert not [item for item in first["items"] if item in answered.json()["items"]]


def test_every_list_of_an_organization_is_tried_with_a_foreign_cursor(operations: dict[str, ApiOperation]) -> None:
    paged = {name for name, operation in operations.items() if "cursor" in operation.in_query}

    assert paged | {"query"} == {*LISTS, *OTHER_LISTS}
