"""Two organizations behind one server: with every id of one, the other gets what it would get with ids of nobody.

The requests are made of the OpenAPI document, so that a new route is attacked without being named here. Every one is
sent three times: past both walls, past row security alone, and past the conditions of the statements alone.
"""

from __future__ import annotations

import json
import re
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from uuid import UUID, uuid4

import httpx
import pytest
from fastapi.routing import APIRoute

from agentmem import AsyncMemory
from agentmem.bootstrap import App
from agentmem.entrypoints.api.routes.all import routers
from agentmem.foundation.inference.shared import SharedQueries
from agentmem.foundation.state.redis import RedisState
from agentmem.pipelines.retrieval.embeddings import QueryEmbeddings
from tests.support.api_matrix import ApiOperation, operations_of
from tests.support.operations import Foreign, foreign_of
from tests.support.redis_server import redis_server
from tests.support.served import client, key_of, served_by
from tests.support.stores import Owner, Store
from tests.support.walls import app_over, row_security_off, rows_of, unfiltered_database

CANARY = "kingfisher-canary"
NAMES = sorted(route.name for router in routers() for route in router.routes if isinstance(route, APIRoute))
WALLS = ("both walls", "no row security", "no conditions")
PASSING = re.compile(r"req_[0-9a-f]{32}|\"timings\":{[^}]*}")
"""What a response says of the request alone: its id, and how long it took."""
CREATED = frozenset({"add", "create_member", "create_api_key"})
"""What these answer is new, and so differs from one call to the next."""


@dataclass(frozen=True, kw_only=True)
class Twins:
    """The organization that is attacked, with all its ids, and the one that attacks it through the server."""

    victim: AsyncMemory
    foreign: Foreign
    theirs: httpx.AsyncClient
    mine: httpx.AsyncClient
    attacker: AsyncMemory

    @property
    def ids(self) -> dict[str, str]:
        """Every id of the victim by the name that a request has for it."""
        known = self.foreign
        return {
            "memory_id": str(known.live),
            "id": str(known.live),
            "target": str(known.live),
            "member_id": str(known.member_id),
            "key_id": known.key_id,
            "organization_id": str(known.organization_id),
            "user_id": known.user_id,
            "run_id": known.run_id,
            "actor": f"member:{known.member_id}",
            "kind": "users",
            "query": f"What does the {CANARY} sing?",
        }


def of_nobody(ids: Mapping[str, str]) -> dict[str, str]:
    """Give ids of the same forms that nobody has."""
    fresh = {value: _another(value) for value in set(ids.values())}
    return {name: value if name in {"kind", "query"} else fresh[value] for name, value in ids.items()}


def _another(value: str) -> str:
    try:
        UUID(value)
    except ValueError:
        return value[:-6] + uuid4().hex[:6]
    return str(uuid4())


@asynccontextmanager
async def standing(store: Store, owner: Owner, walls: str) -> AsyncIterator[App]:
    """Give the application with the walls that are to stand."""
    async with AsyncExitStack() as stack:
        if walls == "no row security":
            stack.enter_context(row_security_off(owner))
        if walls != "no conditions":
            yield store.app
            return
        database = await stack.enter_async_context(unfiltered_database(store.app))
        yield await stack.enter_async_context(app_over(store.app, database))


@asynccontextmanager
async def twins_in(store: Store, app: App) -> AsyncIterator[Twins]:
    """Fill two organizations, and open a client of each."""
    victim = await store.organization(f"{CANARY}-{uuid4().hex}")
    foreign = await foreign_of(victim, user_id="user-of-the-victim", content=f"the {CANARY} sings", key="shared-key")
    attacker = await store.organization()
    await attacker.add("nothing of interest", user_id="attacker")
    keys = await key_of(victim), await key_of(attacker)
    async with client(app, keys[0]) as theirs, client(app, keys[1]) as mine:
        yield Twins(victim=victim, foreign=foreign, theirs=theirs, mine=mine, attacker=attacker)


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


def lines_of(twins: Twins, memory_id: str) -> str:
    """Write a memory of the attacker's own under an id, as an import takes it."""
    exported = twins.foreign.exported().model_dump(mode="json")
    exported["versions"][0]["memory"] |= {"id": memory_id, "content": "of the attacker", "user_id": "attacker"}
    return json.dumps(exported)


async def attack(twins: Twins, operation: ApiOperation, ids: Mapping[str, str], key: str) -> httpx.Response:
    headers = {}
    if "Idempotency-Key" in operation.in_header:
        headers["Idempotency-Key"] = key
    if "If-Match" in operation.in_header and operation.in_path:
        headers["If-Match"] = '"1"'
    content = lines_of(twins, ids["memory_id"]) if operation.operation_id == "import_" else None
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
    nobody = of_nobody(twins.ids)
    without = await attack(twins, operation, nobody, "of-the-attacker")
    answered = await attack(twins, operation, twins.ids, twins.foreign.key)
    wide = await attack(twins, operation.unscoped, nobody, "wide")

    assert rows_of(owner, twins.foreign.organization_id) == before
    for response in (without, answered, wide):
        assert response.status_code < 500, response.text
        assert CANARY not in everything_in(response)
        assert twins.foreign.key_id not in everything_in(response) or operation.carries({"key_id": ""})
    assert answered.status_code == without.status_code
    if operation.in_path and operation.in_path != ("kind",):
        assert answered.status_code == (403 if operation.permission == "platform:manage" else 404)
    if operation.operation_id in {"update_many", "delete_many"}:
        assert answered.status_code == 404
    if operation.carries(twins.ids) and operation.operation_id not in CREATED:
        assert told(answered, twins.ids) == told(without, nobody)


@pytest.mark.parametrize("walls", WALLS)
@pytest.mark.parametrize("name", NAMES)
@pytest.mark.usefixtures("silent_logs")
async def test_no_request_reaches_another_organization(
    store: Store, owner: Owner, operations: dict[str, ApiOperation], name: str, walls: str
) -> None:
    async with standing(store, owner, walls) as app, twins_in(store, app) as twins:
        await attack_in_every_way(twins, owner, operations[name])


def test_every_operation_of_the_document_is_attacked(operations: dict[str, ApiOperation]) -> None:
    public = {name for name, operation in operations.items() if operation.permission is None}

    assert set(operations) - public - {"metrics"} <= set(NAMES)
    assert len(NAMES) > 50


@pytest.mark.parametrize("name", ["list", "history", "export", "audit_entries"])
async def test_without_both_walls_the_attack_would_be_noticed(
    store: Store, owner: Owner, operations: dict[str, ApiOperation], name: str
) -> None:
    async with standing(store, owner, "no conditions") as app, twins_in(store, app) as twins:
        with row_security_off(owner), pytest.raises(AssertionError):
            await attack_in_every_way(twins, owner, operations[name])


@pytest.mark.parametrize("name", ["list", "query", "audit_entries", "list_members", "list_api_keys", "entities"])
async def test_cursor_of_another_organization_gives_nothing_of_it(
    store: Store, operations: dict[str, ApiOperation], name: str
) -> None:
    async with twins_in(store, store.app) as twins:
        operation = operations[name].unscoped
        for text in ("one", "two", "three"):
            await twins.victim.add(f"{CANARY} {text}", user_id=f"user-{text}")
        page = {"kind": "users", "limit": "1"}
        first = (await replace(operation, example={"limit": 1}).send(twins.theirs, page)).json()
        assert first["next_cursor"], first
        followed = {**page, "cursor": first["next_cursor"], "limit": "100"}
        example = {"cursor": first["next_cursor"], "limit": 100}
        answered = await replace(operation, example=example).send(twins.mine, followed)

        assert answered.status_code == 200, answered.text
        assert CANARY not in everything_in(answered)
        assert not [item for item in first["items"] if json.dumps(item)[1:-1] in answered.text]


async def test_metrics_hold_neither_ids_nor_contents(store: Store, operations: dict[str, ApiOperation]) -> None:
    served = served_by(store.app)
    async with twins_in(store, store.app) as twins:
        async with client(store.app, await key_of(twins.victim), served=served) as theirs:
            for name in ("search", "list", "add", "get", "update_many", "delete"):
                await operations[name].send(theirs, twins.ids)
            await theirs.get(f"/v1/{CANARY}/{twins.foreign.live}", params={"q": CANARY})
        text = served.metrics.text().decode()

        assert "agentmem_http_requests_total" in text
        assert not [value for value in (CANARY, *twins.ids.values()) if len(value) > 8 and value in text]


async def test_what_servers_share_holds_no_contents(
    store: Store, operations: dict[str, ApiOperation], tmp_path: Path
) -> None:
    with redis_server(tmp_path) as server:
        state = RedisState(server.url)
        embeddings = QueryEmbeddings(shared=SharedQueries(state=state, keys=store.app.database.keys))
        app = replace(store.app, state=state, retrieval=replace(store.app.retrieval, embeddings=embeddings))
        async with twins_in(store, app) as twins:
            for name in ("search", "context"):
                assert (await operations[name].send(twins.theirs, twins.ids)).status_code == 200
            await embeddings.aclose()
            redis = server.client()
            kept = {key: redis.get(key) for key in redis.scan_iter()}
            redis.close()
        await state.aclose()

    assert kept
    assert CANARY not in repr(kept)
    assert twins.foreign.user_id not in repr(kept)
