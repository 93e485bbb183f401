"""Verifying a password: the guess is counted, then verified outside any transaction, then forgiven if it was right."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from agentmem.errors import NotFound, Unauthenticated
from agentmem.features.identity.accounts.attempts import AttemptService
from agentmem.features.identity.accounts.model import Attempt, SignedIn
from agentmem.features.identity.accounts.throttles import Throttles
from agentmem.foundation.authorization.caller import accounts_caller
from agentmem.foundation.passwords.hashing import Passwords
from agentmem.foundation.telemetry.watchers import unheard
from agentmem.kit.networks import Address
from agentmem.schemas.policies import LockoutPolicy


@dataclass(frozen=True, kw_only=True)
class PasswordCheck:
    """Tells whether a password is an account's; ``lockout`` reads the policy that guesses are under."""

    attempts: AttemptService
    passwords: Passwords
    lockout: Callable[[], Awaitable[LockoutPolicy]]
    throttles: Throttles
    tried: Callable[[str], None] = unheard
    """Is told what became of each password."""

    async def verify(
        self,
        email: str,
        password: str,
        device: str | None = None,
        *,
        address: Address | None = None,
        request_id: str | None = None,
    ) -> SignedIn:
        """Give whose password it is; ``device`` is the token of one that has signed in before.

        Raises :class:`RateLimited` beyond the limits of the ``address`` or of all, and :class:`Unauthenticated`, the
        same for every cause and after the same work: no such account, another password, a disabled account, too many
        guesses.
        """
        await self.throttles.guess(address)
        caller = accounts_caller(request_id)
        attempt = await self.attempts.begin(caller, email, device, await self.lockout())
        hashed = self.passwords.nobodys if attempt.password is None else attempt.password.hashed
        matches = await self.passwords.matches(hashed, password)
        if not (matches and attempt.admitted):
            self.tried(_outcome(attempt))
            raise _refused()
        rehashed = await self.passwords.hash(password) if self.passwords.is_weaker(hashed) else None
        try:
            signed_in = await self.attempts.succeed(caller, attempt, rehashed)
        except NotFound:  # deleted meanwhile
            signed_in = None
        if signed_in is None:
            self.tried("refused")
            raise _refused()
        self.tried("accepted")
        return signed_in


def _outcome(attempt: Attempt) -> str:
    if attempt.account_id is None:
        return "unknown"
    return "wrong" if attempt.admitted else "refused"


def _refused() -> Unauthenticated:
    return Unauthenticated(
        "The e-mail address or the password is wrong.",
        hint="Try again later, or reset the password; after many guesses even the right one is refused for a while.",
    )
