"""Passkeys (WebAuthn level 3): what a browser is asked, and whether what it answers is right; pure.

The package ``webauthn`` reads and verifies; here its answers become ours, and each of its errors a refusal.
"""

from __future__ import annotations

import json
from base64 import urlsafe_b64decode
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Final
from urllib.parse import urlsplit
from uuid import UUID

from pydantic import JsonValue
from webauthn import (
    generate_authentication_options,
    generate_registration_options,
    verify_authentication_response,
    verify_registration_response,
)
from webauthn.helpers import options_to_json_dict, parse_attestation_object
from webauthn.helpers.exceptions import WebAuthnException
from webauthn.helpers.structs import (
    AttestationFormat,
    AuthenticatorSelectionCriteria,
    PublicKeyCredentialDescriptor,
    ResidentKeyRequirement,
    UserVerificationRequirement,
)

from agentmem.errors import Conflict, Unauthenticated
from agentmem.features.identity.factors.model import StoredPasskey
from agentmem.kit.ids import AccountId

CHALLENGE_BYTES: Final = 32
CEREMONY_SECONDS: Final = 300
"""How long a browser and its user have for an answer."""
_NAME: Final = "AgentMem"
_LONGEST_CLIENT_DATA: Final = 8192
_LONGEST_CREDENTIAL_ID: Final = 1023
_LONGEST_ATTESTATION: Final = 16384


@dataclass(frozen=True, kw_only=True, slots=True)
class RelyingParty:
    """Who asks for passkeys: they are bound to the host ``id``, and used on pages of ``origin`` alone."""

    id: str
    origin: str

    @classmethod
    def of(cls, public_url: str | None) -> RelyingParty:
        """Read it from the server's public URL; raises :class:`Conflict` if that is not set."""
        found = urlsplit(public_url or "")
        if found.hostname is None:
            raise Conflict(
                "Passkeys are bound to the server's address, and public_url is not set.",
                hint="Set AGENTMEM_PUBLIC_URL to the address that browsers use.",
            )
        return cls(id=found.hostname, origin=f"{found.scheme}://{found.netloc}")


@dataclass(frozen=True, kw_only=True, slots=True)
class Registered:
    """A new passkey, as its authenticator made it."""

    credential_id: bytes = field(repr=False)
    public_key: bytes = field(repr=False)
    sign_count: int


@dataclass(frozen=True, kw_only=True, slots=True)
class Asserted:
    """That a passkey was used, and what its authenticator counts."""

    sign_count: int
    user_verified: bool


def registration_options(
    party: RelyingParty, challenge: bytes, account_id: AccountId, name: str, known: Iterable[bytes]
) -> dict[str, JsonValue]:
    """Write what a browser is asked to make a passkey, discoverable and behind its owner's PIN or finger.

    ``known`` are the credentials of the account: an authenticator that holds one makes no second.
    """
    return options_to_json_dict(
        generate_registration_options(
            rp_id=party.id,
            rp_name=_NAME,
            user_id=account_id.bytes,
            user_name=name,
            challenge=challenge,
            timeout=CEREMONY_SECONDS * 1000,
            authenticator_selection=AuthenticatorSelectionCriteria(
                resident_key=ResidentKeyRequirement.REQUIRED, user_verification=UserVerificationRequirement.REQUIRED
            ),
            exclude_credentials=[PublicKeyCredentialDescriptor(id=credential_id) for credential_id in known],
        )
    )


def authentication_options(
    party: RelyingParty, challenge: bytes, allowed: Iterable[bytes] = ()
) -> dict[str, JsonValue]:
    """Write what a browser is asked to use a passkey: one of the allowed, or any that it has for this server."""
    return options_to_json_dict(
        generate_authentication_options(
            rp_id=party.id,
            challenge=challenge,
            timeout=CEREMONY_SECONDS * 1000,
            allow_credentials=[PublicKeyCredentialDescriptor(id=credential_id) for credential_id in allowed],
            user_verification=UserVerificationRequirement.REQUIRED,
        )
    )


def challenge_of(credential: Mapping[str, JsonValue]) -> bytes:
    """Give the challenge that an answer claims to be for, which says which of ours to look for and proves nothing.

    Raises :class:`Unauthenticated` for what is no answer of a browser.
    """
    with _refusing():
        said = json.loads(_decode(_text(_part(credential, "response"), "clientDataJSON", _LONGEST_CLIENT_DATA)))
        return _decode(_text(said, "challenge", _LONGEST_CLIENT_DATA))


def claimed_by(credential: Mapping[str, JsonValue]) -> tuple[AccountId, bytes]:
    """Give the account and the credential that an answer claims to be of; raises :class:`Unauthenticated`."""
    with _refusing():
        handle = _decode(_text(_part(credential, "response"), "userHandle", 64))
        return AccountId(UUID(bytes=handle)), credential_id_of(credential)


def credential_id_of(credential: Mapping[str, JsonValue]) -> bytes:
    """Give the credential that an answer claims to be of; raises :class:`Unauthenticated`."""
    with _refusing():
        return _decode(_text(credential, "rawId", 2 * _LONGEST_CREDENTIAL_ID))


def read_registration(party: RelyingParty, credential: Mapping[str, JsonValue], challenge: bytes) -> Registered:
    """Check a new passkey, for this challenge and on a page of ours; raises :class:`Unauthenticated`."""
    with _refusing():
        _require_plain(_text(_part(credential, "response"), "attestationObject", _LONGEST_ATTESTATION))
        found = verify_registration_response(
            credential=dict(credential),
            expected_challenge=challenge,
            expected_rp_id=party.id,
            expected_origin=party.origin,
            require_user_verification=True,
        )
    if len(found.credential_id) > _LONGEST_CREDENTIAL_ID:
        raise refused()
    return Registered(
        credential_id=found.credential_id, public_key=found.credential_public_key, sign_count=found.sign_count
    )


def read_assertion(
    party: RelyingParty, credential: Mapping[str, JsonValue], challenge: bytes, passkey: StoredPasskey
) -> Asserted:
    """Check that a passkey signed this challenge on a page of ours, its user verified; raises :class:`Unauthenticated`.

    Whether its count may be believed is for the one who stores it.
    """
    with _refusing():
        found = verify_authentication_response(
            credential=dict(credential),
            expected_challenge=challenge,
            expected_rp_id=party.id,
            expected_origin=party.origin,
            credential_public_key=passkey.public_key,
            credential_current_sign_count=0,
            require_user_verification=True,
        )
    return Asserted(sign_count=found.new_sign_count, user_verified=found.user_verified)


def refused() -> Unauthenticated:
    """Make the one answer to every passkey that is not accepted."""
    return Unauthenticated("The passkey was not accepted.", hint="Begin again, and use one of the account's passkeys.")


@contextmanager
def _refusing() -> Iterator[None]:
    """Refuse whatever is not as a browser writes it, without a word on what was wrong."""
    try:
        yield
    except (WebAuthnException, ValueError, TypeError, KeyError, AttributeError, RecursionError):
        raise refused() from None


def _require_plain(attestation: str) -> None:
    """Refuse statements of a manufacturer: none is asked for, and nobody's certificates are parsed unasked."""
    found = parse_attestation_object(_decode(attestation))
    plain = found.fmt == AttestationFormat.NONE
    if not plain and (found.fmt != AttestationFormat.PACKED or found.att_stmt.x5c):
        raise ValueError(found.fmt)


def _part(values: Mapping[str, JsonValue], name: str) -> Mapping[str, JsonValue]:
    part = values[name]
    if not isinstance(part, dict):
        raise TypeError(name)
    return part


def _text(values: Mapping[str, JsonValue], name: str, longest: int) -> str:
    text = values[name]
    if not isinstance(text, str) or len(text) > longest:
        raise TypeError(name)
    return text


def _decode(text: str) -> bytes:
    return urlsafe_b64decode(text + "=" * (-len(text) % 4))
