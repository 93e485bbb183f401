"""Whom a provider vouches for, and the role that its groups give."""

from __future__ import annotations

import pytest

from agentmem.features.identity.federation.model import Identity, role_of
from agentmem.schemas.access import Role

ROLES = {"readers": Role.VIEWER, "writers": Role.MEMBER, "keepers": Role.ADMIN}


@pytest.mark.parametrize(
    "groups, role",
    [
        (["readers"], Role.VIEWER),
        (["readers", "writers"], Role.MEMBER),
        (["keepers", "writers", "readers"], Role.ADMIN),
        (["readers", "strangers"], Role.VIEWER),
        (["strangers"], None),
        ([], None),
    ],
)
def test_strongest_role_of_the_groups_is_given(groups: list[str], role: Role | None) -> None:
    assert role_of(groups, ROLES, None) is role
    assert role_of(groups, ROLES, Role.MEMBER) is (role or Role.MEMBER)


def test_issuer_and_subject_together_are_who_somebody_is() -> None:
    pairs = [("https://a", "b"), ("https://a", "c"), ('https://a", "b', ""), ("https://a", "")]

    assert len({Identity(issuer=issuer, subject=subject).text for issuer, subject in pairs}) == len(pairs)
    assert "ada-7" not in repr(Identity(issuer="https://a", subject="ada-7"))
