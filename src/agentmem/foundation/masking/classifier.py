"""An organization's rules about classes, ready for use."""

from __future__ import annotations

from dataclasses import dataclass

from agentmem.foundation.masking.engine import Masker
from agentmem.schemas.classification import Classification, highest
from agentmem.schemas.classification_policy import ClassificationPolicy, ClassificationRule
from agentmem.schemas.masking import MaskingPolicy
from agentmem.schemas.memories import MemoryRecord, NewMemory, Origin

Said = NewMemory | MemoryRecord


@dataclass(frozen=True, kw_only=True, slots=True)
class Classifier:
    """What a policy says of classes, with the masker that recognises what it speaks of."""

    policy: ClassificationPolicy
    masker: Masker

    @classmethod
    def of(cls, policy: ClassificationPolicy, masking: MaskingPolicy) -> Classifier:
        """Compile a policy; of telephone numbers those are recognised that the rule about masking names."""
        kinds = tuple({kind for rule in policy.rules for kind in rule.detects})
        wanted = MaskingPolicy(kinds=kinds, phone_regions=masking.phone_regions)
        return cls(policy=policy, masker=Masker.of(wanted))

    def ruled(self, said: Said, origin: Origin) -> Classification:
        """Give the highest of the class that a memory has and those that the rules say."""
        rules = [rule for rule in self.policy.rules if _is_about(rule, said, origin)]
        detected = self._kinds(said) if any(rule.detects for rule in rules) else frozenset()
        said_by_rules = [rule.classification for rule in rules if not rule.detects or detected & set(rule.detects)]
        return highest([said.classification, *said_by_rules])

    def _kinds(self, said: Said) -> frozenset[str]:
        return self.masker.kinds([said.content, said.actor, said.metadata])


def _is_about(rule: ClassificationRule, said: Said, origin: Origin) -> bool:
    ids = ((rule.user_id, said.user_id), (rule.agent_id, said.agent_id), (rule.app_id, said.app_id))
    return (
        (not rule.origins or origin in rule.origins)
        and all(wanted in {None, has} for wanted, has in ids)
        and (rule.metadata_key is None or rule.metadata_key in said.metadata)
    )
