"""Keyed hashes: equal for equal words of one organization, unrelated to everything else."""

from __future__ import annotations

from uuid import UUID

from hypothesis import given
from hypothesis import strategies as st

from agentmem.foundation.encryption.index import DIGEST_BYTES, IndexKeys
from agentmem.foundation.encryption.secret import SecretKey
from agentmem.kit.ids import OrganizationId

ANY_TEXT = st.text(st.characters(), max_size=60)
SCOPES = st.tuples(st.none() | ANY_TEXT, st.none() | ANY_TEXT)


def make_index(organization: int = 1, secret: int = 1) -> IndexKeys:
    return IndexKeys(organization_id=OrganizationId(UUID(int=organization)), secret=SecretKey(bytearray([secret]) * 32))


@given(st.lists(ANY_TEXT, max_size=20))
def test_any_terms_hash_to_signed_64_bit_integers_in_their_order(terms: list[str]) -> None:
    index = make_index()
    hashes = index.term_hashes(terms)
    assert hashes == [index.term_hash(term) for term in terms]
    assert all(-(2**63) <= value < 2**63 for value in hashes)
    assert len(set(hashes)) == len(set(terms))


def test_terms_of_another_organization_or_secret_hash_differently() -> None:
    hashes = {make_index(organization, secret).term_hash("tea") for organization in (1, 2) for secret in (1, 2)}
    assert len(hashes) == 4


def test_hashes_survive_a_restart_and_the_wiping_of_the_secret() -> None:
    secret = SecretKey(bytearray([1]) * 32)
    index = IndexKeys(organization_id=OrganizationId(UUID(int=1)), secret=secret)
    secret.wipe()
    assert index.term_hash("tea") == make_index().term_hash("tea")
    assert index.content_digest((), "tea") == make_index().content_digest((), "tea")


def test_codes_of_credentials_depend_on_organization_secret_and_every_character() -> None:
    codes = {
        make_index(organization, secret).credential_mac(text)
        for organization in (1, 2)
        for secret in (1, 2)
        for text in ("", "tea", "teb", "tea ")
    }
    assert len(codes) == 16
    assert {len(code) for code in codes} == {32}
    assert make_index().credential_mac("tea") == make_index().credential_mac("tea")


def test_code_of_a_credential_is_no_hash_of_another_kind() -> None:
    index = make_index()
    code = index.credential_mac("tea")
    assert int.from_bytes(code[:8], "big", signed=True) != index.term_hash("tea")
    assert code[:DIGEST_BYTES] != index.content_digest((), "tea")


def test_a_lone_surrogate_is_hashed_and_not_echoed_in_an_error() -> None:
    assert make_index().term_hash("\ud800") != make_index().term_hash("\udfff")


@given(SCOPES, ANY_TEXT, SCOPES, ANY_TEXT)
def test_digests_are_equal_for_the_same_text_in_the_same_scope_alone(
    scope: tuple[str | None, str | None], text: str, other_scope: tuple[str | None, str | None], other_text: str
) -> None:
    index = make_index()
    digest = index.content_digest(scope, text)
    assert len(digest) == DIGEST_BYTES
    assert digest == index.content_digest(list(scope), text)
    same = (scope, text) == (other_scope, other_text)
    assert (digest == index.content_digest(other_scope, other_text)) is same


def test_moving_the_borders_between_scope_and_text_changes_the_digest() -> None:
    index = make_index()
    inputs: list[tuple[tuple[str | None, ...], str]] = [
        (("ab", "c"), "d"),
        (("a", "bc"), "d"),
        (("a", "b"), "cd"),
        (("a",), "bcd"),
        ((), "abcd"),
        (("abcd",), ""),
        (("abcd", None), ""),
        (("abcd", ""), ""),
        ((None, "abcd"), ""),
        (("", "abcd"), ""),
    ]
    assert len({index.content_digest(scope, text) for scope, text in inputs}) == len(inputs)


def test_the_keys_of_hashes_show_stars() -> None:
    assert repr(make_index()) == f"IndexKeys(organization_id={UUID(int=1)}, keys=***)"
