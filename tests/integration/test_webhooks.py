"""Webhooks: what happened is sent to those who asked, signed, again until it is taken, and to nobody else."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator
from dataclasses import replace
from datetime import timedelta

import pytest

from agentmem import AsyncMemory
from agentmem.errors import Conflict, InvalidInput, NotFound, QuotaExceeded, VersionConflict
from agentmem.features.webhooks.model import ENOUGH, GIVEN_UP, REST, WAITS
from agentmem.features.webhooks.sending import CLAIMED
from agentmem.features.webhooks.service import MOST_WEBHOOKS
from agentmem.foundation.authorization.caller import service_caller
from agentmem.foundation.outbound.guard import Destinations
from agentmem.foundation.outbound.guarded import GuardedSender
from agentmem.foundation.outbound.port import Message, Outcome
from agentmem.pipelines.events.delivering import SENT_TOGETHER
from agentmem.schemas.audit import AuditQuery
from agentmem.schemas.webhooks import DeliveryState, DisabledReason, NewWebhook, WebhookPatch
from tests.support.hooks import HERE, Hooks
from tests.support.jobs import working
from tests.support.patience import eventually
from tests.support.receiver import Receiver, receiving
from tests.support.stores import Owner


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    with receiving() as running:
        yield running


@pytest.fixture
async def hooks(memory: AsyncMemory) -> AsyncIterator[Hooks]:
    sender = GuardedSender(HERE, timeout=5)
    yield Hooks(memory, sender)
    await sender.aclose()


async def test_event_is_sent_signed_with_the_ids_and_no_content(hooks: Hooks, receiver: Receiver) -> None:
    issued = await hooks.create(receiver)
    added = (await hooks.memory.add("Ada likes green tea", user_id="ada")).memories[0]

    assert await hooks.deliver(issued.webhook.id) == 1

    (taken,) = receiver.taken
    assert issued.key is not None
    told = taken.verified(issued.key)
    assert (told["type"], told["data"]["targets"]) == ("memory.added", [str(added.id)])
    assert "tea" not in taken.body
    assert "ada" not in taken.body.lower().replace(str(hooks.caller.principal_id), "")
    assert taken.headers["webhook-id"] == told["data"]["id"]
    (delivery,) = await hooks.log(issued.webhook.id)
    assert (delivery.state, delivery.attempts[0].status) == (DeliveryState.DELIVERED, 204)


async def test_webhook_is_sent_only_what_it_asks_for(hooks: Hooks, receiver: Receiver) -> None:
    issued = await hooks.create(receiver, "memory.deleted", "key.*")
    added = (await hooks.memory.add("one")).memories[0]
    await hooks.memory.delete(added.id)

    await hooks.deliver(issued.webhook.id)

    assert [delivery.type for delivery in await hooks.log(issued.webhook.id)] == ["memory.deleted"]


async def test_job_of_a_worker_sends_what_was_relayed(hooks: Hooks, receiver: Receiver, memory: AsyncMemory) -> None:
    await hooks.create(receiver)
    works = {work.kind.name: work for work in hooks.delivering.works()}
    worker = memory.app.worker
    drains = replace(worker.drains, works={**worker.drains.works, **works})
    async with working(replace(worker, drains=drains, queues=[str(memory.app.caller.organization_id)], grace=0.0)):
        await memory.add("one")
        await hooks.relay.relay()

        async def came() -> bool:
            return len(receiver.taken) == 1

        await eventually(came)


async def test_message_that_is_not_taken_is_sent_again_under_the_same_id(
    hooks: Hooks, receiver: Receiver, owner: Owner
) -> None:
    webhook_id = (await hooks.create(receiver)).webhook.id
    receiver.statuses = [500, 302]
    await hooks.memory.add("one")

    assert await hooks.deliver(webhook_id) == 1
    hooks.take_jobs(owner)
    assert await hooks.deliver(webhook_id) == 0
    assert 0 < await hooks.due_in(owner, webhook_id) <= WAITS[0].total_seconds() * 1.1
    hooks.moved += WAITS[0] * 1.1
    assert await hooks.deliver(webhook_id) == 1
    hooks.moved += WAITS[1] * 1.1
    assert await hooks.deliver(webhook_id) == 1

    assert len(set(receiver.ids)) == 1
    assert len({taken.body for taken in receiver.taken}) == 1
    (delivery,) = await hooks.log(webhook_id)
    assert [attempt.status for attempt in delivery.attempts] == [500, 302, 204]
    assert delivery.state is DeliveryState.DELIVERED


async def test_process_that_dies_before_it_noted_leaves_the_message_to_be_sent_again(
    hooks: Hooks, receiver: Receiver, owner: Owner
) -> None:
    webhook_id = (await hooks.create(receiver)).webhook.id
    await hooks.memory.add("one")
    await hooks.relay.relay()

    class Died(Exception):
        pass

    class Dying:
        async def send(self, message: Message) -> Outcome:
            await hooks.delivering.sender.send(message)
            raise Died

        async def aclose(self) -> None:
            pass

    caller = service_caller(hooks.caller.organization_id)
    with pytest.raises(Died):
        await replace(hooks.delivering, sender=Dying()).deliver(caller, webhook_id)

    hooks.take_jobs(owner)
    assert await hooks.deliver(webhook_id) == 0  # still the dead one's
    assert 0 < await hooks.due_in(owner, webhook_id) <= CLAIMED.total_seconds()
    hooks.moved += CLAIMED
    assert await hooks.deliver(webhook_id) == 1
    assert len(receiver.ids) == 2
    assert len(set(receiver.ids)) == 1


async def test_two_at_once_send_each_message_once(hooks: Hooks, receiver: Receiver) -> None:
    webhook_id = (await hooks.create(receiver)).webhook.id
    for number in range(20):
        await hooks.memory.add(f"memory {number}")
    await hooks.relay.relay()

    sent = await asyncio.gather(hooks.deliver(webhook_id), hooks.deliver(webhook_id))

    assert sum(sent) == 20
    assert len(receiver.ids) == len(set(receiver.ids)) == 20


async def test_message_is_given_up_after_its_last_try_and_can_be_replayed(hooks: Hooks, receiver: Receiver) -> None:
    webhook_id = (await hooks.create(receiver)).webhook.id
    receiver.statuses = [503] * (len(WAITS) + 1)
    await hooks.memory.add("one")
    await hooks.deliver(webhook_id)
    for wait in WAITS:
        hooks.moved += wait * 1.1 + REST
        await hooks.deliver(webhook_id)
    (failed,) = await hooks.log(webhook_id)
    assert (failed.state, len(failed.attempts)) == (DeliveryState.FAILED, len(WAITS) + 1)

    again = await hooks.service.replay(hooks.caller, webhook_id, failed.id)
    hooks.moved += REST
    await hooks.deliver(webhook_id)

    assert (again.state, again.id) == (DeliveryState.PENDING, failed.id)
    (delivered,) = await hooks.log(webhook_id)
    assert (delivered.state, len(delivered.attempts)) == (DeliveryState.DELIVERED, len(WAITS) + 2)
    assert len(set(receiver.ids)) == 1


async def test_failing_receiver_rests_and_is_tried_with_one_message(hooks: Hooks, receiver: Receiver) -> None:
    webhook_id = (await hooks.create(receiver)).webhook.id
    receiver.statuses = [500] * SENT_TOGETHER
    for number in range(12):
        await hooks.memory.add(f"memory {number}")
    assert await hooks.deliver(webhook_id) == SENT_TOGETHER >= ENOUGH

    hooks.moved += timedelta(seconds=30)
    assert await hooks.deliver(webhook_id) == 0
    receiver.statuses = [500]
    hooks.moved += REST
    assert await hooks.deliver(webhook_id) == 1
    hooks.moved += REST + WAITS[1] * 1.1
    await hooks.deliver(webhook_id)

    assert len(set(receiver.ids)) == 12
    assert {delivery.state for delivery in await hooks.log(webhook_id)} == {DeliveryState.DELIVERED}


async def test_receiver_that_stalls_holds_up_no_other(hooks: Hooks, receiver: Receiver) -> None:
    with receiving() as stalling:
        stalling.hold.clear()
        slow = (await hooks.create(stalling)).webhook.id
        quick = (await hooks.create(receiver)).webhook.id
        await hooks.memory.add("one")
        await hooks.relay.relay()
        stalled = asyncio.create_task(hooks.deliver(slow))

        assert await hooks.deliver(quick) == 1

        assert not stalled.done()
        stalling.hold.set()
        assert await stalled == 1


async def test_receiver_that_says_it_is_gone_is_sent_nothing_more(hooks: Hooks, receiver: Receiver) -> None:
    webhook_id = (await hooks.create(receiver)).webhook.id
    receiver.statuses = [410]
    await hooks.memory.add("one")
    await hooks.deliver(webhook_id)
    await hooks.memory.add("two")

    assert await hooks.deliver(webhook_id) == 0

    webhook = await hooks.service.get(hooks.caller, webhook_id)
    assert (webhook.enabled, webhook.disabled_reason) == (False, DisabledReason.GONE)
    entries = (await hooks.memory.app.audit.page(hooks.caller, AuditQuery(action="webhook.disabled"))).items
    assert [(entry.actor, entry.targets) for entry in entries] == [("service", [webhook_id])]
    assert [delivery.state for delivery in await hooks.log(webhook_id)] == [DeliveryState.FAILED]


async def test_receiver_that_fails_for_days_is_disabled_and_can_be_enabled_again(
    hooks: Hooks, receiver: Receiver
) -> None:
    webhook_id = (await hooks.create(receiver)).webhook.id
    receiver.statuses = [500, 500]
    await hooks.memory.add("one")
    await hooks.deliver(webhook_id)
    hooks.moved += GIVEN_UP
    await hooks.deliver(webhook_id)
    assert (await hooks.service.get(hooks.caller, webhook_id)).disabled_reason is DisabledReason.FAILING
    with pytest.raises(Conflict):
        await hooks.service.test(hooks.caller, webhook_id)

    enabled = await hooks.service.update(hooks.caller, webhook_id, WebhookPatch(enabled=True))
    assert (enabled.enabled, enabled.disabled_reason, enabled.failing_since) == (True, None, None)
    await hooks.memory.add("two")
    assert await hooks.deliver(webhook_id) == 1


async def test_ping_is_sent_to_test_a_webhook(hooks: Hooks, receiver: Receiver) -> None:
    issued = await hooks.create(receiver, "key.*")
    asked = await hooks.service.test(hooks.caller, issued.webhook.id)

    await hooks.deliver(issued.webhook.id)

    (taken,) = receiver.taken
    assert issued.key is not None
    told = taken.verified(issued.key)
    assert (told["type"], told["data"]) == ("ping", {"webhook_id": str(issued.webhook.id)})
    assert taken.message_id == str(asked.message_id)


async def test_old_key_signs_beside_the_new_one_until_its_time_is_over(hooks: Hooks, receiver: Receiver) -> None:
    old = await hooks.create(receiver)
    new = await hooks.service.rotate(hooks.caller, old.webhook.id, 3600)
    await hooks.memory.add("one")
    await hooks.deliver(old.webhook.id)
    hooks.moved += timedelta(seconds=3601)
    await hooks.memory.add("two")
    await hooks.deliver(old.webhook.id)

    first, second = receiver.taken
    assert old.key is not None
    assert new.key is not None
    assert first.verified(old.key) == first.verified(new.key)
    assert second.headers["webhook-signature"].count("v1,") == 1
    assert (await hooks.service.get(hooks.caller, old.webhook.id)).old_key_until is None


async def test_address_that_is_not_public_is_refused_when_it_is_named(memory: AsyncMemory) -> None:
    service = memory.app.events.webhooks
    for url in ("http://hooks.example/", "https://127.0.0.1/", "https://[::1]/", "https://169.254.169.254/"):
        with pytest.raises(InvalidInput, match="url"):
            await service.create(memory.app.caller, NewWebhook(url=url))


async def test_name_that_leads_inside_is_refused_when_it_is_sent_to(hooks: Hooks, receiver: Receiver) -> None:
    webhook_id = (await hooks.create(receiver)).webhook.id
    await hooks.memory.add("one")
    await hooks.relay.relay()
    guarded = replace(hooks.delivering, sender=GuardedSender(Destinations(http=True)))

    await guarded.deliver(service_caller(hooks.caller.organization_id), webhook_id)

    assert receiver.taken == []
    (delivery,) = await hooks.log(webhook_id)
    assert [attempt.error for attempt in delivery.attempts] == ["address_refused"]


async def test_webhook_is_changed_at_its_version_and_deleted_with_its_log(hooks: Hooks, receiver: Receiver) -> None:
    webhook = (await hooks.create(receiver)).webhook
    with pytest.raises(VersionConflict):
        await hooks.service.update(hooks.caller, webhook.id, WebhookPatch(description="x"), if_version=7)
    changed = await hooks.service.update(hooks.caller, webhook.id, WebhookPatch(description="x", types=["key.*"]))
    assert (changed.version, changed.description, changed.types, changed.url) == (2, "x", ["key.*"], receiver.url)
    asked = await hooks.service.test(hooks.caller, webhook.id)

    await hooks.service.delete(hooks.caller, webhook.id)

    assert await hooks.deliver(webhook.id) == 0
    with pytest.raises(NotFound):
        await hooks.service.replay(hooks.caller, webhook.id, asked.id)
    assert (await hooks.service.page(hooks.caller)).items == []


async def test_disabling_the_last_webhook_ends_the_writing_of_events(
    hooks: Hooks, receiver: Receiver, owner: Owner
) -> None:
    def subscribed() -> object:
        statement = "SELECT subscribed FROM agentmem.event_streams WHERE organization_id = %s"
        return owner.execute(statement, [hooks.caller.organization_id]).fetchone()

    first, second = (await hooks.create(receiver)).webhook, (await hooks.create(receiver)).webhook
    await hooks.service.update(hooks.caller, first.id, WebhookPatch(enabled=False))
    assert subscribed() == (True,)
    await hooks.service.delete(hooks.caller, second.id)
    assert subscribed() == (False,)
    await hooks.service.update(hooks.caller, first.id, WebhookPatch(enabled=True))
    assert subscribed() == (True,)


async def test_log_is_kept_for_its_time(hooks: Hooks, receiver: Receiver) -> None:
    webhook_id = (await hooks.create(receiver)).webhook.id
    await hooks.memory.add("one")
    await hooks.deliver(webhook_id)

    assert await hooks.service.forget(hooks.caller, timedelta(days=30)) == 0
    hooks.moved += timedelta(days=31)
    assert await hooks.service.forget(hooks.caller, timedelta(days=30)) == 1
    assert await hooks.log(webhook_id) == []


async def test_log_comes_in_pages_the_newest_first(hooks: Hooks, receiver: Receiver) -> None:
    webhook_id = (await hooks.create(receiver)).webhook.id
    asked = [(await hooks.service.test(hooks.caller, webhook_id)).id for _ in range(3)]

    first = await hooks.service.deliveries(hooks.caller, webhook_id, None, 2)
    rest = await hooks.service.deliveries(hooks.caller, webhook_id, first.next_cursor, 2)

    assert [item.id for item in (*first.items, *rest.items)] == asked[::-1]
    assert rest.next_cursor is None


async def test_organization_has_a_bounded_number_of_webhooks(hooks: Hooks, receiver: Receiver) -> None:
    for _ in range(MOST_WEBHOOKS):
        await hooks.create(receiver)
    with pytest.raises(QuotaExceeded):
        await hooks.create(receiver)


async def test_address_description_and_keys_are_sealed_at_rest(hooks: Hooks, owner: Owner) -> None:
    new = NewWebhook(url="https://canary.example/in?token=canary", description="canary")
    issued = await hooks.service.create(hooks.caller, new)
    await hooks.service.test(hooks.caller, issued.webhook.id)
    rows = [
        owner.execute(f"SELECT t::text FROM agentmem.{table} t WHERE organization_id = %s", [
            hooks.caller.organization_id
        ]).fetchall()
        for table in ("webhooks", "webhook_deliveries", "audit_entries", "jobs")
    ]  # fmt: skip

    assert all(rows)
    assert issued.key is not None
    for secret in (b"canary", issued.key.encode(), issued.key.removeprefix("whsec_").encode()):
        assert secret.decode() not in repr(rows)
        assert secret.hex() not in repr(rows)
    assert "whsec_" not in repr(issued)
