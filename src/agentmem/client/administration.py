"""The calls that administer an organization, as values: keys, members, the organization, its audit, the platform."""

from __future__ import annotations

from typing import Final
from uuid import UUID

from agentmem.client.answers import many, nothing, one
from agentmem.client.calls import Call, Day, Values, change, get_from, post_to
from agentmem.client.encoding import body_of, expecting, given, keyed, path_of, query_of
from agentmem.schemas.accounts import Account
from agentmem.schemas.audit import AuditEntry, AuditFormat, AuditQuery, AuditVerification, SealHead
from agentmem.schemas.base import parse
from agentmem.schemas.instances import Instance
from agentmem.schemas.invitations import Invitation, NewInvitation
from agentmem.schemas.jobs import JobQuery, JobRecord, OrderedJob
from agentmem.schemas.keys import ApiKey, ApiKeyPatch, IssuedKey, NewApiKey, Revocation, Rotation
from agentmem.schemas.maintenance import ReembedRequest
from agentmem.schemas.memories import Page
from agentmem.schemas.organizations import (
    DeletionRequest,
    Member,
    MemberPatch,
    NewMember,
    NewOrganization,
    Organization,
    OrganizationLimits,
    OrganizationPatch,
    RoleView,
    Suspension,
)
from agentmem.schemas.policies import NewPolicy, Policy, PolicyInForce, PolicyKind
from agentmem.schemas.request_keys import IssuedRequestKey, NewRequestKey, RequestKey
from agentmem.schemas.usage import UsageDay
from agentmem.schemas.views import CreatedOrganization

Identifier = UUID | str
ORGANIZATIONS: Final = ("platform", "organizations")


def list_keys(limit: int, cursor: str | None) -> Call[Page[ApiKey]]:
    """Read a page of keys."""
    return get_from(path_of("api-keys"), one(Page[ApiKey]), query_of({"limit": limit, "cursor": cursor}))


def get_key(key_id: str) -> Call[ApiKey]:
    """Read one key."""
    return get_from(path_of("api-keys", key_id), one(ApiKey))


def create_key(values: Values) -> Call[IssuedKey]:
    """Make a key."""
    return post_to(path_of("api-keys"), one(IssuedKey), body_of(parse(NewApiKey, given(values))))


def update_key(key_id: str, if_version: int | None, changes: Values) -> Call[ApiKey]:
    """Change a key."""
    body = body_of(parse(ApiKeyPatch, changes))
    return change("PATCH", path_of("api-keys", key_id), one(ApiKey), body, if_version)


def rotate_key(key_id: str, overlap_seconds: int) -> Call[IssuedKey]:
    """Make a key's successor."""
    body = body_of(parse(Rotation, {"overlap_seconds": overlap_seconds}))
    return post_to(path_of("api-keys", key_id, "rotate"), one(IssuedKey), body)


def revoke_key(key_id: str, if_version: int | None, values: Values) -> Call[ApiKey]:
    """Revoke a key; doing it again changes nothing."""
    query = query_of(parse(Revocation, given(values)).model_dump(exclude_unset=True))
    path, headers = path_of("api-keys", key_id), expecting(if_version)
    return Call(method="DELETE", path=path, read=one(ApiKey), query=query, headers=headers, repeatable=True)


def list_signers(key_id: str) -> Call[list[RequestKey]]:
    """Read the keys that sign for a key."""
    return get_from(path_of("api-keys", key_id, "signing-keys"), many(RequestKey))


def create_signer(key_id: str, values: Values) -> Call[IssuedRequestKey]:
    """Make a key that signs for a key."""
    body = body_of(parse(NewRequestKey, given(values)))
    return post_to(path_of("api-keys", key_id, "signing-keys"), one(IssuedRequestKey), body)


def revoke_signer(key_id: str, signing_key_id: str) -> Call[RequestKey]:
    """Revoke a key that signs for a key; doing it again changes nothing."""
    path = path_of("api-keys", key_id, "signing-keys", signing_key_id)
    return Call(method="DELETE", path=path, read=one(RequestKey), repeatable=True)


def key_usage(key_id: str, since: Day | None, until: Day | None) -> Call[list[UsageDay]]:
    """Read what a key was used for."""
    return get_from(path_of("api-keys", key_id, "usage"), many(UsageDay), query_of({"since": since, "until": until}))


def list_members(limit: int, cursor: str | None) -> Call[Page[Member]]:
    """Read a page of members."""
    return get_from(path_of("members"), one(Page[Member]), query_of({"limit": limit, "cursor": cursor}))


def get_member(member_id: Identifier) -> Call[Member]:
    """Read one member."""
    return get_from(path_of("members", member_id), one(Member))


def create_member(values: Values) -> Call[Member]:
    """Make a member."""
    return post_to(path_of("members"), one(Member), body_of(parse(NewMember, given(values))))


def update_member(member_id: Identifier, if_version: int | None, changes: Values) -> Call[Member]:
    """Change a member."""
    body = body_of(parse(MemberPatch, changes))
    return change("PATCH", path_of("members", member_id), one(Member), body, if_version)


def disable_member(member_id: Identifier, if_version: int | None) -> Call[Member]:
    """Disable a member; doing it again changes nothing."""
    path, headers = path_of("members", member_id), expecting(if_version)
    return Call(method="DELETE", path=path, read=one(Member), headers=headers, repeatable=True)


def list_invitations(limit: int, cursor: str | None) -> Call[Page[Invitation]]:
    """Read a page of invitations."""
    return get_from(path_of("invitations"), one(Page[Invitation]), query_of({"limit": limit, "cursor": cursor}))


def invite(email: str, role: str) -> Call[Invitation]:
    """Invite a person."""
    return post_to(
        path_of("invitations"), one(Invitation), body_of(parse(NewInvitation, {"email": email, "role": role}))
    )


def revoke_invitation(invitation_id: Identifier) -> Call[None]:
    """Take an invitation back."""
    return Call(method="DELETE", path=path_of("invitations", invitation_id), read=nothing, repeatable=True)


def get_policy(kind: str) -> Call[PolicyInForce]:
    """Read a policy of the organization."""
    return get_from(path_of("organization", "policies", PolicyKind(kind).value), one(PolicyInForce))


def set_policy(policy: Policy, if_version: int | None) -> Call[PolicyInForce]:
    """Set a policy of the organization."""
    path = path_of("organization", "policies", policy.kind.value)
    return change("PUT", path, one(PolicyInForce), body_of(NewPolicy(policy=policy)), if_version)


def list_accounts(limit: int, cursor: str | None) -> Call[Page[Account]]:
    """Read a page of the accounts of people."""
    return get_from(path_of("admin", "accounts"), one(Page[Account]), query_of({"limit": limit, "cursor": cursor}))


def change_account(account_id: Identifier, what: str) -> Call[Account]:
    """Disable, enable or unlock an account."""
    return post_to(path_of("admin", "accounts", account_id, what), one(Account), None)


def delete_account(account_id: Identifier, if_version: int | None) -> Call[None]:
    """Delete an account."""
    path, headers = path_of("admin", "accounts", account_id), expecting(if_version)
    return Call(method="DELETE", path=path, read=nothing, headers=headers, repeatable=True)


def roles() -> Call[list[RoleView]]:
    """Read the roles and what each may do."""
    return get_from(path_of("roles"), many(RoleView))


def view_organization() -> Call[Organization]:
    """Read the organization of the key."""
    return get_from(path_of("organization"), one(Organization))


def update_organization(if_version: int | None, changes: Values) -> Call[Organization]:
    """Change the organization of the key."""
    body = body_of(parse(OrganizationPatch, changes))
    return change("PATCH", path_of("organization"), one(Organization), body, if_version)


def delete_organization(if_version: int | None, grace_days: int | None) -> Call[Organization]:
    """Begin the deletion of the organization of the key."""
    return _delete(path_of("organization"), if_version, grace_days)


def restore_organization() -> Call[Organization]:
    """Take the deletion back."""
    return post_to(path_of("organization", "restore"), one(Organization), None)


def list_audit(values: Values) -> Call[Page[AuditEntry]]:
    """Read a page of the audit trail."""
    query = query_of(parse(AuditQuery, given(values)).model_dump(exclude_unset=True))
    return get_from(path_of("audit"), one(Page[AuditEntry]), query)


def export_audit(form: AuditFormat | str) -> Call[None]:
    """Read the whole audit trail as a stream of lines."""
    return get_from(path_of("audit", "export"), nothing, query_of({"format": str(form)}))


def verify_audit(head: SealHead | None) -> Call[AuditVerification]:
    """Check the audit trail against its seals."""
    query = () if head is None else query_of(head.model_dump())
    return Call(
        method="POST",
        path=path_of("audit", "verify"),
        read=one(AuditVerification),
        query=query,
        headers=keyed(),
        repeatable=True,
        patient=True,
    )


def list_organizations(limit: int, cursor: str | None) -> Call[Page[Organization]]:
    """Read a page of the platform's organizations."""
    return get_from(path_of(*ORGANIZATIONS), one(Page[Organization]), query_of({"limit": limit, "cursor": cursor}))


def get_organization(organization_id: Identifier) -> Call[Organization]:
    """Read one organization of the platform."""
    return get_from(path_of(*ORGANIZATIONS, organization_id), one(Organization))


def create_organization(name: str, limits: OrganizationLimits | Values | None) -> Call[CreatedOrganization]:
    """Make an organization."""
    body = body_of(parse(NewOrganization, given({"name": name, "limits": limits})))
    return post_to(path_of(*ORGANIZATIONS), one(CreatedOrganization), body)


def set_limits(
    organization_id: Identifier, limits: OrganizationLimits | Values, if_version: int | None
) -> Call[Organization]:
    """Set what an organization may use."""
    body = body_of(parse(OrganizationLimits, limits))
    return change("PATCH", path_of(*ORGANIZATIONS, organization_id), one(Organization), body, if_version)


def suspend_organization(organization_id: Identifier, reason: str) -> Call[Organization]:
    """Suspend an organization."""
    body = body_of(parse(Suspension, {"reason": reason}))
    return post_to(path_of(*ORGANIZATIONS, organization_id, "suspend"), one(Organization), body)


def resume_organization(organization_id: Identifier) -> Call[Organization]:
    """Let a suspended organization work again."""
    return post_to(path_of(*ORGANIZATIONS, organization_id, "resume"), one(Organization), None)


def erase_organization(
    organization_id: Identifier, if_version: int | None, grace_days: int | None
) -> Call[Organization]:
    """Begin the deletion of an organization of the platform."""
    return _delete(path_of(*ORGANIZATIONS, organization_id), if_version, grace_days)


def keep_organization(organization_id: Identifier) -> Call[Organization]:
    """Take the deletion of an organization of the platform back."""
    return post_to(path_of(*ORGANIZATIONS, organization_id, "restore"), one(Organization), None)


def _delete(path: str, if_version: int | None, grace_days: int | None) -> Call[Organization]:
    query = query_of(parse(DeletionRequest, given({"grace_days": grace_days})).model_dump(exclude_unset=True))
    headers = expecting(if_version)
    return Call(method="DELETE", path=path, read=one(Organization), query=query, headers=headers, repeatable=True)


def list_instances() -> Call[list[Instance]]:
    """Read the processes of the installation."""
    return get_from(path_of("admin", "instances"), many(Instance))


def list_jobs(values: Values) -> Call[Page[JobRecord]]:
    """Read a page of jobs."""
    query = query_of(parse(JobQuery, given(values)).model_dump(exclude_unset=True, mode="json"))
    return get_from(path_of("jobs"), one(Page[JobRecord]), query)


def get_job(job_id: Identifier) -> Call[JobRecord]:
    """Read one job."""
    return get_from(path_of("jobs", job_id), one(JobRecord))


def retry_job(job_id: Identifier) -> Call[JobRecord]:
    """Have a job done again."""
    return post_to(path_of("jobs", job_id, "retry"), one(JobRecord), None)


def discard_job(job_id: Identifier) -> Call[JobRecord]:
    """Give a job up."""
    return post_to(path_of("jobs", job_id, "discard"), one(JobRecord), None)


def reembed(model: str) -> Call[OrderedJob]:
    """Ask for a job that changes the embedding model."""
    body = body_of(parse(ReembedRequest, {"model": model, "background": True}))
    return post_to(path_of("maintenance", "reembed"), one(OrderedJob), body)
