"""What organizations have said of texts, classes, reads and origins, as the work on memories asks for it often."""

from __future__ import annotations

from typing import Final, TypeVar

from agentmem.features.organizations.policies import PolicyService
from agentmem.foundation.masking.classifier import Classifier
from agentmem.foundation.masking.rule import MaskingRule
from agentmem.kit.cache import Cache
from agentmem.kit.ids import OrganizationId
from agentmem.schemas.policies import (
    AuditPolicy,
    ClassificationPolicy,
    MaskingPolicy,
    Policy,
    PolicyKind,
    ProvenancePolicy,
)

BELIEVED_SECONDS: Final = 5.0
"""After how long at the latest a process does as a changed policy says."""

_MOST: Final = 4096
_Kind = TypeVar("_Kind", MaskingPolicy, AuditPolicy, ProvenancePolicy, ClassificationPolicy)


class Rules:
    """The policies of organizations, each believed for ``seconds``."""

    def __init__(self, policies: PolicyService, *, seconds: float = BELIEVED_SECONDS) -> None:
        """Begin without knowing any."""
        self._policies = policies
        self._believed: Cache[tuple[OrganizationId, PolicyKind], Policy] = Cache(capacity=_MOST, seconds=seconds)
        self._masking: Cache[OrganizationId, MaskingRule] = Cache(capacity=_MOST, seconds=seconds)
        self._classifying: Cache[OrganizationId, Classifier] = Cache(capacity=_MOST, seconds=seconds)

    async def masking(self, organization_id: OrganizationId) -> MaskingRule:
        """Give an organization's rule about masking."""
        rule = self._masking.get(organization_id)
        if rule is None:
            rule = MaskingRule.of(await self._of(organization_id, MaskingPolicy()))
            self._masking.put(organization_id, rule)
        return rule

    async def classification(self, organization_id: OrganizationId) -> Classifier:
        """Give an organization's rules about classes."""
        rules = self._classifying.get(organization_id)
        if rules is None:
            masking = (await self.masking(organization_id)).policy
            rules = Classifier.of(await self._of(organization_id, ClassificationPolicy()), masking)
            self._classifying.put(organization_id, rules)
        return rules

    async def audit(self, organization_id: OrganizationId) -> AuditPolicy:
        """Give an organization's rule about the audit trail."""
        return await self._of(organization_id, AuditPolicy())

    async def provenance(self, organization_id: OrganizationId) -> ProvenancePolicy:
        """Give an organization's rule about origins."""
        return await self._of(organization_id, ProvenancePolicy())

    def forget(self, organization_id: OrganizationId) -> None:
        """Ask again next time: one of the organization's policies has just been changed."""
        self._masking.drop(organization_id)
        self._classifying.drop(organization_id)
        for kind in PolicyKind:
            self._believed.drop((organization_id, kind))

    async def _of(self, organization_id: OrganizationId, default: _Kind) -> _Kind:
        key = (organization_id, default.kind)
        found = self._believed.get(key)
        if found is None:
            (found,) = await self._policies.of([organization_id], default.kind)
            self._believed.put(key, found)
        return found if isinstance(found, type(default)) else default
