"""The unwrapped keys of organizations that a process holds: a bounded number of them, each for five minutes."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Final

from agentmem.errors import KeyUnavailable
from agentmem.foundation.encryption.keyring import OrganizationKeys
from agentmem.foundation.encryption.seal import SealingKey
from agentmem.foundation.resilience.deadline import deadline
from agentmem.kit.cache import Cache
from agentmem.kit.ids import OrganizationId

KEPT_KEYS: Final = 4096
"""Organizations whose unwrapped keys a process holds."""
KEPT_SUBJECT_KEYS: Final = 65_536
"""Names of unwrapped keys of subjects, two for each."""
KEPT_KEYS_SECONDS: Final = 300.0
"""For how long: after it the key provider is asked again, which may have been told to unwrap them no more."""

Load = Callable[[OrganizationId], Awaitable[OrganizationKeys]]


class KnownKeys:
    """Unwrapped keys by organization; those who ask for the same at once share one unwrapping."""

    def __init__(self) -> None:
        self._kept: Cache[OrganizationId, OrganizationKeys] = Cache(capacity=KEPT_KEYS, seconds=KEPT_KEYS_SECONDS)
        self.subjects: Cache[tuple[OrganizationId, bytes], SealingKey] = Cache(
            capacity=KEPT_SUBJECT_KEYS, seconds=KEPT_KEYS_SECONDS
        )
        """Keys of subjects: each by its subject, and by the header of what it sealed."""
        self._loading: dict[OrganizationId, asyncio.Task[OrganizationKeys]] = {}

    async def find(self, organization_id: OrganizationId, load: Load) -> OrganizationKeys:
        """Give the keys that are at hand, or load them; raises what ``load`` does.

        When the provider says that a master key may not be used, all that was unwrapped is forgotten at once.
        """
        kept = self._kept.get(organization_id)
        if kept is not None:
            return kept
        loading = self._loading.get(organization_id)
        if loading is None:
            with deadline(None):  # others may wait for it too, for longer than this request
                loading = self._loading[organization_id] = asyncio.create_task(self._load(organization_id, load))
            loading.add_done_callback(_hear)
        return await asyncio.shield(loading)

    def get(self, organization_id: OrganizationId) -> OrganizationKeys | None:
        """Give the keys that are at hand."""
        return self._kept.get(organization_id)

    def put(self, keys: OrganizationKeys) -> None:
        """Keep keys that were just unwrapped."""
        self._kept.put(keys.organization_id, keys)

    def drop(self, organization_id: OrganizationId) -> None:
        """Forget an organization's keys, those too that are being unwrapped."""
        self._loading.pop(organization_id, None)
        self._kept.drop(organization_id)

    def clear(self) -> None:
        """Forget every key."""
        self._loading.clear()
        self.subjects.clear()
        self._kept.clear()

    def names(self) -> list[OrganizationId]:
        """Name the organizations whose keys are at hand."""
        return self._kept.keys()

    async def _load(self, organization_id: OrganizationId, load: Load) -> OrganizationKeys:
        try:
            keys = await load(organization_id)
        except KeyUnavailable:
            self.clear()
            raise
        finally:
            # Not if they were dropped meanwhile: what was read may be what is no more.
            undisturbed = self._loading.get(organization_id) is asyncio.current_task()
            if undisturbed:
                del self._loading[organization_id]
        if undisturbed:
            self.put(keys)
        return keys


def _hear(task: asyncio.Task[OrganizationKeys]) -> None:
    """Take note of how a look ended that nobody waits for any more."""
    if not task.cancelled():
        task.exception()
