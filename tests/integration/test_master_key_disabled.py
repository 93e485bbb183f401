"""A store whose master key is in a hardware module: shut when the key is disabled, whole when it is enabled again."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import replace

import pytest

from agentmem import AsyncMemory
from agentmem.errors import KeyUnavailable
from agentmem.foundation.database.known_keys import KnownKeys
from tests.support.key_services import hsm, master_key_disabled
from tests.support.stores import Store
from tests.support.walls import app_over


@pytest.fixture
async def in_module(store: Store, hsm_token: None) -> AsyncIterator[AsyncMemory]:
    """An organization whose keys are wrapped by a token of SoftHSM."""
    provider = hsm()
    await provider.describe()
    database = replace(store.app.database, provider=provider, _keys=KnownKeys())
    async with app_over(store.app, database) as app:
        yield await store.organization(app=app)
    await provider.aclose()


async def test_a_disabled_master_key_shuts_the_store_and_an_enabled_one_loses_nothing(in_module: AsyncMemory) -> None:
    added = await in_module.add("Kept by a module", user_id="alice")
    database = in_module.app.database
    with master_key_disabled():
        # What is at hand works on, until a look at any other organization is refused.
        assert (await in_module.get(added.memories[0].id)).content == "Kept by a module"
        database.forget_keys([in_module.app.caller.organization_id])
        for _ in range(2):
            with pytest.raises(KeyUnavailable, match="is disabled"):
                await in_module.get(added.memories[0].id)
        with pytest.raises(KeyUnavailable, match="is disabled"):
            await in_module.search("module", user_id="alice")
    assert (await in_module.get(added.memories[0].id)).content == "Kept by a module"


async def test_a_refusal_drops_the_keys_of_every_organization_at_once(store: Store, in_module: AsyncMemory) -> None:
    other = await store.organization(app=in_module.app)
    database, caller = in_module.app.database, in_module.app.caller
    await database.keys(other.app.caller.organization_id)
    database.forget_keys([caller.organization_id])
    assert other.app.caller.organization_id in database.known()
    with master_key_disabled():
        with pytest.raises(KeyUnavailable):
            await database.keys(caller.organization_id)
        assert database.known() == []
