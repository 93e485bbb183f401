"""What a caller could know of another organization: ids, places, prepared writes."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any
from uuid import UUID

import numpy as np
from numpy.typing import NDArray

from agentmem import AsyncMemory
from agentmem.bootstrap import App
from agentmem.features.identity.accounts.model import Letter, MailPurpose
from agentmem.features.identity.sessions.model import Device, Opening
from agentmem.features.identity.sessions.service import Opened, SessionService
from agentmem.features.identity.signing.service import SigningKeyService
from agentmem.features.memories.index_reading import Candidates, Nearest
from agentmem.features.memories.jobs import EMBED
from agentmem.features.memories.model import PreparedMemory, StoredVersion
from agentmem.features.memories.near_duplicates import AlikePair
from agentmem.features.memories.searching import Query, Ranking, Words
from agentmem.features.memories.transfer import StoredMemory
from agentmem.foundation.authorization.caller import Caller, Permission
from agentmem.foundation.jobs.queue import enqueue
from agentmem.kit.ids import AccountId, MemoryId, OrganizationId, Place, PrincipalId, SessionId, uuid7
from agentmem.pipelines.ingestion.pipeline import Draft
from agentmem.pipelines.retrieval.query import parse_query
from agentmem.schemas.accounts import Account
from agentmem.schemas.keys import NewApiKey
from agentmem.schemas.memories import ExportedMemory, ExportedVersion, NewMemory, OnDuplicate, Scope
from agentmem.schemas.networks import NetworkList, NewNetworkRule
from agentmem.schemas.organizations import Member, NewMember
from agentmem.schemas.policies import SessionPolicy
from agentmem.schemas.request_keys import NewRequestKey
from agentmem.schemas.webhooks import NewWebhook
from tests.support.people import address, invitation_of, letters_to, member_with_account

HOOK = "https://hooks.example/"
Call = Callable[[Any, Caller, "Foreign"], Awaitable[object]]


class GraspingRanking:
    """A ranking that asks for these places whatever was found, and wants all of them, whatever can be read of them."""

    def __init__(self, places: NDArray[np.int64]) -> None:
        self._places = places

    def weigh(self, words: Words) -> None:
        assert words.statistics.model

    def shortlist(self, nearest: Nearest | None, *, sifted: bool) -> NDArray[np.int64]:
        assert nearest is not None
        assert not sifted
        return self._places

    def is_starved(self, candidates: Candidates) -> bool:
        return candidates.places is None

    def order(self, candidates: Candidates) -> Sequence[int]:
        return [*self._places.tolist(), *candidates.places.tolist()]


@dataclass(frozen=True, kw_only=True)
class Foreign:
    """What a caller could know of another organization, and something prepared to write."""

    model: str
    user_id: str
    agent_id: str
    run_id: str
    app_id: str
    key: str
    organization_id: OrganizationId
    member: Member
    key_id: str
    job_id: UUID
    webhook_id: UUID
    delivery_id: UUID
    rule_id: UUID
    request_key_id: str
    account: Account
    opened: Opened
    device: str
    letters: Mapping[MailPurpose, Letter]
    invitation_id: UUID
    invitation_secret: str
    erasure_id: UUID
    live: MemoryId
    deleted: MemoryId
    places: list[Place]
    versions: list[StoredVersion]
    entries: list[UUID]
    prepared: PreparedMemory
    query: str
    vector: np.ndarray[Any, np.dtype[np.float32]]

    @property
    def member_id(self) -> UUID:
        return self.member.id

    @property
    def session_id(self) -> SessionId:
        return self.opened.session.session_id

    @property
    def account_id(self) -> AccountId:
        return AccountId(self.account.id)

    @property
    def latest(self) -> list[StoredVersion]:
        return list({version.record.id: version for version in self.versions}.values())

    @property
    def scope(self) -> Scope:
        return Scope(user_id=self.user_id)

    @property
    def seen(self) -> list[tuple[StoredVersion, PreparedMemory]]:
        return [(version, self.prepared) for version in self.versions]

    @property
    def alike(self) -> list[AlikePair]:
        keys = [(version.record.id, version.record.version) for version in self.versions]
        return [AlikePair(first=first, second=second, similarity=1.0) for first in keys for second in keys]

    @property
    def asked(self) -> Query:
        terms = parse_query(self.query, self.versions[0].record.created_at).terms
        return Query(terms=list(terms), model=self.model, pooled=self.vector)

    @property
    def ranking(self) -> Ranking:
        return GraspingRanking(np.array(self.places, np.int64))

    def exported(self) -> ExportedMemory:
        record = next(version.record for version in self.versions if version.record.id == self.live)
        version = ExportedVersion(change="added", changed_by="local", memory=record.model_copy(update={"version": 1}))
        return ExportedMemory(thread=1, versions=[version])


async def foreign_of(memory: AsyncMemory, *, user_id: str, content: str, key: str) -> Foreign:
    """Fill an organization with memories of every state, and gather what could be known of it."""
    app = memory.app
    live, gone = await _changed_and_deleted(memory, user_id, content, key)
    stored = await app.transfer.stored.read(app.caller, Scope(), -1, 100)
    draft = Draft(new=NewMemory(content=content, user_id=user_id), thread=1, on_duplicate=OnDuplicate.RETURN)
    (prepared,) = await app.ingestion.prepare_or_defer(app.caller, [draft])
    assert prepared.vector is not None
    versions = _versions_of(stored)
    member = await app.members.create(app.caller, NewMember(name=content))
    issued = await app.issuing.create(app.caller, NewApiKey(name=content, scopes=[Permission.MEMORY_READ]))
    signer = await app.issuing.add_signer(app.caller, issued.api_key.id, NewRequestKey(name=content))
    job_id = await app.upkeep.memories.order_model(app.caller, content)
    async with app.database.transaction(app.caller) as tx:
        await enqueue(tx, EMBED, {"text": content})
    webhook_id, delivery_id = await _tested_webhook(app, content)
    # The trail is searched by a member and a memory together: something that the one did to the other is to be found.
    await app.audit.note_read(replace(app.caller, principal_id=PrincipalId(f"member:{member.id}")), [live])
    account, device = await member_with_account(app, content)
    invitation_id, invitation_secret = await invitation_of(app, app.caller, address())
    return Foreign(
        model=app.models.current.model,
        agent_id="secret-agent",
        run_id="secret-run",
        app_id="secret-app",
        user_id=user_id,
        key=key,
        organization_id=app.caller.organization_id,
        member=member,
        key_id=issued.api_key.id,
        job_id=job_id,
        webhook_id=webhook_id,
        delivery_id=delivery_id,
        request_key_id=signer.request_key.id,
        rule_id=(await app.networks.add(app.caller, rule(content))).id,
        account=account,
        opened=await _opened_session(app, account),
        device=device,
        letters=await letters_to(app, app.caller, account),
        invitation_id=invitation_id,
        invitation_secret=invitation_secret,
        erasure_id=(await app.custody.privacy.erase(app.caller, f"forgotten {content}")).id,
        live=live,
        deleted=gone,
        places=sorted({version.place for version in versions}),
        versions=versions,
        entries=[entry.id for entry in await app.audit.read(app.caller, None, 1000)],
        prepared=prepared,
        query=content,
        vector=prepared.vector,
    )


async def _changed_and_deleted(memory: AsyncMemory, user_id: str, content: str, key: str) -> tuple[MemoryId, MemoryId]:
    """Make two memories, change the one and delete the other, and give their ids."""
    new = NewMemory(
        content=content,
        user_id=user_id,
        agent_id="secret-agent",
        run_id="secret-run",
        app_id="secret-app",
        metadata={"first": content},
    )
    live = (await memory.add(new, idempotency_key=key)).memories[0]
    gone = (await memory.add([{"role": "user", "name": content, "content": content}], user_id=user_id)).memories[0]
    await memory.update(live.id, metadata={"changed": content})
    await memory.delete(gone.id)
    return MemoryId(live.id), MemoryId(gone.id)


async def _opened_session(app: App, account: Account) -> Opened:
    """Open a session of an account, and make the key that signs its tokens."""
    caller = replace(app.caller, account_id=AccountId(account.id))
    opening = Opening(
        organization_id=caller.organization_id, member_id=uuid7(), methods=("pwd",), level="aal1", device=Device()
    )
    await SigningKeyService(database=app.database).ensure(caller)
    return await SessionService(database=app.database).open(caller, opening, SessionPolicy())


async def _tested_webhook(app: App, description: str) -> tuple[UUID, UUID]:
    """Make a webhook with a delivery, and give the ids of both."""
    hooks = app.events.webhooks
    webhook = (await hooks.create(app.caller, NewWebhook(url=HOOK, description=description))).webhook
    return webhook.id, (await hooks.test(app.caller, webhook.id)).id


def rule(reason: str) -> NewNetworkRule:
    """Make a rule that refuses a network nobody asks from."""
    return NewNetworkRule(network="192.0.2.0/24", list=NetworkList.DENY, reason=reason)


def _versions_of(stored: Sequence[StoredMemory]) -> list[StoredVersion]:
    return [
        StoredVersion(
            record=version.memory, place=Place(item.place), change=version.change, changed_by=version.changed_by
        )
        for item in stored
        for version in item.exported.versions
    ]
