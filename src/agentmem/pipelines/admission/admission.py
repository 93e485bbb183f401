"""Admission: the only way from a credential to a :class:`Caller`."""

from __future__ import annotations

import asyncio
import hmac
import secrets
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from time import monotonic
from typing import Final, NoReturn
from uuid import UUID, uuid4

from agentmem.errors import NotFound, Overloaded, Unauthenticated
from agentmem.features.identity.credential import Credential, read_credential
from agentmem.features.identity.model import StoredKey
from agentmem.features.identity.service import ApiKeyService
from agentmem.features.organizations.members import MemberService
from agentmem.foundation.authorization.caller import Caller, Permission
from agentmem.foundation.database.database import Database
from agentmem.foundation.encryption.index import IndexKeys
from agentmem.foundation.encryption.secret import KEY_BYTES, SecretKey
from agentmem.foundation.ledger.audit import Outcome, origin_of, write_audit_entry
from agentmem.foundation.resilience.bulkhead import Bulkhead
from agentmem.foundation.resilience.deadline import deadline
from agentmem.foundation.state import port
from agentmem.foundation.state.charging import require_allowed, tightest
from agentmem.foundation.state.port import PUBLIC, Level, Quota, State
from agentmem.kit.cache import Cache
from agentmem.kit.clock import Clock, utc_now
from agentmem.kit.ids import OrganizationId
from agentmem.kit.networks import Address, network_of
from agentmem.pipelines.admission.metering import Meter
from agentmem.pipelines.admission.quotas import RateLimits, again, beyond
from agentmem.pipelines.admission.standing import Holder, holder_of, members_of
from agentmem.schemas.access import Role

FRESH_SECONDS: Final = 0.75
"""How long a looked-up key is believed, from before the look: the bound on a revocation whose message was lost."""
REVOKED: Final = "revoked"
"""The channel on which revoked keys are named, several with a space between them."""
_SCHEME: Final = "bearer "
_MOST_KNOWN: Final = 10_000
LOOKUPS: Final = 4
"""Keys that are looked up at once where nothing else is said: whoever shows many leaves connections to the others."""
_WAITING_LOOKUPS: Final = 1024
_NOTED_REFUSALS: Final = 10


@dataclass(frozen=True, kw_only=True, slots=True)
class Presented:
    """What a request brings to be admitted; ``address`` is its sender's, behind the proxies that are trusted."""

    authorization: str | None = field(repr=False)
    address: Address
    request_id: str
    levels: tuple[Level, ...] = ()
    """What its address was charged already."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Admitted:
    """Who was admitted, with what is left of its quotas."""

    caller: Caller
    admission: port.Admission
    quotas: tuple[Quota, ...]
    cost: int
    member_id: UUID
    role: Role
    expires_at: datetime


@dataclass(frozen=True, kw_only=True, slots=True)
class _Known:
    """What was found of a key, and until when it is believed; nobody holds an unknown one."""

    holder: Holder | None
    until: float


class Admission:
    """Authenticates API keys and charges their quotas.

    What was looked up is believed for 0.75 seconds, counted from before the look, in every process for itself; messages
    of revocations only make it quicker. Nothing is written here.
    """

    def __init__(
        self,
        *,
        keys: ApiKeyService,
        members: MemberService,
        database: Database,
        state: State,
        limits: RateLimits,
        meter: Meter,
        failed: Callable[[str], None] = lambda _reason: None,
        limited: Callable[[str], None] = lambda _dimension: None,
        lookups: int = LOOKUPS,
        clock: Clock = utc_now,
        ticks: Callable[[], float] = monotonic,
    ) -> None:
        """Make an admission; ``ticks`` gives seconds, ``lookups`` is how many keys are looked up at once.

        ``failed`` is called with a word for each failure, ``limited`` with the limit that refused a request.
        """
        self.meter = meter
        self._keys = keys
        self._members = members
        self._database = database
        self._state = state
        self._limits = limits
        self._failed = failed
        self._limited = limited
        self._clock = clock
        self._ticks = ticks
        self._known: Cache[str, _Known] = Cache(capacity=_MOST_KNOWN, seconds=FRESH_SECONDS, clock=ticks)
        self._lookups = Bulkhead(most=lookups, waiting=_WAITING_LOOKUPS)
        self._looking: dict[str, asyncio.Task[_Known]] = {}
        self._nobody = IndexKeys(
            organization_id=OrganizationId(uuid4()), secret=SecretKey(bytearray(secrets.token_bytes(KEY_BYTES)))
        )

    async def admit(self, presented: Presented, cost: int) -> Admitted:
        """Authenticate, charge the quotas, and give the caller.

        Raises :class:`Unauthenticated` with one message for every cause, :class:`OrganizationSuspended`,
        :class:`RateLimited`.
        """
        holder = await self._authenticate(presented)
        key, caller = holder.key, holder.caller
        quotas = self._limits.of_request(
            key_id=key.key_id,
            organization_id=str(caller.organization_id),
            key_limit=key.requests_per_minute,
            organization_limit=caller.limits.requests_per_minute,
        )
        admission = await self._charge(str(caller.organization_id), quotas, cost, presented.levels)
        holder.require_active()
        return Admitted(
            caller=replace(caller, request_id=presented.request_id),
            admission=admission,
            quotas=quotas,
            cost=cost,
            member_id=key.member_id,
            role=holder.role,
            expires_at=key.expires_at,
        )

    async def readmit(self, presented: Presented) -> Caller:
        """Give the caller of a request that was admitted as it stands now, and charge nothing; raises as :meth:`admit`.

        Long requests ask this before each of their operations, so that they end within a second of their key.
        """
        holder = await self._authenticate(presented)
        holder.require_active()
        return replace(holder.caller, request_id=presented.request_id)

    async def admit_address(self, address: Address, cost: int) -> port.Admission:
        """Charge any request to its address, before it is known who asks; raises :class:`RateLimited`."""
        return await self._charge(network_of(address), self._limits.of_address(address), cost)

    async def admit_stranger(self, address: Address, cost: int, levels: tuple[Level, ...] = ()) -> port.Admission:
        """Charge a request that needs no key as a failure of its address would be; raises :class:`RateLimited`.

        ``levels`` is what the address was charged already.
        """
        return await self._charge(PUBLIC, self._limits.of_failure(address), cost, levels)

    async def charge_more(self, admitted: Admitted, units: int) -> port.Admission:
        """Charge an admitted request for what it turned out to be, to its key and organization.

        Raises :class:`RateLimited` that says after how long the whole request passes.
        """
        more = beyond(admitted.quotas, admitted.cost, units)
        if not more:
            return admitted.admission
        taken = again(
            await self._state.take(str(admitted.caller.organization_id), admitted.quotas, more), admitted.cost
        )
        of_address = [level for level in admitted.admission.levels if level.quota not in admitted.quotas]
        return self._allowed(replace(taken, levels=(*of_address, *taken.levels)))

    async def pace(self, admitted: Admitted, units: int) -> None:
        """Charge an admitted request for its next part; wait while its key or organization has used its limit up."""
        tag, told = str(admitted.caller.organization_id), False
        while not (taken := await self._state.take(tag, admitted.quotas, units)).allowed:
            if not told:
                self._limited(tightest(taken).quota.name)
                told = True
            await asyncio.sleep(max(level.retry_after for level in taken.levels))

    async def note_refusal(self, caller: Caller, permission: Permission, route: str) -> None:
        """Write down in the organization's audit trail that a key was used for what it may not do.

        The first ten of a key in a minute are written, so that nobody fills the trail by asking on and on.
        """
        quota = Quota(name="refusals", subject=caller.api_key_id or caller.principal_id, limit=_NOTED_REFUSALS)
        if (await self._state.take(str(caller.organization_id), [quota], 1)).allowed:
            detail = {"permission": permission.value, "route": route, **origin_of(caller)}
            async with self._database.transaction(caller) as tx:
                await write_audit_entry(tx, "request.refused", Outcome.DENIED, detail)

    async def recognize(self, text: str) -> StoredKey | None:
        """Find the key that a text is, whole and right, whether it can be used or not."""
        credential = read_credential(text)
        chain = [] if credential is None else await self._keys.find(credential.key_id)
        if not chain:
            return None
        try:
            index = (await self._database.keys(chain[0].organization_id)).index
        except NotFound:
            return None
        return chain[0] if hmac.compare_digest(index.credential_mac(text), chain[0].secret_mac) else None

    async def follow_revocations(self) -> None:
        """Drop what others revoke, until the state is closed; a gap in the messages drops all."""
        async with self._state.subscribe(REVOKED) as messages:
            async for message in messages:
                self.forget(message.split())

    def forget(self, key_ids: list[str]) -> None:
        """Look these keys up anew at their next use; all keys if none is named."""
        for key_id in key_ids or [*self._known.keys(), *self._looking]:
            self._known.drop(key_id)
            self._looking.pop(key_id, None)

    async def aclose(self) -> None:
        """Write down what was counted."""
        await self.meter.flush()

    async def _authenticate(self, presented: Presented) -> Holder:
        header = presented.authorization or ""
        if header[: len(_SCHEME)].lower() != _SCHEME:
            await self._refuse(presented.address, "malformed" if header else "absent")
        credential = read_credential(header[len(_SCHEME) :].strip())
        if credential is None:
            await self._refuse(presented.address, "malformed")
        if credential.key_id not in self._known and credential.key_id not in self._looking:
            # Whoever guesses keys does not reach the database; keys in use are not locked out by it.
            await self._charge(PUBLIC, self._limits.of_failure(presented.address), 0)
        holder = await self._check(credential)
        if holder is None:
            await self._refuse(presented.address, "unknown")
        reason = holder.why_not(presented.address, self._clock())
        if reason is not None:
            await self._refuse(presented.address, reason)
        return holder

    async def _check(self, credential: Credential) -> Holder | None:
        """Look a key up and compare its secret; an unknown one takes as long."""
        holder = await self._find(credential.key_id)
        index, expected = (self._nobody, b"") if holder is None else (holder.index, holder.key.secret_mac)
        good = hmac.compare_digest(index.credential_mac(credential.text), expected)
        return holder if good else None

    async def _refuse(self, address: Address, reason: str) -> NoReturn:
        self._failed(reason)
        await self._charge(PUBLIC, self._limits.of_failure(address), 1)
        raise Unauthenticated(
            "The request carries no valid API key.", hint="Send one as `Authorization: Bearer amk_...`."
        )

    async def _charge(
        self, tag: str, quotas: Sequence[Quota], cost: int, levels: tuple[Level, ...] = ()
    ) -> port.Admission:
        taken = await self._state.take(tag, quotas, cost)
        return self._allowed(replace(taken, levels=(*levels, *taken.levels)))

    def _allowed(self, admission: port.Admission) -> port.Admission:
        if not admission.allowed:
            self._limited(tightest(admission).quota.name)
        return require_allowed(admission)

    async def _find(self, key_id: str) -> Holder | None:
        known = self._known.get(key_id)
        if known is not None:
            return known.holder
        looking = self._looking.get(key_id)
        if looking is not None:
            known = await asyncio.shield(looking)
            if self._ticks() < known.until:
                return known.holder
        # Whoever begins a look believes it however long it took: it began after the request came.
        with deadline(None):  # others wait for it too, for longer than this request perhaps
            looking = self._looking[key_id] = asyncio.create_task(self._look_up(key_id))
        looking.add_done_callback(_hear)
        return (await asyncio.shield(looking)).holder

    async def _look_up(self, key_id: str) -> _Known:
        until = self._ticks() + FRESH_SECONDS
        try:
            known = _Known(holder=await self._read(key_id), until=until)
        finally:
            # Another look is there, or none, if the key was revoked meanwhile: this one may have come too early to see.
            undisturbed = self._looking.get(key_id) is asyncio.current_task()
            if undisturbed:
                del self._looking[key_id]
        if undisturbed:
            self._known.put(key_id, known, until=until)
        return known

    async def _read(self, key_id: str) -> Holder | None:
        if self._lookups.is_full:
            raise Overloaded("The server looks up as many keys as it can.", retry_after=1.0)
        async with self._lookups.turn():
            return await self._read_now(key_id)

    async def _read_now(self, key_id: str) -> Holder | None:
        chain = await self._keys.find(key_id)
        if not chain:
            return None
        organization_id = chain[0].organization_id
        try:
            index = (await self._database.keys(organization_id)).index
            standing = await self._members.standing(organization_id, members_of(chain))
        except NotFound:
            return None
        return holder_of(chain, standing, index)


def _hear(task: asyncio.Task[_Known]) -> None:
    """Take note of how a look ended, for those who asked may all have gone away."""
    if not task.cancelled():
        task.exception()
