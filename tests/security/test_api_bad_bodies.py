"""Bad bodies on every route that takes one: a precise problem that names the field, and nothing stored."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack, contextmanager
from dataclasses import dataclass, replace
from typing import Any, Final
from uuid import UUID, uuid4

import httpx
import pytest

from agentmem.foundation.authorization.platform import platform_id
from tests.support.api_document import Operation, document_of, operations_of
from tests.support.foreign import foreign_of
from tests.support.served import client, key_of, operator_key, served_by
from tests.support.sign_ins import gatehouse_of, person_of
from tests.support.stores import Owner, Store
from tests.support.walls import stored_of

DEEP: Final = b'{"a": ' * 40 + b"1" + b"}" * 40
TEN_MEGABYTES: Final = 10_000_000
BROKEN: Final = {
    "not JSON": (b"{", 400, "body"),
    "NaN": (b'{"a": NaN}', 400, "body"),
    "a name twice": (b'{"a": 1, "a": 2}', 400, "body"),
    "bytes that are not UTF-8": (b'{"a": "\xff"}', 400, "body"),
    "deep nesting": (DEEP, 400, "body"),
    "a long array": (b'{"a": [' + b"1," * 10_000 + b"1]}", 400, "body"),
    "a lone surrogate": (b'{"a": "\\ud800"}', 422, "body.a"),
    "an array": (b"[]", 422, "body"),
    "a text": (b'"text"', 422, "body"),
    "nothing": (b"null", 422, "body"),
}
LINES: Final = {
    "not JSON": (b"{\n", 422, "import_failed"),
    "NaN": (b'{"content": NaN}\n', 422, "import_failed"),
    "bytes that are not UTF-8": (b'"\xff"\n', 422, "import_failed"),
    "a lone surrogate": (b'"\\ud800"\n', 422, "import_failed"),
    "NUL": (b'"\\u0000"\n', 422, "import_failed"),
    "deep nesting": (b'{"content": "x", "metadata": ' + DEEP + b"}\n", 422, "import_failed"),
    "an unknown field": (b'{"content": "x", "colour": "red"}\n', 422, "import_failed"),
    "a long content": (b'"' + b"x" * TEN_MEGABYTES + b'"\n', 413, "content_too_large"),
}
PROOFS: Final = frozenset({"client_secret", "credential", "password", "present", "secret"})
"""Fields that are compared or verified, never stored as they are: any text may be one, and it proves nothing."""


@dataclass(frozen=True, kw_only=True)
class Target:
    """A route that takes a body, who may call it, and whose rows it would change."""

    operation: Operation
    api: httpx.AsyncClient
    url: str
    organizations: tuple[UUID, ...]

    async def send(self, body: bytes) -> httpx.Response:
        """Send a body as the route's own media type."""
        assert self.operation.body is not None
        headers = {"Content-Type": self.operation.body[0]}
        return await self.api.request(self.operation.method, self.url, content=body, headers=headers)

    @contextmanager
    def unchanged(self, owner: Owner) -> Iterator[None]:
        """See to it that all that a request could change is the same when the block ends."""
        before = self._stored(owner)
        yield
        assert self._stored(owner) == before, self.operation.name

    def _stored(self, owner: Owner) -> object:
        count = owner.execute("SELECT count(*) FROM agentmem.organizations").fetchall()
        rows = [stored_of(owner, organization) for organization in self.organizations]
        return count, [{**found, "audit_entries": "what was refused may be written down"} for found in rows]


@pytest.fixture
async def targets(store: Store) -> AsyncIterator[dict[str, Target]]:
    """Every route that takes a body, asked about things that are there."""
    memory = await store.organization()
    known = await foreign_of(memory, user_id="ada", content="Ada likes tea", key="first")
    gatehouse, person = gatehouse_of(store.app), await person_of(store.app)
    signed_in = await gatehouse.sign_in(person)
    keys = await key_of(memory), await operator_key(store.app), signed_in.access_token
    ids = {
        "memory_id": str(known.live),
        "member_id": str(known.member_id),
        "key_id": known.key_id,
        "webhook_id": str(known.webhook_id),
        "session_id": str(known.session_id),
        "rule_id": str(known.rule_id),
        "request_key_id": known.request_key_id,
        "passkey_id": str(known.account_id),
        "factor_kind": "totp",
        "policy_kind": "password",
        "delivery_id": str(known.delivery_id),
        "erasure_id": str(known.erasure_id),
        "organization_id": str((await store.organization()).app.caller.organization_id),
    }
    served = replace(served_by(store.app), admission=gatehouse.desk.admission)  # without rate limits
    async with AsyncExitStack() as stack:
        mine, operator, own = [await stack.enter_async_context(client(store.app, key, served=served)) for key in keys]
        found = {}
        for operation in operations_of(document_of(store.app)):
            if operation.takes_json:
                of = {"platform:manage": operator, "account:manage": operator, "account:use": own}
                found[operation.name] = Target(
                    operation=operation,
                    api=of.get(str(operation.said.get("x-agentmem-permission")), mine),
                    url=operation.path.format(**ids),
                    organizations=(known.organization_id, UUID(ids["organization_id"]), platform_id()),
                )
        assert len(found) > 15
        yield found


def wrong_fields(example: dict[str, Any]) -> Iterator[tuple[dict[str, Any], str]]:
    """Spoil an example, one field after the other, and say which field is at fault then."""
    yield {**example, "colour": "red"}, "body.colour"
    for name, value in example.items():
        yield {**example, name: 3 if isinstance(value, dict | str) else {"odd": 1}}, f"body.{name}"
        if name in PROOFS:
            continue
        if isinstance(value, str):
            yield {**example, name: "a\0b"}, f"body.{name}"
        if isinstance(value, dict):
            yield {**example, name: {"\0": "a\0b"}}, f"body.{name}"


def faults_of(answer: httpx.Response) -> list[str]:
    """Name the fields that an answer finds at fault; what a schema cannot say is told without the body's name."""
    fields = [str(fault["field"]) for fault in answer.json().get("errors", ())]
    return [field if field.startswith("body") else f"body.{field}" for field in fields]


async def assert_refused(target: Target, body: bytes, status: int, field: str) -> None:
    answer = await target.send(body)

    assert answer.status_code == status, (target.operation.name, body[:80], answer.text)
    assert answer.headers["Content-Type"] == "application/problem+json"
    assert any(fault == field or fault.startswith(f"{field}.") for fault in faults_of(answer)), (
        target.operation.name,
        body[:80],
        answer.text,
    )


async def test_body_that_is_broken_is_refused_by_every_route(targets: dict[str, Target], owner: Owner) -> None:
    for name in sorted(targets.keys() - {"import_"}):
        with targets[name].unchanged(owner):
            for body, status, field in BROKEN.values():
                await assert_refused(targets[name], body, status, field)
            if targets[name].operation.said["requestBody"].get("required"):
                await assert_refused(targets[name], b"", 400, "body")


async def test_field_that_is_wrong_is_named_by_every_route(targets: dict[str, Target], owner: Owner) -> None:
    for name in sorted(targets.keys() - {"import_"}):
        body = targets[name].operation.body
        assert body is not None
        example = body[1]
        assert isinstance(example, dict)
        with targets[name].unchanged(owner):
            for wrong, field in wrong_fields(example):
                await assert_refused(targets[name], json.dumps(wrong).encode(), 422, field)


async def test_body_of_10_mb_is_refused_by_every_route(targets: dict[str, Target], owner: Owner) -> None:
    body = json.dumps({"content": "x" * TEN_MEGABYTES}).encode()
    for name in sorted(targets.keys() - {"import_"}):
        with targets[name].unchanged(owner):
            answer = await targets[name].send(body)

        assert answer.status_code in {413, 422}, (name, answer.text)
        assert faults_of(answer), (name, answer.text)


async def test_line_that_is_wrong_is_refused_and_nothing_of_the_import_is_stored(
    targets: dict[str, Target], owner: Owner
) -> None:
    for case, (body, status, code) in LINES.items():
        with targets["import_"].unchanged(owner):
            answer = await targets["import_"].send(b'"one good line"\n' + body)

        assert (answer.status_code, answer.json()["code"]) == (status, code), (case, answer.text)
        assert answer.json()["detail"].startswith("Line 2"), (case, answer.text)


async def test_id_of_nobody_is_not_found_by_every_route_that_takes_a_body(
    targets: dict[str, Target], owner: Owner
) -> None:
    for name, target in sorted(targets.items()):
        if "{" not in target.operation.path:
            continue
        if target.operation.path.endswith("{policy_kind}"):  # no id: every organization has each of them
            continue
        unknown = {part: str(uuid4()) for part in ("memory_id", "member_id", "organization_id", "webhook_id")}
        url = target.operation.path.format(**unknown, key_id="A" * 12)
        assert target.operation.body is not None
        with target.unchanged(owner):
            answer = await target.api.request(target.operation.method, url, json=target.operation.body[1])

        assert (answer.status_code, answer.json()["code"]) == (404, "not_found"), (name, answer.text)
