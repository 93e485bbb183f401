from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from uuid import UUID, uuid4

import pytest
from standardwebhooks import Webhook as Receiver
from standardwebhooks import WebhookVerificationError

from agentmem.features.webhooks.model import (
    ENOUGH,
    GIVEN_UP,
    REST,
    WAITS,
    Health,
    event_body,
    new_key,
    ping_body,
    signed,
    standing_after,
)
from agentmem.foundation.outbound.port import Outcome
from agentmem.schemas.events import Event
from agentmem.schemas.webhooks import DeliveryState, DisabledReason

NOW = datetime.now(UTC)
TARGET = UUID("01936a5e-7b1c-7d3e-9f20-4a5b6c7d8e9f")
EVENT = Event(id=uuid4(), sequence=7, type="memory.added", at=NOW, actor="member:x", targets=[TARGET])
TAKEN, FAILED = Outcome(status=204, duration_ms=1), Outcome(error="timed_out", duration_ms=15_000)


def test_message_is_verified_by_a_library_of_the_standard() -> None:
    key, message_id = new_key(), uuid4()

    message = signed("https://hooks.example/", [key], message_id, event_body(EVENT), datetime.now(UTC))

    told = Receiver(key).verify(message.body.decode(), dict(message.headers))
    assert told["type"] == "memory.added"
    assert told["data"] == {
        "id": str(EVENT.id),
        "sequence": 7,
        "actor": "member:x",
        "targets": [str(TARGET)],
        "more_targets": 0,
    }
    assert datetime.fromisoformat(told["timestamp"]) == NOW
    assert message.headers["webhook-id"] == str(message_id)


def test_message_with_another_byte_or_key_is_not_verified() -> None:
    key = new_key()
    message = signed("https://hooks.example/", [key], uuid4(), event_body(EVENT), datetime.now(UTC))

    with pytest.raises(WebhookVerificationError):
        Receiver(key).verify(message.body.decode() + " ", dict(message.headers))
    with pytest.raises(WebhookVerificationError):
        Receiver(new_key()).verify(message.body.decode(), dict(message.headers))


def test_message_that_two_keys_sign_is_verified_by_either() -> None:
    new, old = new_key(), new_key()

    message = signed("https://hooks.example/", [new, old], uuid4(), ping_body(TARGET, NOW), datetime.now(UTC))

    assert message.headers["webhook-signature"].count("v1,") == 2
    for key in (new, old):
        assert Receiver(key).verify(message.body.decode(), dict(message.headers))["type"] == "ping"


def test_message_shows_neither_its_url_nor_its_body() -> None:
    message = signed("https://hooks.example/s3cret", [new_key()], uuid4(), b'{"a":1}', NOW)

    assert "s3cret" not in repr(message)
    assert "v1," not in repr(message)


def test_body_of_an_event_is_the_same_each_time_and_plain_json() -> None:
    assert event_body(EVENT) == event_body(EVENT)
    assert json.loads(event_body(EVENT)).keys() == {"type", "timestamp", "data"}


def test_delivery_is_tried_for_three_days_and_then_no_more() -> None:
    moment, tries = NOW, 0
    while (standing := standing_after(FAILED, tries := tries + 1, 0.0, moment)).due_at is not None:
        assert standing.state is DeliveryState.PENDING
        moment = standing.due_at

    assert (tries, standing.state, standing.ended_at) == (len(WAITS) + 1, DeliveryState.FAILED, moment)
    assert timedelta(days=3) < moment - NOW < timedelta(days=4)


def test_wait_is_up_to_a_tenth_longer_by_chance() -> None:
    assert standing_after(FAILED, 1, 1.0, NOW).due_at == NOW + WAITS[0] * 1.1


@pytest.mark.parametrize("status, state", [(200, "delivered"), (299, "delivered"), (302, "pending"), (500, "pending")])
def test_only_a_status_of_success_is_one(status: int, state: str) -> None:
    assert standing_after(Outcome(status=status, duration_ms=1), 1, 0.0, NOW).state == state


def test_receiver_that_fails_again_and_again_rests_and_is_well_after_one_success() -> None:
    health = Health()
    for _ in range(ENOUGH - 1):
        health = health.after(FAILED, NOW)
    assert health.resting_until is None

    health = health.after(FAILED, NOW)

    assert health.resting_until == NOW + REST
    assert health.failing_since == NOW
    assert health.after(TAKEN, NOW) == Health()


def test_receiver_that_is_gone_or_failed_for_days_is_given_up() -> None:
    failing = Health().after(FAILED, NOW)

    assert Health().disabled_by(Outcome(status=410, duration_ms=1), NOW) is DisabledReason.GONE
    assert failing.disabled_by(FAILED, NOW + GIVEN_UP - timedelta(seconds=1)) is None
    assert failing.disabled_by(FAILED, NOW + GIVEN_UP) is DisabledReason.FAILING
    assert Health().disabled_by(TAKEN, NOW + GIVEN_UP) is None
