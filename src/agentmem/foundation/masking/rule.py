"""An organization's rule about masking, ready for use."""

from __future__ import annotations

from dataclasses import dataclass

from agentmem.foundation.masking.engine import Masker, named, partial_view
from agentmem.schemas.masking import MaskingPolicy


@dataclass(frozen=True, kw_only=True, slots=True)
class MaskingRule:
    """What a policy says of texts, with the masker that does it."""

    policy: MaskingPolicy
    masker: Masker

    @classmethod
    def of(cls, policy: MaskingPolicy) -> MaskingRule:
        """Compile a policy."""
        return cls(policy=policy, masker=Masker.of(policy))

    def shown(self, text: str) -> str:
        """Give a text as callers without ``pii:read`` may see it."""
        return self.masker.mask(text, partial_view)

    def sent(self, text: str) -> str:
        """Give a text as it may be sent to a provider of models."""
        return self.masker.mask(text, named) if self.policy.prompts else text

    def stored(self, text: str) -> str:
        """Give a text as it may be stored, embedded and indexed."""
        return self.masker.mask(text, named) if self.policy.stored else text
