from __future__ import annotations

import pytest

from agentmem.errors import InvalidInput
from agentmem.schemas.base import parse
from agentmem.schemas.events import fits
from agentmem.schemas.webhooks import NewWebhook, WebhookPatch


@pytest.mark.parametrize(
    "pattern, kind, fitting",
    [
        ("*", "memory.added", True),
        ("memory.*", "memory.added", True),
        ("memory.added", "memory.added", True),
        ("memory.added", "memory.deleted", False),
        ("memory.*", "member.created", False),
        ("key.*", "memory.added", False),
    ],
)
def test_pattern_fits_its_type_its_group_or_everything(pattern: str, kind: str, fitting: bool) -> None:
    assert fits(["webhook.created", pattern], kind) is fitting


@pytest.mark.parametrize("pattern", ["memory.aded", "memories.*", "memory", "mem*", "", "*.added", "ping"])
def test_type_that_no_event_has_is_refused(pattern: str) -> None:
    with pytest.raises(InvalidInput, match=r"types\.0"):
        parse(NewWebhook, {"url": "https://hooks.example/", "types": [pattern]})


def test_webhook_is_sent_every_type_unless_it_names_some() -> None:
    assert NewWebhook(url="https://hooks.example/").types == ["*"]
    with pytest.raises(InvalidInput, match="types cannot be taken away"):
        parse(WebhookPatch, {"types": None})
