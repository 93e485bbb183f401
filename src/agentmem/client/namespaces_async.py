"""Parts of the client that administer an organization, for asyncio programs."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping, Sequence
from typing import Unpack

from agentmem.client import administration as calls
from agentmem.client.administration import Identifier
from agentmem.client.calls import Day
from agentmem.client.connection import AsyncConnection
from agentmem.client.networks import INSTALLATION
from agentmem.client.networks_async import AsyncNetworks
from agentmem.client.options import AuditOptions, JobOptions, KeyChanges, KeyOptions, MemberChanges, OrganizationChanges
from agentmem.schemas.access import Role
from agentmem.schemas.accounts import Account
from agentmem.schemas.audit import AuditEntry, AuditFormat, AuditVerification, SealHead
from agentmem.schemas.instances import Instance
from agentmem.schemas.invitations import Invitation
from agentmem.schemas.jobs import JobRecord, OrderedJob
from agentmem.schemas.keys import ApiKey, IssuedKey
from agentmem.schemas.memories import Page
from agentmem.schemas.organizations import Member, MemberKind, Organization, OrganizationLimits, RoleView
from agentmem.schemas.policies import Policy, PolicyInForce, PolicyKind
from agentmem.schemas.request_keys import IssuedRequestKey, RequestKey, SignatureAlgorithm
from agentmem.schemas.usage import UsageDay
from agentmem.schemas.views import CreatedOrganization


class AsyncKeys:
    """The API keys of the organization; for owners and admins."""

    def __init__(self, connection: AsyncConnection) -> None:
        self._connection = connection

    async def list(self, *, limit: int = 100, cursor: str | None = None) -> Page[ApiKey]:
        """Read a page of keys, without their secrets."""
        return await self._connection.send(calls.list_keys(limit, cursor))

    async def get(self, key_id: str) -> ApiKey:
        """Read one key, without its secret."""
        return await self._connection.send(calls.get_key(key_id))

    async def create(self, name: str, **options: Unpack[KeyOptions]) -> IssuedKey:
        """Make a key that may do no more than its creator; its secret is in ``key``, this once."""
        return await self._connection.send(calls.create_key({**options, "name": name}))

    async def update(self, key_id: str, *, if_version: int | None = None, **changes: Unpack[KeyChanges]) -> ApiKey:
        """Change a key's name, scopes, networks or rate limit."""
        return await self._connection.send(calls.update_key(key_id, if_version, changes))

    async def rotate(self, key_id: str, *, overlap_seconds: int = 86_400) -> IssuedKey:
        """Make a key's successor; the old one stays good for the overlap, of up to 7 days."""
        return await self._connection.send(calls.rotate_key(key_id, overlap_seconds))

    async def revoke(
        self,
        key_id: str,
        *,
        if_version: int | None = None,
        reason: str | None = None,
        descendants: bool | None = None,
    ) -> ApiKey:
        """Revoke a key everywhere within a second; with ``descendants`` the keys made by it too."""
        return await self._connection.send(
            calls.revoke_key(key_id, if_version, {"reason": reason, "descendants": descendants})
        )

    async def signing_keys(self, key_id: str) -> Sequence[RequestKey]:
        """Read the keys that sign the requests of a key, and those that did, without their secrets."""
        return await self._connection.send(calls.list_signers(key_id))

    async def add_signing_key(
        self,
        key_id: str,
        name: str,
        *,
        algorithm: SignatureAlgorithm | str = SignatureAlgorithm.ED25519,
        public_key: str | None = None,
    ) -> IssuedRequestKey:
        """Make a key that signs the requests of a key; it is in ``key``, this once."""
        values = {"name": name, "algorithm": algorithm, "public_key": public_key}
        return await self._connection.send(calls.create_signer(key_id, values))

    async def revoke_signing_key(self, key_id: str, signing_key_id: str) -> RequestKey:
        """Revoke a key that signs, for good."""
        return await self._connection.send(calls.revoke_signer(key_id, signing_key_id))

    async def usage(self, key_id: str, *, since: Day | None = None, until: Day | None = None) -> Sequence[UsageDay]:
        """Read a key's requests by day and route."""
        return await self._connection.send(calls.key_usage(key_id, since, until))


class AsyncMembers:
    """The members of the organization and their roles; for owners and admins."""

    def __init__(self, connection: AsyncConnection) -> None:
        self._connection = connection

    async def list(self, *, limit: int = 100, cursor: str | None = None) -> Page[Member]:
        """Read a page of members."""
        return await self._connection.send(calls.list_members(limit, cursor))

    async def get(self, member_id: Identifier) -> Member:
        """Read one member."""
        return await self._connection.send(calls.get_member(member_id))

    async def create(
        self, name: str, *, role: Role | str = Role.SERVICE, kind: MemberKind | str = MemberKind.SERVICE
    ) -> Member:
        """Make a member."""
        return await self._connection.send(calls.create_member({"name": name, "role": role, "kind": kind}))

    async def update(
        self, member_id: Identifier, *, if_version: int | None = None, **changes: Unpack[MemberChanges]
    ) -> Member:
        """Change a member's name or role, or let a disabled one in again."""
        return await self._connection.send(calls.update_member(member_id, if_version, changes))

    async def disable(self, member_id: Identifier, *, if_version: int | None = None) -> Member:
        """Disable a member, and with it every key that acts as it."""
        return await self._connection.send(calls.disable_member(member_id, if_version))

    async def roles(self) -> Sequence[RoleView]:
        """Read the roles and what each may do."""
        return await self._connection.send(calls.roles())

    async def invite(self, email: str, *, role: Role | str = Role.MEMBER) -> Invitation:
        """Invite a person by a mail; who accepts becomes a member of this role."""
        return await self._connection.send(calls.invite(email, role))

    async def invitations(self, *, limit: int = 100, cursor: str | None = None) -> Page[Invitation]:
        """Read a page of invitations that nobody has accepted yet."""
        return await self._connection.send(calls.list_invitations(limit, cursor))

    async def revoke_invitation(self, invitation_id: Identifier) -> None:
        """Take an invitation back."""
        await self._connection.send(calls.revoke_invitation(invitation_id))


class AsyncOwnOrganization:
    """The organization of the key."""

    def __init__(self, connection: AsyncConnection) -> None:
        self._connection = connection

    async def get(self) -> Organization:
        """Read the organization: its status, limits and rules."""
        return await self._connection.send(calls.view_organization())

    async def update(self, *, if_version: int | None = None, **changes: Unpack[OrganizationChanges]) -> Organization:
        """Change its name or its rules."""
        return await self._connection.send(calls.update_organization(if_version, changes))

    async def delete(self, *, if_version: int | None = None, grace_days: int | None = None) -> Organization:
        """Close the organization, and erase it after the grace time; :meth:`restore` takes that back until then."""
        return await self._connection.send(calls.delete_organization(if_version, grace_days))

    async def restore(self) -> Organization:
        """Take a deletion back during its grace time."""
        return await self._connection.send(calls.restore_organization())

    async def policy(self, kind: PolicyKind | str) -> PolicyInForce:
        """Read what the organization asks of those who sign in: of their passwords, or of their sessions."""
        return await self._connection.send(calls.get_policy(kind))

    async def set_policy(self, policy: Policy, *, if_version: int | None = None) -> PolicyInForce:
        """Set a policy; what is not given is as in the default."""
        return await self._connection.send(calls.set_policy(policy, if_version))


class AsyncAudit:
    """The audit trail of the organization; for owners and admins."""

    def __init__(self, connection: AsyncConnection) -> None:
        self._connection = connection

    async def list(self, **conditions: Unpack[AuditOptions]) -> Page[AuditEntry]:
        """Read a page of entries, oldest first, for which every condition holds."""
        return await self._connection.send(calls.list_audit(conditions))

    def export(self, form: AuditFormat | str = AuditFormat.JSONL) -> AsyncIterator[str]:
        """Read the whole trail, one JSON object a line, while it arrives."""
        return self._connection.lines(calls.export_audit(form))

    async def verify(self, head: SealHead | None = None) -> AuditVerification:
        """Check the trail against its seals: what was changed, removed or inserted is named."""
        return await self._connection.send(calls.verify_audit(head))


class AsyncPlatform:
    """All organizations of the server; for operators."""

    def __init__(self, connection: AsyncConnection) -> None:
        self._connection = connection
        self.networks = AsyncNetworks(connection, INSTALLATION)

    async def list(self, *, limit: int = 100, cursor: str | None = None) -> Page[Organization]:
        """Read a page of organizations."""
        return await self._connection.send(calls.list_organizations(limit, cursor))

    async def get(self, organization_id: Identifier) -> Organization:
        """Read one organization."""
        return await self._connection.send(calls.get_organization(organization_id))

    async def create(
        self, name: str, *, limits: OrganizationLimits | Mapping[str, object] | None = None
    ) -> CreatedOrganization:
        """Make an organization with its owner, whose API key is in ``key``, this once."""
        return await self._connection.send(calls.create_organization(name, limits))

    async def set_limits(
        self,
        organization_id: Identifier,
        limits: OrganizationLimits | Mapping[str, object],
        *,
        if_version: int | None = None,
    ) -> Organization:
        """Set what an organization may use; a limit that is not given is none."""
        return await self._connection.send(calls.set_limits(organization_id, limits, if_version))

    async def suspend(self, organization_id: Identifier, *, reason: str) -> Organization:
        """Refuse every key of an organization until it is resumed."""
        return await self._connection.send(calls.suspend_organization(organization_id, reason))

    async def resume(self, organization_id: Identifier) -> Organization:
        """Let a suspended organization work again."""
        return await self._connection.send(calls.resume_organization(organization_id))

    async def delete(
        self, organization_id: Identifier, *, if_version: int | None = None, grace_days: int | None = None
    ) -> Organization:
        """Close an organization, and erase it after the grace time."""
        return await self._connection.send(calls.erase_organization(organization_id, if_version, grace_days))

    async def restore(self, organization_id: Identifier) -> Organization:
        """Take a deletion back during its grace time."""
        return await self._connection.send(calls.keep_organization(organization_id))

    async def instances(self) -> Sequence[Instance]:
        """Read the servers and workers of the installation, and which of them are alive."""
        return await self._connection.send(calls.list_instances())

    async def accounts(self, *, limit: int = 100, cursor: str | None = None) -> Page[Account]:
        """Read a page of the accounts of people."""
        return await self._connection.send(calls.list_accounts(limit, cursor))

    async def disable_account(self, account_id: Identifier) -> Account:
        """Let an account sign in no more; its sessions end within a second."""
        return await self._connection.send(calls.change_account(account_id, "disable"))

    async def enable_account(self, account_id: Identifier) -> Account:
        """Let a disabled account sign in again."""
        return await self._connection.send(calls.change_account(account_id, "enable"))

    async def unlock_account(self, account_id: Identifier) -> Account:
        """Forgive all guesses at an account's password."""
        return await self._connection.send(calls.change_account(account_id, "unlock"))

    async def delete_account(self, account_id: Identifier, *, if_version: int | None = None) -> None:
        """Delete an account; its memberships end with it."""
        await self._connection.send(calls.delete_account(account_id, if_version))


class AsyncJobs:
    """The background jobs of the organization; for owners and admins."""

    def __init__(self, connection: AsyncConnection) -> None:
        self._connection = connection

    async def list(self, **conditions: Unpack[JobOptions]) -> Page[JobRecord]:
        """Read a page of jobs, newest first, for which every condition holds."""
        return await self._connection.send(calls.list_jobs(conditions))

    async def get(self, job_id: Identifier) -> JobRecord:
        """Read one job: its state, how far it is, and why it failed if it did."""
        return await self._connection.send(calls.get_job(job_id))

    async def retry(self, job_id: Identifier) -> JobRecord:
        """Have a job done again that failed or was discarded."""
        return await self._connection.send(calls.retry_job(job_id))

    async def discard(self, job_id: Identifier) -> JobRecord:
        """Give a job up; one that runs is cut off within some seconds."""
        return await self._connection.send(calls.discard_job(job_id))

    async def reembed(self, model: str) -> OrderedJob:
        """Have every memory embedded by another model in the background; :meth:`get` says how far it is."""
        return await self._connection.send(calls.reembed(model))
