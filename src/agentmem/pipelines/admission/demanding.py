"""Demanding signed requests: not of whoever could send none then."""

from __future__ import annotations

from agentmem.errors import Conflict
from agentmem.features.identity.request_keys.service import RequestKeyService
from agentmem.foundation.authorization.caller import Caller
from agentmem.schemas.policies import Policy, SigningPolicy

_FORCE = "or repeat the change with force."


async def require_signable(policy: Policy, caller: Caller, signers: RequestKeyService, public_url: str | None) -> None:
    """Raise :class:`Conflict` for a policy under which its author's own requests would be refused.

    People sign nothing, and can take it back; an API key needs a key that signs for it.
    """
    if not isinstance(policy, SigningPolicy) or not policy.required:
        return
    if public_url is None:
        raise Conflict(
            "The server could check no signature: it does not know the address that clients sign.",
            hint=f"Have AGENTMEM_PUBLIC_URL set first, {_FORCE}",
        )
    key_id = caller.api_key_id
    if key_id is not None and not await signers.of_key(caller.organization_id, key_id):
        raise Conflict(
            f"After this change nothing would be taken from the API key {key_id} itself: nothing signs for it.",
            hint=f"Make a signing key for it first, {_FORCE}",
        )
