"""ID tokens: what is wrong with one is found, whatever the rest of it says."""

from __future__ import annotations

import hmac
from datetime import UTC, datetime

import pytest
from joserfc import jwt
from joserfc.jwk import KeySet, OKPKey, RSAKey

from agentmem.errors import Unauthenticated
from agentmem.foundation.oidc.identity_token import Expected, Vouched, check_identity_token
from agentmem.schemas.request_keys import to_text

NOW = datetime(2026, 11, 27, tzinfo=UTC)
KEY = RSAKey.generate_key(2048, {"kid": "one"})
EXPECTED = Expected(issuer="https://provider.example", client_id="agentmem", nonce="n" * 43)
GOOD = {
    "iss": EXPECTED.issuer,
    "aud": "agentmem",
    "nonce": EXPECTED.nonce,
    "sub": "ada",
    "iat": int(NOW.timestamp()),
    "exp": int(NOW.timestamp()) + 300,
    "groups": ["staff", 7],
    "amr": ["pwd", "mfa"],
}
ABSENT = object()


def token(**changes: object) -> str:
    claims = {name: value for name, value in {**GOOD, **changes}.items() if value is not ABSENT}
    return jwt.encode({"alg": "RS256", "kid": "one"}, claims, KEY)


def check(text: str, expected: Expected = EXPECTED) -> Vouched:
    return check_identity_token(text, KeySet([RSAKey.import_key(KEY.as_dict(private=False))]), expected, NOW)


def test_good_token_says_who_it_is() -> None:
    vouched = check(token())

    assert (vouched.subject, vouched.methods, vouched.groups("groups")) == ("ada", ("pwd", "mfa"), ["staff"])
    assert vouched.groups("absent") == []
    assert "ada" not in repr(vouched)
    assert check(token(aud=["agentmem"])).subject == "ada"
    assert check(token(aud=["agentmem", "other"], azp="agentmem")).subject == "ada"


@pytest.mark.parametrize(
    "changes",
    [
        {"iss": "https://provider.example/"},
        {"iss": "https://evil.example"},
        {"iss": ABSENT},
        {"aud": "other"},
        {"aud": ["other"]},
        {"aud": ["agentmem", "other"]},
        {"aud": ["agentmem", "other"], "azp": "other"},
        {"azp": "other"},
        {"aud": ABSENT},
        {"nonce": "m" * 43},
        {"nonce": ABSENT},
        {"sub": ABSENT},
        {"sub": ""},
        {"sub": "x" * 256},
        {"sub": 7},
        {"exp": int(NOW.timestamp()) - 61},
        {"exp": ABSENT},
        {"iat": ABSENT},
        {"iat": int(NOW.timestamp()) + 3600},
        {"nbf": int(NOW.timestamp()) + 3600},
    ],
)
def test_token_that_says_anything_else_is_refused(changes: dict[str, object]) -> None:
    with pytest.raises(Unauthenticated):
        check(token(**changes))


def test_token_of_another_key_or_kind_of_signature_is_refused() -> None:
    public = KEY.as_pem(private=False)
    header, payload, signature = token().split(".")
    confused = ".".join((to_text(b'{"alg":"HS256","kid":"one"}'), payload))
    forged = [
        jwt.encode({"alg": "RS256", "kid": "one"}, GOOD, RSAKey.generate_key(2048)),
        f"{confused}.{to_text(hmac.digest(public, confused.encode(), 'sha256'))}",
        jwt.encode({"alg": "Ed25519", "kid": "one"}, GOOD, OKPKey.generate_key("Ed25519"), algorithms=["Ed25519"]),
        f"{header}.{payload}.",
        f"eyJhbGciOiJub25lIn0.{payload}.",
        f"{header}.{payload}.{signature[:-4]}AAAA",
        "x" * 20_000,
        "",
    ]
    for text in forged:
        with pytest.raises(Unauthenticated):
            check(text)


def test_sign_in_there_is_as_lately_and_as_good_as_asked() -> None:
    strict = Expected(
        issuer=EXPECTED.issuer, client_id="agentmem", nonce=EXPECTED.nonce, acr_values=("gold",), max_age_seconds=60
    )
    lately = int(NOW.timestamp()) - 30

    assert check(token(acr="gold", auth_time=lately), strict).subject == "ada"
    for changes in ({"auth_time": lately}, {"acr": "tin", "auth_time": lately}, {"acr": "gold"}):
        with pytest.raises(Unauthenticated):
            check(token(**changes), strict)
    with pytest.raises(Unauthenticated):
        check(token(acr="gold", auth_time=lately - 200), strict)
