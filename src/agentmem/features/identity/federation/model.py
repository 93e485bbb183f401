"""Identities at a provider, as values; pure."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from agentmem.schemas.access import Role


@dataclass(frozen=True, kw_only=True, slots=True)
class Identity:
    """Who somebody is: the issuer and its subject together, never an e-mail address, which issuers assert at will."""

    issuer: str
    subject: str = field(repr=False)

    @property
    def text(self) -> str:
        """Both in one text that no other pair has."""
        return json.dumps([self.issuer, self.subject])


def role_of(groups: Iterable[str], roles: Mapping[str, Role], default: Role | None) -> Role | None:
    """Give the role that groups give: that of the first in the mapping's order that somebody has."""
    held = set(groups)
    return next((role for group, role in roles.items() if group in held), default)
