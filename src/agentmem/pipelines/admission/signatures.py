"""Whether a request was signed by whom its API key says, and was never sent before."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Final

from agentmem.errors import InvalidSignature, StateUnavailable
from agentmem.foundation.signatures.keys import VerifyingKey
from agentmem.foundation.signatures.messages import (
    Claim,
    Message,
    check_digest,
    check_signature,
    check_time,
    read_claim,
)
from agentmem.foundation.state.port import PUBLIC, State
from agentmem.kit.clock import Clock, utc_now
from agentmem.kit.ids import OrganizationId
from agentmem.schemas.request_keys import SKEW_SECONDS

SINCE: Final = "signatures since"
"""The value that says since when the shared state remembers what was sent: it goes when all of that goes."""
_FOR_GOOD: Final = 10 * 365 * 24 * 3600.0


@dataclass(frozen=True, kw_only=True, slots=True)
class Signing:
    """Which keys may sign for an API key, by their ids, and whether one of them must."""

    keys: Mapping[str, VerifyingKey] = field(default_factory=lambda: MappingProxyType({}))
    demanded: bool = False


@dataclass(frozen=True, kw_only=True)
class Signatures:
    """Checks signatures of requests.

    A request is taken once, wherever it arrives: its nonce is kept in the shared state, once the signature was checked,
    so that strangers fill nothing. When that state does not answer, or has lost what it knew, nothing is taken that may
    have been sent before.
    """

    state: State
    clock: Clock = utc_now

    def check(self, message: Message, signing: Signing, *, body: bool) -> Claim | None:
        """Check all of a signature but the body's digest and whether it is new; ``None`` for an unsigned request.

        Raises :class:`InvalidSignature` for one that does not hold, and for none where one is demanded.
        """
        claim = read_claim(message.headers)
        if claim is None:
            if signing.demanded:
                raise InvalidSignature(
                    "The organization demands signed requests.", hint="Sign with a signing key of this API key."
                )
            return None
        key = signing.keys.get(claim.keyid)
        if key is None:
            raise InvalidSignature("The signature is by no signing key of this API key.", hint="Name one as keyid.")
        check_time(claim, self.clock().timestamp())
        check_signature(message, claim, key, body=body)
        return claim

    async def accept(self, claim: Claim, organization_id: OrganizationId, message: Message, body: bytes) -> None:
        """Take a request whose signature holds, once.

        Raises :class:`InvalidSignature` for a body that was changed and for a request that was sent before,
        :class:`StateUnavailable` when nobody knows whether it was.
        """
        check_digest(message.headers, body)
        digest = hashlib.sha256(f"{claim.keyid} {claim.nonce}".encode()).hexdigest()
        # The nonce first: were the state emptied between the two questions, the second one would tell.
        used = await self.state.once(str(organization_id), f"nonce:{digest}", b"used", seconds=2 * SKEW_SECONDS)
        if used is not None:
            raise InvalidSignature("The signature was used before.", hint="Sign each request anew.")
        if claim.created <= await self.remembers_since():
            raise StateUnavailable(
                "The server does not remember whether this signature was used.",
                hint="Sign the request anew in a second.",
                retry_after=1.0,
            )

    async def remembers_since(self) -> int:
        """Give the second since when nonces are remembered; from now on if it is not known."""
        now = int(self.clock().timestamp())
        known = await self.state.once(PUBLIC, SINCE, str(now).encode(), seconds=_FOR_GOOD)
        return now if known is None else int(known)
