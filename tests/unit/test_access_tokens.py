"""Access tokens: what is signed, and every way that we know of to be believed without a signature of ours."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
from collections.abc import Callable, Mapping
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any, Final
from uuid import uuid4

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from hypothesis import given
from hypothesis import strategies as st
from joserfc import jwt
from joserfc.jwk import ECKey, OctKey, OKPKey, RSAKey
from joserfc.jws import JWSRegistry

from agentmem.foundation.tokens.access import (
    LEEWAY,
    LONGEST,
    AccessClaims,
    Issuer,
    check_token,
    key_of_token,
    sign_token,
    signed_payload,
)
from agentmem.foundation.tokens.keys import PrivateKey, new_private_key, read_private_key, read_public_key
from agentmem.kit.ids import AccountId, OrganizationId, SessionId, uuid7

NOW: Final = datetime(2026, 11, 22, 9, 30, tzinfo=UTC)
ISSUER: Final = Issuer(name="https://memory.example", audience="agentmem")
KEY: Final = new_private_key()
CLAIMS: Final = AccessClaims(
    account_id=AccountId(uuid7()),
    organization_id=OrganizationId(uuid4()),
    session_id=SessionId(uuid7()),
    token_id=uuid7(),
    methods=("pwd", "otp"),
    level="aal2",
    authenticated_at=NOW - timedelta(minutes=3),
    issued_at=NOW,
    expires_at=NOW + timedelta(minutes=10),
)
TOKEN: Final = sign_token(CLAIMS, ISSUER, KEY)
HEADER: Final = {"alg": "EdDSA", "typ": "at+jwt", "kid": KEY.kid}


def encode(raw: bytes) -> str:
    return base64.urlsafe_b64encode(raw).rstrip(b"=").decode()


def decode(part: str) -> bytes:
    return base64.urlsafe_b64decode(part + "=" * (-len(part) % 4))


def values() -> dict[str, Any]:
    """The claims of the good token as JSON."""
    read: dict[str, Any] = json.loads(decode(TOKEN.split(".")[1]))
    return read


def signed(
    header: Mapping[str, object] | bytes = HEADER,
    payload: Mapping[str, object] | bytes | None = None,
    key: PrivateKey = KEY,
) -> str:
    """Sign a header and a payload whatever they are, as whoever has the key could."""
    head = header if isinstance(header, bytes) else json.dumps(header).encode()
    body = payload if isinstance(payload, bytes) else json.dumps(values() if payload is None else payload).encode()
    text = f"{encode(head)}.{encode(body)}"
    raw = key.key.raw_value
    assert isinstance(raw, Ed25519PrivateKey)
    return f"{text}.{encode(raw.sign(text.encode()))}"


def check(text: str, *, key: PrivateKey = KEY, issuer: Issuer = ISSUER, now: datetime = NOW) -> AccessClaims | None:
    return check_token(text, key.public, issuer, now)


def test_token_says_what_was_signed() -> None:
    assert check(TOKEN) == CLAIMS
    assert key_of_token(TOKEN) == KEY.kid
    assert check(signed()) == CLAIMS
    assert json.loads(decode(TOKEN.split(".")[0])) == HEADER
    assert set(values()) == {"iss", "aud", "sub", "org", "sid", "jti", "amr", "acr", "auth_time", "iat", "exp"}


def test_key_is_read_from_what_it_was_written_as() -> None:
    again = read_private_key(KEY.text())

    assert again.kid == KEY.kid
    assert check(sign_token(CLAIMS, ISSUER, again)) == CLAIMS
    assert read_public_key(KEY.public.jwk).kid == KEY.kid
    assert set(KEY.public.jwk) == {"kty", "crv", "x", "kid", "alg", "use"}


def test_new_key_is_told_to_others_by_its_public_half_alone() -> None:
    key = new_private_key()
    token = sign_token(CLAIMS, ISSUER, key)
    told = read_public_key(key.public.jwk)

    assert key.kid == told.kid == told.key.thumbprint()
    assert key.public.jwk == told.jwk
    assert {name: told.jwk[name] for name in ("kty", "crv", "kid", "alg", "use")} == {
        "kty": "OKP",
        "crv": "Ed25519",
        "kid": key.kid,
        "alg": "EdDSA",
        "use": "sig",
    }
    raw = key.key.raw_value
    assert isinstance(raw, Ed25519PrivateKey)
    assert decode(told.jwk["x"]) == raw.public_key().public_bytes_raw()
    assert check_token(token, told, ISSUER, NOW) == check_token(token, key.public, ISSUER, NOW) == CLAIMS
    assert new_private_key().kid != key.kid


def test_key_shows_no_secret() -> None:
    secret = json.loads(KEY.text())["d"]

    assert secret not in repr(KEY)
    assert secret not in json.dumps(dict(KEY.public.jwk))
    assert secret not in repr(KEY.public)


OTHER: Final = new_private_key()
RSA: Final = RSAKey.generate_key(2048)
EC: Final = ECKey.generate_key("P-256")
PUBLIC_TEXTS: Final = (
    json.dumps(dict(KEY.public.jwk)).encode(),
    decode(KEY.public.jwk["x"]),
    KEY.public.jwk["x"].encode(),
    KEY.public.key.as_pem(private=False),
)


def with_hmac(algorithm: str, secret: bytes) -> str:
    text = f"{encode(json.dumps({**HEADER, 'alg': algorithm}).encode())}.{TOKEN.split('.')[1]}"
    digest = {"HS256": hashlib.sha256, "HS384": hashlib.sha384, "HS512": hashlib.sha512}[algorithm]
    return f"{text}.{encode(hmac.new(secret, text.encode(), digest).digest())}"


def by_joserfc(key: Any, algorithm: str, **header: object) -> str:
    registry = JWSRegistry(algorithms=[algorithm], strict_check_header=False)
    return jwt.encode({**HEADER, "alg": algorithm, **header}, values(), key, registry=registry)


def unsigned(algorithm: str, signature: str = "") -> str:
    return f"{encode(json.dumps({**HEADER, 'alg': algorithm}).encode())}.{TOKEN.split('.')[1]}.{signature}"


head, body, signature = TOKEN.split(".")
ATTACKS: Final[Mapping[str, Callable[[], str]]] = {
    # No algorithm, or a weaker one.
    **{f"alg {name!r}": (lambda name=name: unsigned(name)) for name in ("none", "None", "NONE", "nOnE", "")},  # type: ignore[misc]
    "alg none with the signature kept": lambda: unsigned("none", signature),
    "signature taken away": lambda: f"{head}.{body}.",
    "signature and its dot taken away": lambda: f"{head}.{body}",
    "signature of nothing but zeros": lambda: f"{head}.{body}.{encode(bytes(64))}",
    "signature one byte short": lambda: f"{head}.{body}.{encode(decode(signature)[:-1])}",
    "signature one byte long": lambda: f"{head}.{body}.{encode(decode(signature) + bytes(1))}",
    "alg of another name": lambda: signed({**HEADER, "alg": "Ed25519"}),
    "alg of another case": lambda: signed({**HEADER, "alg": "eddsa"}),
    "alg as a list": lambda: signed({**HEADER, "alg": ["EdDSA"]}),
    "no alg": lambda: signed({"typ": "at+jwt", "kid": KEY.kid}),
    # The public key as the secret of a keyed hash.
    **{
        f"{algorithm} with public key {number}": (lambda a=algorithm, s=secret: with_hmac(a, s))  # type: ignore[misc]
        for algorithm in ("HS256", "HS384", "HS512")
        for number, secret in enumerate(PUBLIC_TEXTS)
    },
    "HS256 with an empty secret": lambda: with_hmac("HS256", b""),
    "RS256 of a key of theirs": lambda: by_joserfc(RSA, "RS256"),
    "PS256 of a key of theirs": lambda: by_joserfc(RSA, "PS256"),
    "ES256 of a key of theirs": lambda: by_joserfc(EC, "ES256"),
    "ES256 with both numbers zero": lambda: (
        f"{encode(json.dumps({**HEADER, 'alg': 'ES256'}).encode())}.{body}.{encode(bytes(64))}"
    ),
    # Keys that the header brings.
    "another key of the kind": lambda: signed(key=OTHER),
    "jwk in the header": lambda: signed({**HEADER, "jwk": dict(OTHER.public.jwk)}, key=OTHER),
    "our own jwk in the header": lambda: signed({**HEADER, "jwk": dict(KEY.public.jwk)}),
    "jku": lambda: signed({**HEADER, "jku": "https://evil.example/jwks.json"}),
    "x5u": lambda: signed({**HEADER, "x5u": "https://evil.example/cert"}),
    "x5c": lambda: signed({**HEADER, "x5c": [encode(b"cert")]}),
    "kid of another key": lambda: signed({**HEADER, "kid": OTHER.kid}),
    "kid that walks": lambda: signed({**HEADER, "kid": "../../../../dev/null"}),
    "kid that asks": lambda: signed({**HEADER, "kid": "' OR 1=1 --"}),
    "kid that is no text": lambda: signed({**HEADER, "kid": 1}),
    "no kid": lambda: signed({"alg": "EdDSA", "typ": "at+jwt"}),
    # Another kind of token, or one that wants to be understood.
    "typ JWT": lambda: signed({**HEADER, "typ": "JWT"}),
    "typ of another case": lambda: signed({**HEADER, "typ": "AT+JWT"}),
    "typ with its media": lambda: signed({**HEADER, "typ": "application/at+jwt"}),
    "no typ": lambda: signed({"alg": "EdDSA", "kid": KEY.kid}),
    "crit that nobody knows": lambda: signed({**HEADER, "crit": ["exp2"], "exp2": 1}),
    "crit of nothing": lambda: signed({**HEADER, "crit": []}),
    "payload that is not encoded": lambda: signed({**HEADER, "b64": False, "crit": ["b64"]}),
    "compressed": lambda: signed({**HEADER, "zip": "DEF"}),
    "cty": lambda: signed({**HEADER, "cty": "JWT"}),
    # Other spellings of the same bytes.
    "padding": lambda: f"{TOKEN}==",
    "padding of the payload": lambda: f"{head}.{body}=.{signature}",
    "stray bits in the signature": lambda: TOKEN[:-1] + chr(ord(TOKEN[-1]) + 1),
    "other alphabet": lambda: (
        TOKEN.replace("-", "+").replace("_", "/") if "-" in TOKEN or "_" in TOKEN else TOKEN + "+"
    ),
    "white space before": lambda: f" {TOKEN}",
    "white space after": lambda: f"{TOKEN}\n",
    "white space within": lambda: f"{head}.\n{body}.{signature}",
    "four parts": lambda: f"{TOKEN}.{signature}",
    "five parts": lambda: f"{TOKEN}..",
    "letters beyond ASCII": lambda: f"{TOKEN}\u0430",
    "full-width dots": lambda: TOKEN.replace(".", "\uff0e"),
    "as JSON": lambda: json.dumps({"protected": head, "payload": body, "signature": signature}),
    # Headers and payloads that are none.
    "empty": lambda: "",
    "dots": lambda: "..",
    "header is a list": lambda: signed(b'["EdDSA"]'),
    "header is no JSON": lambda: signed(b"{alg:EdDSA}"),
    "header is deep": lambda: signed(b"[" * 300 + b"]" * 300),
    "header is no UTF-8": lambda: signed(b'{"alg":"EdDSA\xff"}'),
    "payload is a list": lambda: signed(payload=b"[]"),
    "payload is no JSON": lambda: signed(payload=b"exp"),
    "payload is deep": lambda: signed(payload=b'{"a":' * 400 + b"1" + b"}" * 400),
    "payload is no UTF-8": lambda: signed(payload=b'{"a":"\xff"}'),
    "too long": lambda: signed(payload={**values(), "more": "x" * LONGEST}),
    # Claims that are somebody else's, over, missing, or of another type.
    "issuer of another installation": lambda: signed(payload={**values(), "iss": "https://other.example"}),
    "issuer with a slash": lambda: signed(payload={**values(), "iss": ISSUER.name + "/"}),
    "audience of another service": lambda: signed(payload={**values(), "aud": "other"}),
    "several audiences": lambda: signed(payload={**values(), "aud": ["agentmem", "other"]}),
    "no time left": lambda: signed(payload={**values(), "exp": int(NOW.timestamp()) - LEEWAY}),
    "end that is text": lambda: signed(payload={**values(), "exp": str(values()["exp"])}),
    "end that is a fraction": lambda: signed(payload={**values(), "exp": values()["exp"] + 0.5}),
    "end that is true": lambda: signed(payload={**values(), "exp": True}),
    "end beyond all calendars": lambda: signed(payload={**values(), "exp": 10**18}),
    "end that is infinite": lambda: signed(payload=json.dumps({**values(), "exp": float("inf")}).encode()),
    "not yet": lambda: signed(payload={**values(), "nbf": int(NOW.timestamp()) + LEEWAY + 1}),
    "made in the future": lambda: signed(payload={**values(), "iat": int(NOW.timestamp()) + LEEWAY + 1}),
    "account that is none": lambda: signed(payload={**values(), "sub": "admin"}),
    "account in capitals": lambda: signed(payload={**values(), "sub": values()["sub"].upper()}),
    "methods that are a text": lambda: signed(payload={**values(), "amr": "pwd"}),
    "methods that are numbers": lambda: signed(payload={**values(), "amr": [1]}),
    **{
        f"no {name}": (lambda name=name: signed(payload={k: v for k, v in values().items() if k != name}))  # type: ignore[misc]
        for name in values()
    },
    **{
        f"{name} is null": (lambda name=name: signed(payload={**values(), name: None}))  # type: ignore[misc]
        for name in values()
    },
}


@pytest.mark.parametrize("name", ATTACKS)
def test_what_we_have_not_signed_so_is_refused(name: str) -> None:
    text = ATTACKS[name]()

    assert text != TOKEN
    assert check(text) is None


@pytest.mark.parametrize("place", range(len(TOKEN)))
def test_one_other_character_is_one_too_many(place: int) -> None:
    other = "A" if TOKEN[place] != "A" else "B"
    text = TOKEN[:place] + other + TOKEN[place + 1 :]

    assert check(text) is None


@given(st.text(max_size=300) | st.from_regex(r"[A-Za-z0-9_-]{1,80}(\.[A-Za-z0-9_-]{1,80}){0,4}", fullmatch=True))
def test_whatever_is_presented_nothing_breaks(text: str) -> None:
    assert check(text) is None
    assert signed_payload(text, KEY.public) is None
    assert key_of_token(text) is None or "." in text


def test_name_of_a_key_is_read_of_what_has_the_form_of_a_token_alone() -> None:
    assert key_of_token(signed({**HEADER, "kid": "other"}, key=OTHER)) == "other"
    for name in ("kid that is no text", "no kid", "stray bits in the signature", "padding", "four parts", "empty"):
        assert key_of_token(ATTACKS[name]()) is None, name


def test_token_of_the_greatest_length_is_read_and_no_longer_one() -> None:
    claims = json.dumps(values()).encode()
    payloads = (claims.ljust(size) for size in range(LONGEST // 2, LONGEST))
    longest = next(payload for payload in payloads if len(signed(payload=payload)) == LONGEST)
    text, longer = signed(payload=longest), signed(payload=longest + b" ")

    assert (key_of_token(text), check(text)) == (KEY.kid, CLAIMS)
    assert (key_of_token(longer), check(longer)) == (None, None)


@pytest.mark.parametrize("payload", [b"\x00\x00W", b"\xff\xff\xff", b"a", b"ab", b"abc"])
def test_whatever_was_signed_is_given_as_it_was(payload: bytes) -> None:
    assert signed_payload(signed(payload=payload), KEY.public) == payload


def test_key_that_may_only_encrypt_is_no_matter_for_ours() -> None:
    secret = OctKey.import_key({"kty": "oct", "k": encode(bytes(32)), "use": "enc"})
    foreign = OKPKey.generate_key("Ed25519", private=True)

    assert check(f"{head}.{body}.{encode(hmac.new(secret.raw_value, b'', hashlib.sha256).digest())}") is None
    assert (
        read_public_key(
            {name: str(value) for name, value in foreign.as_dict(private=False).items()} | {"use": "enc"}
        ).jwk["use"]
        == "sig"
    )


@pytest.mark.parametrize(
    "seconds, good",
    [(0, True), (599, True), (600 + LEEWAY - 1, True), (600 + LEEWAY, False), (-LEEWAY, True), (-LEEWAY - 1, False)],
)
def test_clocks_may_differ_by_five_seconds_and_no_more(seconds: int, good: bool) -> None:
    assert (check(TOKEN, now=NOW + timedelta(seconds=seconds)) is not None) == good


def test_each_claim_comes_back_as_it_was() -> None:
    claims = replace(
        CLAIMS,
        account_id=AccountId(uuid7()),
        organization_id=OrganizationId(uuid7()),
        session_id=SessionId(uuid7()),
        token_id=uuid7(),
        methods=("hwk",),
        level="aal1",
        authenticated_at=NOW - timedelta(days=1),
    )

    assert check(sign_token(claims, ISSUER, KEY)) == claims
    assert check(TOKEN, issuer=replace(ISSUER, name="https://other.example")) is None
    assert check(TOKEN, issuer=replace(ISSUER, audience="other")) is None
