"""The first key of an organization, made once by whichever process comes first."""

from __future__ import annotations

from typing import Final

from agentmem.foundation.authorization.caller import Caller
from agentmem.pipelines.admission.issuing import Issuing
from agentmem.schemas.access import Role
from agentmem.schemas.keys import IssuedKey, NewApiKey

FIRST_NAME: Final = "first key"


async def first_key(issuing: Issuing, caller: Caller, *, role: Role = Role.OWNER) -> IssuedKey | None:
    """Make the owner of the caller's organization and its first key; ``None`` if it has had one before.

    Of several processes that start at once, one is given the key.
    """
    member_id = await issuing.members.ensure_owner(caller, role.value, role)
    return await issuing.first(caller, NewApiKey(name=FIRST_NAME, member_id=member_id))
