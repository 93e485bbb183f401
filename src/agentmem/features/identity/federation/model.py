"""Identities at a provider, as values; pure."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Final

from agentmem.schemas.access import Role

_STRONGEST_FIRST: Final = (Role.ADMIN, Role.MEMBER, Role.VIEWER)


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
    """Give the role that groups give: the strongest, for a mapping that is stored as JSON has no order."""
    given = {roles[group] for group in groups if group in roles}
    return next((role for role in _STRONGEST_FIRST if role in given), default)
