"""Parts of the client that administer an organization, for programs without asyncio."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Unpack

from agentmem.client import administration as calls
from agentmem.client.administration import Identifier
from agentmem.client.calls import Day
from agentmem.client.connection import Connection
from agentmem.client.networks import INSTALLATION
from agentmem.client.networks_sync import Networks
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


class Keys:
    """The API keys of the organization; for owners and admins."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def list(self, *, limit: int = 100, cursor: str | None = None) -> Page[ApiKey]:
        """See :meth:`AsyncKeys.list`."""
        return self._connection.send(calls.list_keys(limit, cursor))

    def get(self, key_id: str) -> ApiKey:
        """See :meth:`AsyncKeys.get`."""
        return self._connection.send(calls.get_key(key_id))

    def create(self, name: str, **options: Unpack[KeyOptions]) -> IssuedKey:
        """See :meth:`AsyncKeys.create`."""
        return self._connection.send(calls.create_key({**options, "name": name}))

    def update(self, key_id: str, *, if_version: int | None = None, **changes: Unpack[KeyChanges]) -> ApiKey:
        """See :meth:`AsyncKeys.update`."""
        return self._connection.send(calls.update_key(key_id, if_version, changes))

    def rotate(self, key_id: str, *, overlap_seconds: int = 86_400) -> IssuedKey:
        """See :meth:`AsyncKeys.rotate`."""
        return self._connection.send(calls.rotate_key(key_id, overlap_seconds))

    def revoke(
        self,
        key_id: str,
        *,
        if_version: int | None = None,
        reason: str | None = None,
        descendants: bool | None = None,
    ) -> ApiKey:
        """See :meth:`AsyncKeys.revoke`."""
        return self._connection.send(
            calls.revoke_key(key_id, if_version, {"reason": reason, "descendants": descendants})
        )

    def signing_keys(self, key_id: str) -> Sequence[RequestKey]:
        """See :meth:`AsyncKeys.signing_keys`."""
        return self._connection.send(calls.list_signers(key_id))

    def add_signing_key(
        self,
        key_id: str,
        name: str,
        *,
        algorithm: SignatureAlgorithm | str = SignatureAlgorithm.ED25519,
        public_key: str | None = None,
    ) -> IssuedRequestKey:
        """See :meth:`AsyncKeys.add_signing_key`."""
        values = {"name": name, "algorithm": algorithm, "public_key": public_key}
        return self._connection.send(calls.create_signer(key_id, values))

    def revoke_signing_key(self, key_id: str, signing_key_id: str) -> RequestKey:
        """See :meth:`AsyncKeys.revoke_signing_key`."""
        return self._connection.send(calls.revoke_signer(key_id, signing_key_id))

    def usage(self, key_id: str, *, since: Day | None = None, until: Day | None = None) -> Sequence[UsageDay]:
        """See :meth:`AsyncKeys.usage`."""
        return self._connection.send(calls.key_usage(key_id, since, until))


class Members:
    """The members of the organization and their roles; for owners and admins."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def list(self, *, limit: int = 100, cursor: str | None = None) -> Page[Member]:
        """See :meth:`AsyncMembers.list`."""
        return self._connection.send(calls.list_members(limit, cursor))

    def get(self, member_id: Identifier) -> Member:
        """See :meth:`AsyncMembers.get`."""
        return self._connection.send(calls.get_member(member_id))

    def create(
        self, name: str, *, role: Role | str = Role.SERVICE, kind: MemberKind | str = MemberKind.SERVICE
    ) -> Member:
        """See :meth:`AsyncMembers.create`."""
        return self._connection.send(calls.create_member({"name": name, "role": role, "kind": kind}))

    def update(
        self, member_id: Identifier, *, if_version: int | None = None, **changes: Unpack[MemberChanges]
    ) -> Member:
        """See :meth:`AsyncMembers.update`."""
        return self._connection.send(calls.update_member(member_id, if_version, changes))

    def disable(self, member_id: Identifier, *, if_version: int | None = None) -> Member:
        """See :meth:`AsyncMembers.disable`."""
        return self._connection.send(calls.disable_member(member_id, if_version))

    def roles(self) -> Sequence[RoleView]:
        """See :meth:`AsyncMembers.roles`."""
        return self._connection.send(calls.roles())

    def invite(self, email: str, *, role: Role | str = Role.MEMBER) -> Invitation:
        """See :meth:`AsyncMembers.invite`."""
        return self._connection.send(calls.invite(email, role))

    def invitations(self, *, limit: int = 100, cursor: str | None = None) -> Page[Invitation]:
        """See :meth:`AsyncMembers.invitations`."""
        return self._connection.send(calls.list_invitations(limit, cursor))

    def revoke_invitation(self, invitation_id: Identifier) -> None:
        """See :meth:`AsyncMembers.revoke_invitation`."""
        self._connection.send(calls.revoke_invitation(invitation_id))


class OwnOrganization:
    """The organization of the key."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def get(self) -> Organization:
        """See :meth:`AsyncOwnOrganization.get`."""
        return self._connection.send(calls.view_organization())

    def update(self, *, if_version: int | None = None, **changes: Unpack[OrganizationChanges]) -> Organization:
        """See :meth:`AsyncOwnOrganization.update`."""
        return self._connection.send(calls.update_organization(if_version, changes))

    def delete(self, *, if_version: int | None = None, grace_days: int | None = None) -> Organization:
        """See :meth:`AsyncOwnOrganization.delete`."""
        return self._connection.send(calls.delete_organization(if_version, grace_days))

    def restore(self) -> Organization:
        """See :meth:`AsyncOwnOrganization.restore`."""
        return self._connection.send(calls.restore_organization())

    def policy(self, kind: PolicyKind | str) -> PolicyInForce:
        """See :meth:`AsyncOwnOrganization.policy`."""
        return self._connection.send(calls.get_policy(kind))

    def set_policy(self, policy: Policy, *, if_version: int | None = None) -> PolicyInForce:
        """See :meth:`AsyncOwnOrganization.set_policy`."""
        return self._connection.send(calls.set_policy(policy, if_version))


class Audit:
    """The audit trail of the organization; for owners and admins."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def list(self, **conditions: Unpack[AuditOptions]) -> Page[AuditEntry]:
        """See :meth:`AsyncAudit.list`."""
        return self._connection.send(calls.list_audit(conditions))

    def export(self, form: AuditFormat | str = AuditFormat.JSONL) -> Iterator[str]:
        """See :meth:`AsyncAudit.export`."""
        return self._connection.lines(calls.export_audit(form))

    def verify(self, head: SealHead | None = None) -> AuditVerification:
        """See :meth:`AsyncAudit.verify`."""
        return self._connection.send(calls.verify_audit(head))


class Platform:
    """All organizations of the server; for operators."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self.networks = Networks(connection, INSTALLATION)

    def list(self, *, limit: int = 100, cursor: str | None = None) -> Page[Organization]:
        """See :meth:`AsyncPlatform.list`."""
        return self._connection.send(calls.list_organizations(limit, cursor))

    def get(self, organization_id: Identifier) -> Organization:
        """See :meth:`AsyncPlatform.get`."""
        return self._connection.send(calls.get_organization(organization_id))

    def create(
        self, name: str, *, limits: OrganizationLimits | Mapping[str, object] | None = None
    ) -> CreatedOrganization:
        """See :meth:`AsyncPlatform.create`."""
        return self._connection.send(calls.create_organization(name, limits))

    def set_limits(
        self,
        organization_id: Identifier,
        limits: OrganizationLimits | Mapping[str, object],
        *,
        if_version: int | None = None,
    ) -> Organization:
        """See :meth:`AsyncPlatform.set_limits`."""
        return self._connection.send(calls.set_limits(organization_id, limits, if_version))

    def suspend(self, organization_id: Identifier, *, reason: str) -> Organization:
        """See :meth:`AsyncPlatform.suspend`."""
        return self._connection.send(calls.suspend_organization(organization_id, reason))

    def resume(self, organization_id: Identifier) -> Organization:
        """See :meth:`AsyncPlatform.resume`."""
        return self._connection.send(calls.resume_organization(organization_id))

    def delete(
        self, organization_id: Identifier, *, if_version: int | None = None, grace_days: int | None = None
    ) -> Organization:
        """See :meth:`AsyncPlatform.delete`."""
        return self._connection.send(calls.erase_organization(organization_id, if_version, grace_days))

    def restore(self, organization_id: Identifier) -> Organization:
        """See :meth:`AsyncPlatform.restore`."""
        return self._connection.send(calls.keep_organization(organization_id))

    def instances(self) -> Sequence[Instance]:
        """See :meth:`AsyncPlatform.instances`."""
        return self._connection.send(calls.list_instances())

    def accounts(self, *, limit: int = 100, cursor: str | None = None) -> Page[Account]:
        """See :meth:`AsyncPlatform.accounts`."""
        return self._connection.send(calls.list_accounts(limit, cursor))

    def disable_account(self, account_id: Identifier) -> Account:
        """See :meth:`AsyncPlatform.disable_account`."""
        return self._connection.send(calls.change_account(account_id, "disable"))

    def enable_account(self, account_id: Identifier) -> Account:
        """See :meth:`AsyncPlatform.enable_account`."""
        return self._connection.send(calls.change_account(account_id, "enable"))

    def unlock_account(self, account_id: Identifier) -> Account:
        """See :meth:`AsyncPlatform.unlock_account`."""
        return self._connection.send(calls.change_account(account_id, "unlock"))

    def delete_account(self, account_id: Identifier, *, if_version: int | None = None) -> None:
        """See :meth:`AsyncPlatform.delete_account`."""
        self._connection.send(calls.delete_account(account_id, if_version))


class Jobs:
    """The background jobs of the organization; for owners and admins."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def list(self, **conditions: Unpack[JobOptions]) -> Page[JobRecord]:
        """See :meth:`AsyncJobs.list`."""
        return self._connection.send(calls.list_jobs(conditions))

    def get(self, job_id: Identifier) -> JobRecord:
        """See :meth:`AsyncJobs.get`."""
        return self._connection.send(calls.get_job(job_id))

    def retry(self, job_id: Identifier) -> JobRecord:
        """See :meth:`AsyncJobs.retry`."""
        return self._connection.send(calls.retry_job(job_id))

    def discard(self, job_id: Identifier) -> JobRecord:
        """See :meth:`AsyncJobs.discard`."""
        return self._connection.send(calls.discard_job(job_id))

    def reembed(self, model: str) -> OrderedJob:
        """See :meth:`AsyncJobs.reembed`."""
        return self._connection.send(calls.reembed(model))
