"""Admission: the only way from a credential to a :class:`Caller`."""

from __future__ import annotations

import asyncio
import hmac
import secrets
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from time import monotonic
from typing import Final, NoReturn
from uuid import UUID, uuid4

from agentmem.errors import DecryptionFailed, NetworkRefused, NotFound, Unauthenticated
from agentmem.features.identity.accounts.model import ENDED as ACCOUNTS_ENDED
from agentmem.features.identity.credential import Credential, read_credential
from agentmem.features.identity.model import StoredKey
from agentmem.features.identity.request_keys.service import RequestKeyService
from agentmem.features.identity.service import ApiKeyService
from agentmem.features.identity.sessions.model import ENDED
from agentmem.features.organizations.members import MemberService
from agentmem.foundation.authorization.caller import Caller, Permission
from agentmem.foundation.database.database import Database
from agentmem.foundation.encryption.index import IndexKeys
from agentmem.foundation.encryption.secret import KEY_BYTES, SecretKey
from agentmem.foundation.ledger.audit import Outcome, origin_of, write_audit_entry
from agentmem.foundation.state import port
from agentmem.foundation.state.charging import require_allowed, tightest
from agentmem.foundation.state.port import PUBLIC, Level, Quota, State
from agentmem.kit.clock import Clock, utc_now
from agentmem.kit.ids import OrganizationId
from agentmem.kit.networks import Address, network_of
from agentmem.pipelines.admission.belief import LOOKUPS, Belief
from agentmem.pipelines.admission.installation import InstallationNetworks
from agentmem.pipelines.admission.metering import Meter
from agentmem.pipelines.admission.people import People
from agentmem.pipelines.admission.quotas import RateLimits, again, beyond
from agentmem.pipelines.admission.signatures import Signing
from agentmem.pipelines.admission.standing import Holder, KeyHolder, holder_of, members_of
from agentmem.schemas.access import Role

REVOKED: Final = "revoked"
"""The channel on which revoked keys are named, several with a space between them."""
_SCHEME: Final = "bearer "
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
    signing: Signing


class Admission:
    """Authenticates API keys and access tokens, and charges their quotas.

    What was looked up is believed for 0.75 seconds, counted from before the look, in every process for itself; messages
    of revocations only make it quicker. Nothing is written here.
    """

    def __init__(
        self,
        *,
        keys: ApiKeyService,
        signers: RequestKeyService,
        members: MemberService,
        database: Database,
        state: State,
        limits: RateLimits,
        meter: Meter,
        installation: InstallationNetworks,
        people: People,
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
        self.installation = installation
        self.people = people
        self._keys = keys
        self._signers = signers
        self._members = members
        self._database = database
        self._state = state
        self._limits = limits
        self._failed = failed
        self._limited = limited
        self._clock = clock
        self._known: Belief[str, KeyHolder] = Belief(self._read, lookups=lookups, ticks=ticks)
        self._nobody = IndexKeys(
            organization_id=OrganizationId(uuid4()), secret=SecretKey(bytearray(secrets.token_bytes(KEY_BYTES)))
        )

    async def admit(self, presented: Presented, cost: int) -> Admitted:
        """Authenticate, charge the quotas, and give the caller.

        Raises :class:`Unauthenticated` with one message for every cause, :class:`OrganizationSuspended`,
        :class:`RateLimited`.
        """
        holder = await self._authenticate(presented)
        caller = holder.caller
        quotas = self._limits.of_request(
            key_id=holder.charged_as,
            organization_id=str(caller.organization_id),
            key_limit=holder.rate,
            organization_limit=caller.limits.requests_per_minute,
        )
        admission = await self._charge(str(caller.organization_id), quotas, cost, presented.levels)
        holder.require_active()
        return Admitted(
            caller=replace(caller, request_id=presented.request_id),
            admission=admission,
            quotas=quotas,
            cost=cost,
            member_id=holder.member_id,
            role=holder.role,
            expires_at=holder.expires_at,
            signing=holder.signing,
        )

    async def readmit(self, presented: Presented) -> Caller:
        """Give the caller of a request that was admitted as it stands now, and charge nothing; raises as :meth:`admit`.

        Long requests ask this before each of their operations, so that they end within a second of their key.
        """
        holder = await self._authenticate(presented)
        holder.require_active()
        return replace(holder.caller, request_id=presented.request_id)

    async def admit_address(self, address: Address, cost: int) -> port.Admission:
        """Charge any request to its address, before it is known who asks.

        Raises :class:`RateLimited`, and :class:`NetworkRefused` for an address that nothing is taken from.
        """
        self._require_network(address)
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

    async def note_unsigned(self, caller: Caller, route: str) -> None:
        """Count, and write down as :meth:`note_refusal` does, that a key was used without a signature that holds."""
        self._failed("signature")
        await self._note(caller, {"signature": "invalid", "route": route})

    async def note_refusal(self, caller: Caller, permission: Permission, route: str) -> None:
        """Write down in the organization's audit trail that a key was used for what it may not do.

        The first ten of a key in a minute are written, so that nobody fills the trail by asking on and on.
        """
        await self._note(caller, {"permission": permission.value, "route": route})

    async def _note(self, caller: Caller, detail: Mapping[str, str]) -> None:
        quota = Quota(name="refusals", subject=caller.api_key_id or caller.principal_id, limit=_NOTED_REFUSALS)
        if (await self._state.take(str(caller.organization_id), [quota], 1)).allowed:
            async with self._database.transaction(caller) as tx:
                await write_audit_entry(tx, "request.refused", Outcome.DENIED, {**detail, **origin_of(caller)})

    async def recognize(self, text: str) -> StoredKey | None:
        """Find the key that a text is, whole and right, whether it can be used or not."""
        credential = read_credential(text)
        chain = [] if credential is None else await self._keys.find(credential.key_id)
        if not chain:
            return None
        try:
            keys = await self._database.keys_of(chain[0].organization_id, [chain[0].sealed_mac])
            expected = chain[0].mac(keys.keyring)
        except (NotFound, DecryptionFailed):
            return None
        return chain[0] if hmac.compare_digest(keys.index.credential_mac(text), expected) else None

    async def follow_revocations(self) -> None:
        """Drop what others revoke, until the state is closed; a gap in the messages drops all."""
        async with self._state.subscribe(REVOKED) as messages:
            async for message in messages:
                self.forget(message.split())

    async def follow_ends(self) -> None:
        """Drop the sessions that others end, until the state is closed; a gap in the messages drops all."""
        async with self._state.subscribe(ENDED) as messages:
            async for message in messages:
                self.people.forget(message.split())

    async def follow_accounts(self) -> None:
        """Drop all sessions where those of an account end, until the state is closed: that is seldom."""
        async with self._state.subscribe(ACCOUNTS_ENDED) as messages:
            async for _ in messages:
                self.people.forget([])

    def forget(self, key_ids: list[str]) -> None:
        """Look these keys up anew at their next use; all keys if none is named."""
        self._known.forget(key_ids)

    async def aclose(self) -> None:
        """Write down what was counted."""
        await self.meter.flush()

    def _require_network(self, address: Address) -> None:
        try:
            self.installation.require(address)
        except NetworkRefused:
            self._failed("network")
            raise

    async def _authenticate(self, presented: Presented) -> Holder:
        self._require_network(presented.address)
        header = presented.authorization or ""
        if header[: len(_SCHEME)].lower() != _SCHEME:
            await self._refuse(presented.address, "malformed" if header else "absent")
        text = header[len(_SCHEME) :].strip()
        found = await (self.people.holder(text) if "." in text else self._of_key(text, presented.address))
        if isinstance(found, Holder) and not found.networks.admit(presented.address):
            found = "network"
        return found if isinstance(found, Holder) else await self._refuse(presented.address, found)

    async def _of_key(self, text: str, address: Address) -> Holder | str:
        """Give whose an API key is, or a word for what is wrong with it."""
        credential = read_credential(text)
        if credential is None:
            return "malformed"
        if credential.key_id not in self._known:
            # Whoever guesses keys does not reach the database; keys in use are not locked out by it.
            await self._charge(PUBLIC, self._limits.of_failure(address), 0)
        holder = await self._check(credential)
        return "unknown" if holder is None else holder.why_not(address, self._clock()) or holder

    async def _check(self, credential: Credential) -> KeyHolder | None:
        """Look a key up and compare its secret; an unknown one takes as long."""
        holder = await self._known.find(credential.key_id)
        index, expected = (self._nobody, b"") if holder is None else (holder.index, holder.secret_mac)
        good = hmac.compare_digest(index.credential_mac(credential.text), expected)
        return holder if good else None

    async def _refuse(self, address: Address, reason: str) -> NoReturn:
        self._failed(reason)
        await self._charge(PUBLIC, self._limits.of_failure(address), 1)
        raise Unauthenticated(
            "The request carries no valid API key or access token.",
            hint="Send one as `Authorization: Bearer amk_...`.",
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

    async def _read(self, key_id: str) -> KeyHolder | None:
        chain = await self._keys.find(key_id)
        if not chain:
            return None
        organization_id = chain[0].organization_id
        try:
            signers = await self._signers.of_key(organization_id, chain[0].key_id)
            sealed = (chain[0].sealed_mac, *(signer.sealed for signer in signers))
            keys = await self._database.keys_of(organization_id, sealed)
            standing = await self._members.standing(organization_id, members_of(chain))
            return holder_of(chain, standing, keys, signers)
        except (NotFound, DecryptionFailed):  # no such key is good: its row was moved, or changed
            return None
