"""Every operation of the API's own description, presented with every kind of key that must not open it.

An operation that is not in the tables below fails the suite: whoever adds one says what it answers.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Final
from uuid import uuid4

import httpx
import pytest
from fastapi.routing import APIRoute

from agentmem import AsyncMemory
from agentmem.entrypoints.api.application import create_routes
from agentmem.features.identity.credential import new_credential
from agentmem.foundation.authorization.caller import local_operator
from agentmem.foundation.authorization.roles import ROLES
from agentmem.schemas.access import Permission, Role
from agentmem.schemas.audit import AuditQuery
from agentmem.schemas.keys import IssuedKey, KeyEnvironment
from agentmem.schemas.webhooks import NewWebhook
from tests.support.api_document import document_of
from tests.support.credentials import Desk, desk_of
from tests.support.people import address, invitation_of
from tests.support.served import client, served_by
from tests.support.stores import Owner, Store
from tests.support.tenants import operator_of

PUBLIC: Final = frozenset(
    {
        "health", "health_live", "health_ready", "report_leak",
        "register", "verify_email", "accept_invitation", "forgot_password", "reset_password", "password_rules",
        "ask_to_unlock", "unlock", "sign_in", "refresh", "revoke", "json_web_keys", "start_sso", "finish_sso",
        "begin_factor", "show_factor", "ask_for_any_passkey", "sign_in_by_passkey", "choose_password",
    }
)  # fmt: skip
"""Operations that need no key."""
PROOFS: Final = frozenset(
    {"sign_in", "refresh", "begin_factor", "show_factor", "sign_in_by_passkey", "choose_password"}
)
"""Those of them that ask for another proof, and answer 401 to one that is not good."""
ANY_KEY: Final = frozenset({"me", "roles", "introspect"})
"""Operations that every key opens."""
PLATFORM: Final = frozenset(
    {
        "list_organizations", "create_organization", "get_organization", "limit_organization", "erase_organization",
        "suspend_organization", "resume_organization", "revive_organization", "metrics", "list_instances",
        "rotate_master_key", "list_master_keys", "destroy_master_key",
        "list_accounts", "view_account", "disable_account", "enable_account", "unlock_account", "delete_account",
        "list_sessions_of_account", "end_sessions_of_account", "end_session_of_account",
        "list_signing_keys", "rotate_signing_keys", "get_factors_of_account", "reset_factors",
        "list_installation_networks", "add_installation_network", "remove_installation_network",
        # Of people who have signed in: no key is one.
        "sign_out", "list_sessions", "end_session", "end_other_sessions",
        "get_account", "update_account", "delete_own_account", "own_password_rules", "change_password",
        "accept_own_invitation",
        "get_factors", "enrol_totp", "confirm_totp", "enrol_receiver", "confirm_receiver", "remove_factor",
        "make_recovery_codes", "ask_for_passkey", "add_passkey", "remove_passkey",
    }
)  # fmt: skip
"""Operations of the platform's operators alone: the owner of an organization is refused."""
BY_ID: Final = frozenset(
    {
        "get", "update", "delete", "history", "restore", "pin", "update_many", "delete_many", "provenance", "promote",
        "get_member", "update_member", "disable_member",
        "get_api_key", "update_api_key", "revoke_api_key", "rotate_api_key", "api_key_usage",
        "list_request_keys", "create_request_key", "revoke_request_key", "remove_network",
        "get_job", "retry_job", "discard_job",
        "get_webhook", "update_webhook", "delete_webhook", "rotate_webhook_key", "test_webhook", "list_deliveries",
        "replay_delivery", "revoke_invitation",
        "get_erasure",
    }
)  # fmt: skip
"""Operations that name a thing: one of another organization is not found."""
OWN: Final = frozenset(
    {
        "search", "query", "context", "add", "list", "delete_all", "duplicates", "stats", "import_", "export",
        "list_encryption_keys", "rotate_data_key", "erase_subject", "get_subject", "mark_subject",
        "export_subject", "apply_retention",
        "taint", "rollback",
        "entities", "usage", "organization", "update_organization", "delete_organization", "restore_organization",
        "list_members", "create_member", "list_api_keys", "create_api_key", "list_jobs",
        "audit_entries", "export_audit", "verify_audit", "doctor", "vacuum", "reembed", "info",
        "events", "list_webhooks", "create_webhook", "list_invitations", "invite", "get_policy", "set_policy",
        "list_networks", "add_network", "set_sso_secret",
    }
)  # fmt: skip
"""Operations that name nothing: they work on what is the caller's own, whatever it knows of others."""
BOUND: Final[Mapping[str, int]] = {
    **dict.fromkeys(("get", "update", "delete", "history", "restore", "pin", "update_many", "delete_many"), 404),
    "provenance": 404,
    **dict.fromkeys(("search", "query", "context", "add", "list", "delete_all", "duplicates"), 403),
    **dict.fromkeys(("stats", "import_", "export", "entities"), 403),
}
"""What a key that is bound to another user is told about memories; everything but memories is refused by 403."""
MAINTAINING: Final = frozenset(
    {"doctor", "vacuum", "reembed", "info", "promote", "taint", "rollback", "apply_retention"}
)
"""Operations of whoever looks after memories; no key that is bound to a user may."""
UNLISTED: Final = frozenset({"/docs", "/docs/errors", "/docs/assets/{name}", "/openapi.json"})
"""Routes that are not in the description: the description itself and its pages, which everybody may read."""
LAST: Final = ("erase_subject", "delete_organization", "restore_organization")
"""These come last, for a deleted organization answers nothing else."""

Document = dict[str, Any]


@dataclass(frozen=True, kw_only=True)
class Operation:
    """One operation of the description, and a request of it about the things of the victim."""

    name: str
    method: str
    path: str
    permission: str | None
    query: Mapping[str, str] = field(default_factory=dict)
    body: object = None
    content_type: str = "application/json"

    async def ask(self, api: httpx.AsyncClient, key: str | None, header: str = "Bearer {}") -> httpx.Response:
        """Send the request with a key."""
        headers = {"Content-Type": self.content_type} if self.method != "get" else {}
        if key is not None:
            headers["Authorization"] = header.format(key)
        content: dict[str, Any] = {}
        if isinstance(self.body, str):
            content["content"] = self.body
        elif self.body is not None:
            content["json"] = self.body
        return await api.request(self.method, self.path, params=self.query, headers=headers, **content)


@dataclass(frozen=True, kw_only=True)
class Scene:
    """The victim's things, and the application that is asked for them."""

    memory: AsyncMemory
    desk: Desk
    api: httpx.AsyncClient
    operations: list[Operation]

    async def answers(self, key: str | None, header: str = "Bearer {}") -> dict[str, httpx.Response]:
        """Ask for everything with one key."""
        return {one.name: await one.ask(self.api, key, header) for one in self.operations}


def operations_of(document: Document, ids: Mapping[str, str]) -> Iterator[Operation]:
    """Read the operations of a description with the examples of their bodies, and fill in the victim's ids."""
    bodies: dict[str, object] = {
        "add": {"content": "anything", "user_id": "alice"},
        "search": {"query": "anything", "scope": {"user_id": "alice"}},
        "context": {"query": "anything", "scope": {"user_id": "alice"}},
        "query": {"scope": {"user_id": "alice"}},
        "update_many": {"changes": [{"id": ids["memory_id"], "metadata": {"seen": True}}]},
        "delete_many": {"memories": [{"id": ids["memory_id"]}]},
        "import_": '{"content": "anything", "user_id": "alice"}\n',
    }
    queries: dict[str, Mapping[str, str]] = {"import_": {}, "events": {"seconds": "0"}}
    for path, item in document["paths"].items():
        for method, described in item.items():
            name, content = described["operationId"], described.get("requestBody", {}).get("content", {})
            media, said = next(iter(content.items()), ("application/json", {"example": None}))
            scoped = "user_id" in {one["name"] for one in described.get("parameters", []) if one["in"] == "query"}
            yield Operation(
                name=name,
                method=method,
                path=path.format(**ids),
                permission=described.get("x-agentmem-permission"),
                query=queries.get(name, {"user_id": "alice"} if scoped else {}),
                body=bodies.get(name, said["example"]),
                content_type=media,
            )


@pytest.fixture(scope="session")
def document(store: Store) -> Document:
    """The server's own description."""
    return document_of(store.app)


@pytest.fixture
async def scene(memory: AsyncMemory, document: Document) -> AsyncIterator[Scene]:
    desk = desk_of(memory.app)
    kept = (await memory.add("Alice drinks tea.", user_id="alice")).memories[0]
    issued = await desk.make(memory.app.caller, scopes=["memory:read"])
    hooks = memory.app.events.webhooks
    webhook = (await hooks.create(memory.app.caller, NewWebhook(url="https://hooks.example/"))).webhook
    ids = {
        "memory_id": str(kept.id),
        "member_id": str(await desk.member(memory.app.caller, Role.VIEWER)),
        "key_id": issued.api_key.id,
        "job_id": str(await memory.app.upkeep.memories.order_model(memory.app.caller, "default")),
        "webhook_id": str(webhook.id),
        "delivery_id": str((await hooks.test(memory.app.caller, webhook.id)).id),
        "erasure_id": str((await memory.app.custody.privacy.erase(memory.app.caller, "bob")).id),
        "organization_id": str(memory.app.caller.organization_id),
        "account_id": str(kept.id),
        "session_id": str(uuid4()),
        "invitation_id": str((await invitation_of(memory.app, memory.app.caller, address()))[0]),
        "rule_id": str(uuid4()),
        "request_key_id": issued.api_key.id,
        "passkey_id": str(uuid4()),
        "factor_kind": "totp",
        "kind": "users",
        "policy_kind": "password",
    }
    served = replace(served_by(memory.app), admission=desk.admission)
    async with client(memory.app, None, served=served) as api:
        found = sorted(operations_of(document, ids), key=lambda one: LAST.index(one.name) if one.name in LAST else -1)
        yield Scene(memory=memory, desk=desk, api=api, operations=found)


async def test_every_operation_is_in_the_tables(scene: Scene) -> None:
    tables = (PUBLIC, ANY_KEY, PLATFORM, BY_ID, OWN)
    names = [one.name for one in scene.operations]

    assert sorted(names) == sorted(name for table in tables for name in table), "say what the operation answers"
    assert {one.name for one in scene.operations if one.permission is None} == PUBLIC
    assert {one.name for one in scene.operations if one.permission == "any"} == ANY_KEY
    memories = {one.name for one in scene.operations if str(one.permission).startswith("memory:")}
    assert set(BOUND) == memories - MAINTAINING


def test_every_route_is_in_the_description_or_on_the_list_of_what_is_not(store: Store, document: Document) -> None:
    routes = [route for route in create_routes(served_by(store.app)).routes if isinstance(route, APIRoute)]
    described = {
        (item["operationId"], path) for path, methods in document["paths"].items() for item in methods.values()
    }

    assert len(routes) == len(create_routes(served_by(store.app)).routes), "a route that no gate stands before"
    assert {(route.name, route.path_format) for route in routes if route.path not in UNLISTED} == described
    assert {route.path for route in routes if not route.include_in_schema} == UNLISTED
    assert {route.openapi_extra["x-agentmem-permission"] for route in routes if route.path in UNLISTED} == {None}  # type: ignore[index]


def corrupted(text: str) -> str:
    """Change the last character, which belongs to the checksum."""
    return text[:-1] + ("a" if text[-1] != "a" else "b")


async def bad_keys(scene: Scene, owner: Owner) -> AsyncIterator[tuple[str, str | None, str]]:
    """Give each kind of key that opens nothing: its name, its text, and the header around it."""
    desk, caller = scene.desk, scene.memory.app.caller

    async def made(**fields: object) -> IssuedKey:
        return await desk.make(caller, **fields)

    good = str((await made()).key)
    yield "absent", None, ""
    yield "empty", "", "{}"
    yield "malformed", "amk_live_nonsense", "Bearer {}"
    yield "another scheme", good, "Basic {}"
    yield "without a scheme", good, "{}"
    yield "cut off", good[:-1], "Bearer {}"
    yield "bad checksum", corrupted(good), "Bearer {}"
    yield "unknown", new_credential(KeyEnvironment.LIVE).text, "Bearer {}"
    revoked = await made()
    await desk.issuing.revoke(caller, revoked.api_key.id, "gone")
    yield "revoked", revoked.key, "Bearer {}"
    expired = await made()
    owner.execute("UPDATE agentmem.api_keys SET expires_at = created_at WHERE key_id = %s", [expired.api_key.id])
    yield "expired", expired.key, "Bearer {}"
    yield "from another network", (await made(networks=["203.0.113.0/24"])).key, "Bearer {}"
    disabled = await desk.member(caller, Role.ADMIN)
    orphan = await made(member_id=disabled)
    await desk.members.disable(caller, disabled)
    yield "of a disabled member", orphan.key, "Bearer {}"


async def test_no_operation_opens_to_a_key_that_is_not_good(scene: Scene, owner: Owner) -> None:
    wrong: dict[tuple[str, str], object] = {}
    bodies = set()
    async for kind, key, header in bad_keys(scene, owner):
        for name, answer in (await scene.answers(key, header)).items():
            if name in PUBLIC:
                wrong.update(
                    {(kind, name): answer.status_code} if (answer.status_code == 401) != (name in PROOFS) else {}
                )
                continue
            problem = answer.json()
            seen = (answer.status_code, problem["code"], answer.headers.get("WWW-Authenticate"))
            if seen != (401, "unauthenticated", "Bearer"):
                wrong[kind, name] = seen
            bodies.add((problem["title"], problem["detail"], problem.get("hint")))

    assert wrong == {}
    assert len(bodies) == 1, "the answer tells one bad key from another"


async def test_body_of_a_stranger_is_not_read(scene: Scene) -> None:
    unread = [replace(one, body='{"broken": ') for one in scene.operations if one.method in {"post", "put", "patch"}]

    assert {one.name: (await one.ask(scene.api, None)).status_code for one in unread if one.name not in PUBLIC} == {
        one.name: 401 for one in unread if one.name not in PUBLIC
    }


async def test_key_of_another_organization_finds_nothing_of_this_one(scene: Scene, store: Store) -> None:
    other = await store.organization()
    key = str((await scene.desk.make(other.app.caller)).key)
    before = await scene.memory.stats()
    answers = {name: answer.status_code for name, answer in (await scene.answers(key)).items()}

    assert {name: answers[name] for name in BY_ID} == dict.fromkeys(BY_ID, 404)
    assert {name: answers[name] for name in PLATFORM} == dict.fromkeys(PLATFORM, 403)
    assert {name: status for name, status in answers.items() if name in OWN and status >= 300} == {}
    assert {answers[name] for name in ANY_KEY} == {200}
    assert await scene.memory.stats() == before


async def test_id_of_somebody_else_is_answered_as_one_that_nobody_has(scene: Scene, store: Store) -> None:
    other = await store.organization()
    key = str((await scene.desk.make(other.app.caller)).key)
    known = {one.name: one for one in scene.operations}
    for name in sorted(BY_ID & {"get", "history", "get_member"}):
        operation = known[name]
        foreign = await operation.ask(scene.api, key)
        identity = operation.path.split("/")[3]
        unknown = str(uuid4())
        nobody = await replace(operation, path=operation.path.replace(identity, unknown)).ask(scene.api, key)

        assert shape(foreign, identity) == shape(nobody, unknown)


def shape(answer: httpx.Response, identity: str) -> tuple[int, str]:
    """Give an answer without what differs between any two: the id that was asked for, and the request's own."""
    text = answer.text.replace(identity, "ID").replace(answer.headers["X-Request-ID"], "REQUEST")
    return answer.status_code, text


async def test_key_with_every_permission_but_the_one_that_is_asked_for_is_refused(scene: Scene) -> None:
    operator = local_operator((await operator_of(scene.memory.app)).organization_id)
    tried, wrong = set(), {}
    for role, caller in ((Role.OWNER, scene.memory.app.caller), (Role.OPERATOR, operator)):
        member = await scene.desk.member(caller, role)
        for permission in sorted(ROLES[role]):
            rest = sorted(ROLES[role] - {permission})
            lacking = str((await scene.desk.make(caller, member_id=member, scopes=rest)).key)
            for one in (one for one in scene.operations if one.permission == permission.value):
                answer = await one.ask(scene.api, lacking)
                problem = answer.json()
                tried.add(one.name)
                refused = (answer.status_code, problem["code"]) == (403, "permission_denied")
                if not refused or permission.value not in problem["detail"]:
                    wrong[role, one.name] = answer.text

    assert wrong == {}
    people = {one.name for one in scene.operations if one.permission == Permission.ACCOUNT_USE}
    assert tried == {one.name for one in scene.operations} - PUBLIC - ANY_KEY - people


async def test_use_of_a_key_for_what_it_may_not_do_is_written_down_a_few_times_a_minute(scene: Scene) -> None:
    caller = scene.memory.app.caller
    issued = await scene.desk.make(caller, scopes=[Permission.MEMORY_READ])
    headers = {"Authorization": f"Bearer {issued.key}"}
    for _ in range(12):
        answer = await scene.api.post("/v1/memories", json={"content": "Not stored."}, headers=headers)
        assert answer.status_code == 403

    query = AuditQuery(action="request.refused", limit=100)
    entries = (await scene.memory.app.audit.page(caller, query)).items
    assert len(entries) == 10
    assert {entry.outcome for entry in entries} == {"denied"}
    assert entries[0].detail["api_key"] == issued.api_key.id
    assert entries[0].detail["permission"] == "memory:write"
    assert entries[0].detail["route"] == "POST /v1/memories"


async def test_key_that_is_bound_to_another_user_reaches_nothing(scene: Scene) -> None:
    key = str((await scene.desk.make(scene.memory.app.caller, binding={"user_id": "bob"})).key)
    before = await scene.memory.stats()
    answers = {name: answer.status_code for name, answer in (await scene.answers(key)).items() if name not in PUBLIC}

    expected = {name: BOUND.get(name, 200 if name in ANY_KEY else 403) for name in answers}
    assert answers == expected
    assert await scene.memory.stats() == before


async def test_health_asks_for_no_key_and_nothing_else_is_open(scene: Scene) -> None:
    opened = {name for name, answer in (await scene.answers(None)).items() if answer.status_code != 401}

    assert opened == PUBLIC - PROOFS
