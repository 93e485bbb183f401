"""The skin of every real route's answers: of those that succeed, of bodies that are too long, and of failures."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from typing import Final

import httpx
import pytest
from psycopg.conninfo import make_conninfo

from agentmem import AsyncMemory
from agentmem.entrypoints.api.bodies import BATCH_FACTOR, SMALL_BYTES
from agentmem.features.identity.credential import new_credential
from agentmem.foundation.database.connect import ExternalServer
from agentmem.foundation.database.database import Database
from agentmem.schemas.keys import KeyEnvironment
from tests.support.api_document import document_of
from tests.support.api_matrix import ApiOperation, in_order, operations_of
from tests.support.credentials import desk_of
from tests.support.dressed import assert_dressed
from tests.support.people import account_of
from tests.support.redis_server import free_port
from tests.support.served import client, key_of, operator_key, served_by
from tests.support.stores import Store
from tests.support.tenants import operator_of
from tests.support.twins import PLACES, of_nobody, twins_in
from tests.support.walls import app_over

ORIGIN: Final = "https://console.example"
STRANGER: Final = "https://evil.example"
LONGEST: Final = 2 * SMALL_BYTES
"""What the server is told to take at most of a normal body."""
ALSO_REFUSED: Final = frozenset(
    {
        *("delete_many", "promote", "remove_installation_network", "reset_factors", "end_session_of_account"),
        "destroy_master_key",
    }
)
"""Operations that the things of the victim may not fit: one is trusted already, another is not there."""
WITHOUT_DATABASE: Final = frozenset({"health", "health_live", "health_ready", "metrics", "roles"})
"""Operations that answer whatever has become of the database."""
MAILED: Final = frozenset(
    {"register", "forgot_password", "ask_to_unlock", "verify_email", "accept_invitation", "reset_password", "unlock"}
)
"""Operations that mails are sent for, or the secrets of mails: an example of one is no secret that was ever sent."""


def by_keys(operations: dict[str, ApiOperation]) -> dict[str, ApiOperation]:
    """Give the operations that somebody with a key and the example can do; a person's own account is none of them."""
    return {name: one for name, one in operations.items() if name not in MAILED and one.permission != "account:use"}


def without_proofs(operations: dict[str, ApiOperation]) -> dict[str, ApiOperation]:
    """Give those of them that ask for no proof of a person: the example of one proves nothing."""
    return {name: one for name, one in by_keys(operations).items() if not one.path.startswith("/v1/auth/")}


@pytest.fixture(scope="session")
def operations(store: Store) -> dict[str, ApiOperation]:
    """Every operation of the server's document."""
    return operations_of(document_of(store.app))


def assert_open_to(response: httpx.Response, origin: str) -> None:
    """Check that a page of this origin may read the answer if it is listed, and may not otherwise."""
    assert response.headers.get("access-control-allow-origin") == (ORIGIN if origin == ORIGIN else None)
    assert ("access-control-expose-headers" in response.headers) == (origin == ORIGIN)


@pytest.mark.parametrize("origin", [ORIGIN, STRANGER])
async def test_every_success_is_dressed_and_open_to_listed_origins_only(
    store: Store, operations: dict[str, ApiOperation], origin: str
) -> None:
    app = replace(store.app, settings=store.app.settings.model_copy(update={"cors_origins": (ORIGIN,)}))
    async with twins_in(store, app) as twins, client(app, await operator_key(app)) as operator:
        created = await operator.post(
            "/v1/platform/organizations", json={"name": of_nobody({"name": "another"})["name"]}
        )
        ids = twins.ids | {"organization_id": created.json()["organization"]["id"]}
        ids["account_id"] = str((await account_of(app, await operator_of(app))).id)
        for operation in in_order(without_proofs(operations)):
            name = operation.operation_id
            of_operators = operation.permission in {"platform:manage", "metrics:read", "account:manage"}
            if name == "json_web_keys":  # may be kept, as its own headers say
                continue
            known = {**ids, "memory_id": str(twins.foreign.deleted)} if name in {"restore", "delete"} else ids
            answered = await operation.send(
                operator if of_operators else twins.theirs, known, headers={"Origin": origin}
            )
            assert answered.is_success or name in ALSO_REFUSED, (name, answered.text)
            assert_dressed(answered)
            assert_open_to(answered, origin)


async def parts_of(body: bytes) -> AsyncIterator[bytes]:
    """Give a body in parts, without saying how long it is."""
    for start in range(0, len(body), SMALL_BYTES):
        yield body[start : start + SMALL_BYTES]


async def test_every_route_that_takes_a_body_refuses_one_that_is_too_long(
    memory: AsyncMemory, operations: dict[str, ApiOperation]
) -> None:
    settings = memory.app.settings.model_copy(update={"cors_origins": (ORIGIN,), "max_body_bytes": LONGEST})
    app = replace(memory.app, settings=settings)
    taking = {name: one for name, one in operations.items() if one.media_type is not None}
    assert len(taking) > 15
    ids = {"memory_id": str(memory.app.caller.organization_id), "member_id": str(memory.app.caller.organization_id)}
    ids |= {
        "organization_id": ids["memory_id"],
        "webhook_id": ids["memory_id"],
        "key_id": "A" * 12,
        "request_key_id": "A" * 12,
        "policy_kind": "password",
    }
    async with client(app, await key_of(memory)) as owner, client(app, await operator_key(app)) as operator:
        for name in sorted(by_keys(taking).keys() - {"import_"}):
            one = taking[name]
            path = one.path.format(**{part: ids[part] for part in one.in_path})
            headers = {"Content-Type": str(one.media_type), "Origin": ORIGIN}
            caller = operator if one.permission in {"platform:manage", "account:manage"} else owner
            body = b" " * (BATCH_FACTOR * LONGEST + 1)
            for content in (body, parts_of(body)):
                answered = await caller.request(one.method, path, content=content, headers=headers)
                assert (answered.status_code, answered.json()["code"]) == (413, "request_too_large"), name
                assert [fault["field"] for fault in answered.json()["errors"]] == ["body"]
                assert answered.headers["connection"] == "close"
                assert_dressed(answered)
                assert_open_to(answered, ORIGIN)


@asynccontextmanager
async def behind(memory: AsyncMemory, database: Database) -> AsyncIterator[tuple[httpx.AsyncClient, httpx.AsyncClient]]:
    """Give an owner's and an operator's client of a server that lets them in and then works on another database."""
    settings = memory.app.settings.model_copy(update={"cors_origins": (ORIGIN,)})
    async with app_over(replace(memory.app, settings=settings), database) as app:
        served = replace(served_by(app), admission=desk_of(memory.app).admission)
        async with (
            client(app, await key_of(memory), served=served) as owner,
            client(app, await operator_key(memory.app), served=served) as operator,
        ):
            yield owner, operator


@pytest.mark.parametrize("what", ["unreachable", "of somebody else"])
async def test_every_failure_of_the_database_is_dressed_and_tells_nothing_of_it(
    memory: AsyncMemory, operations: dict[str, ApiOperation], what: str
) -> None:
    away = {"host": "127.0.0.1", "port": str(free_port())}
    other = away if what == "unreachable" else {"dbname": "template1"}
    server = ExternalServer(conninfo=make_conninfo(memory.app.server.conninfo, **other))
    database = Database.open(server, memory.app.database.provider, pool_size=2)
    expected = (503, "database_unavailable") if what == "unreachable" else (500, "agentmem_error")
    names = (
        "memory_id",
        "member_id",
        "organization_id",
        "job_id",
        "webhook_id",
        "delivery_id",
        "account_id",
        "invitation_id",
        "erasure_id",
        "session_id",
        "rule_id",
        "passkey_id",
    )
    ids = dict.fromkeys(names, str(memory.app.caller.organization_id))
    ids |= {
        "key_id": "A" * 12,
        "request_key_id": "A" * 12,
        "factor_kind": "totp",
        "key": new_credential(KeyEnvironment.LIVE).text,
        "kind": "users",
        "policy_kind": "password",
        **dict.fromkeys(PLACES, "somebody"),
    }
    wrong = {}
    async with behind(memory, database) as (owner, operator):
        for name in sorted(without_proofs(operations).keys() - WITHOUT_DATABASE):
            operation = operations[name]
            caller = operator if operation.permission in {"platform:manage", "account:manage"} else owner
            answered = await operation.send(caller, ids, headers={"Origin": ORIGIN})
            assert_dressed(answered)
            assert_open_to(answered, ORIGIN)
            assert "template1" not in answered.text
            assert away["port"] not in answered.text
            if (answered.status_code, answered.json().get("code")) != expected:
                wrong[name] = answered.text
            assert ("retry-after" in answered.headers) == (answered.status_code == 503)
    await database.close()

    assert wrong == {}
