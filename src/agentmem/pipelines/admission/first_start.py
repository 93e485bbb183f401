"""The first key of an organization, made once by whichever process comes first."""

from __future__ import annotations

from typing import Final

from agentmem.foundation.authorization.caller import Caller
from agentmem.pipelines.admission.issuing import Issuing
from agentmem.schemas.access import Role
from agentmem.schemas.keys import IssuedKey, NewApiKey

FIRST_NAME: Final = "first key"
NEVER_SHOWN: Final = "never shown: the request that made it was cut off"
MOST_UNSEEN: Final = 100


async def first_key(issuing: Issuing, caller: Caller, *, role: Role = Role.OWNER) -> IssuedKey | None:
    """Make the owner of the caller's organization and its first key; ``None`` if it has had one before.

    Of several processes that start at once, one is given the key.
    """
    member_id = await issuing.members.ensure_owner(caller, role.value, role)
    return await issuing.first(caller, NewApiKey(name=FIRST_NAME, member_id=member_id))


async def first_key_again(issuing: Issuing, caller: Caller) -> IssuedKey:
    """Make the first key of an organization whose making was cut off, and end those that nobody has seen."""
    member_id = await issuing.members.ensure_owner(caller, Role.OWNER.value, Role.OWNER)
    unseen = (await issuing.keys.page(caller, None, MOST_UNSEEN)).items
    issued = await issuing.create(caller, NewApiKey(name=FIRST_NAME, member_id=member_id))
    for key in unseen:
        await issuing.revoke(caller, key.id, NEVER_SHOWN)
    return issued
