"""What a server leaves beside its answers, whoever calls: metrics, log lines, shared state and exports tell nothing."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Final

import httpx
import pytest

from agentmem.foundation.state.redis import RedisState
from tests.support.api_matrix import ApiOperation, in_order, operations_of
from tests.support.logged import logged
from tests.support.patience import PATIENCE
from tests.support.redis_server import RedisServer, redis_server
from tests.support.served import served_by
from tests.support.stores import Owner, Store
from tests.support.twins import CANARY, NAMES_OF_ALL, PLACES, WALLS, Twins, standing, twins_in

TEXTS: Final = {
    **{name: f"the {CANARY} is a {name}" for name in ("content", "name", "query", "reason", "topic")},
    **{name: f"{CANARY}-{name}" for name in PLACES},
}
"""What a caller writes wherever a request has a text or an id of a scope."""
OF_OPERATORS: Final = ("platform:manage", "account:manage", "metrics:read")


@pytest.fixture(scope="module")
def redis(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RedisServer]:
    with redis_server(tmp_path_factory.mktemp("redis")) as running:
        yield running


def held_by(redis: RedisServer) -> str:
    """Give every key and value of the shared state."""
    with redis.client() as opened:
        return repr({name: opened.get(name) for name in opened.scan_iter()})


async def call_everything(
    twins: Twins, api: httpx.AsyncClient, operations: Mapping[str, ApiOperation], said: Mapping[str, str]
) -> dict[str, int]:
    """Send every operation with the victim's ids and these texts, and some that are wrong; gives their statuses."""
    statuses = {}
    for operation in in_order(operations):
        name = operation.operation_id
        ids = {**twins.ids, **said}
        if name in {"restore", "delete"}:
            ids["memory_id"] = str(twins.foreign.deleted)
        content = twins.lines(str(twins.foreign.deleted)) if name == "import_" else None
        answered = await operation.send(api, ids, content=content, headers={"Idempotency-Key": f"{name}-once"})
        statuses[name] = answered.status_code
    wrong = {"content": CANARY, "kind": CANARY, CANARY: CANARY}
    for refused in (
        await api.post("/v1/memories", json=wrong),
        await api.get("/v1/memories", params={"cursor": CANARY, "user_id": CANARY}),
        await api.get(f"/v1/{CANARY}/{twins.foreign.live}", params={"q": CANARY}),
        await api.get("/v1/me", headers={"Authorization": f"Bearer {CANARY}"}),
    ):
        assert 400 <= refused.status_code < 500
    return statuses


@pytest.mark.parametrize("walls", WALLS)
async def test_nothing_beside_the_answers_tells_what_the_victim_or_the_attacker_called(
    store: Store, owner: Owner, redis: RedisServer, walls: str
) -> None:
    state = RedisState(redis.url, timeout=PATIENCE)
    async with standing(store, owner, walls, state) as app:
        served = served_by(app)
        async with twins_in(store, app, served) as twins:
            operations = operations_of((await twins.mine.get("/openapi.json")).json())
            with logged() as log:
                theirs = await call_everything(twins, twins.theirs, operations, TEXTS)
                mine = await call_everything(twins, twins.mine, operations, {})
            own = [await twins.mine.get(path) for path in ("/v1/memories/export", "/v1/audit/export")]
            audited = await twins.theirs.get("/v1/audit/export")
    await state.aclose()

    operators = {name for name, operation in operations.items() if operation.permission in OF_OPERATORS}
    # What is to be deleted at version 1 is at another one, and what is to be trusted more is trusted already.
    refused = {**dict.fromkeys(operators, 403), "delete_many": 412, "promote": 409}
    # People prove who they are by more than a key: the examples of their secrets prove nothing.
    people = {name for name, operation in operations.items() if operation.permission in {None, "account:use"}}
    told = {name: status for name, status in theirs.items() if status >= 400 and name not in people}
    assert told == refused
    assert {name for name, status in mine.items() if status not in {403, 404}} >= {"search", "import_", "export"}
    metrics, shared = served.metrics.text().decode(), held_by(redis)
    assert "agentmem_http_requests_total" in metrics
    assert '"event": "request"' in log.getvalue()
    assert ":query:" in shared
    assert CANARY not in "".join(answer.text for answer in own)
    ids = [value for name, value in twins.ids.items() if name not in NAMES_OF_ALL]
    for seen in (metrics, log.getvalue(), shared, audited.text):
        assert CANARY not in seen
    for seen in (metrics, log.getvalue()):
        assert not [value for value in ids if value in seen]
