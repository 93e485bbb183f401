"""Signatures of requests: the vectors of RFC 9421, and the one profile that is taken."""

from __future__ import annotations

from base64 import b64decode
from collections.abc import Callable, Mapping
from dataclasses import replace

import pytest
from http_message_signatures import ContentDigest, HTTPMessageVerifier, MappingKeyResolver, algorithms
from http_message_signatures import InvalidSignature as InvalidVendorSignature

from agentmem.errors import InvalidSignature
from agentmem.foundation.signatures.keys import VerifyingKey, public_half
from agentmem.foundation.signatures.messages import (
    Fields,
    Message,
    check_digest,
    check_signature,
    check_time,
    fields_of,
    read_claim,
)
from agentmem.schemas.request_keys import SignatureAlgorithm, read_key, write_key
from tests.support.signers import COVERED, NO_BODY, Sent, sign

# RFC 9421, appendix B.1.4 and B.1.5.
ED25519_PUBLIC = b"""-----BEGIN PUBLIC KEY-----
MCowBQYDK2VwAyEAJrQLj5P/89iXES9+vFgrIy29clF9CC/oPPsw3c5D0bs=
-----END PUBLIC KEY-----
"""
SHARED = b64decode("uzvJfB4u3N0Jy4T7NZ75MDVcr8zSTInedJtkgcu46YW4XByzNJjxBdtjUkdJPBtbmHhIDi6pcl8jsasjlTMtDQ==")
# The request of appendix B.2.
REQUEST = Message(
    method="POST",
    url="https://example.com/foo?param=Value&Pet=dog",
    headers=Fields(
        (
            ("host", "example.com"),
            ("date", "Tue, 20 Apr 2021 02:07:55 GMT"),
            ("content-type", "application/json"),
            (
                "content-digest",
                "sha-512=:WZDPaVn/7XgHaAy8pmojAkGWoRx2UFChF41A2svX+TaPm+AbwAgBWnrIiYllu7BNNyealdVLvRwEmTHWXvJwew==:",
            ),
            ("content-length", "18"),
        )
    ),
)
VECTORS = {
    "hmac-sha256": (  # B.2.5
        'sig-b25=("date" "@authority" "content-type");created=1618884473;keyid="test-shared-secret"',
        "sig-b25=:pxcQw6G3AjtMBQjwo8XzkZf/bws5LelbaMk5rGIGtE8=:",
    ),
    "ed25519": (  # B.2.6
        (
            'sig-b26=("date" "@method" "@path" "@authority" "content-type" "content-length");created=1618884473;'
            'keyid="test-key-ed25519"'
        ),
        "sig-b26=:wqcAqbmYJ2ji2glfAMaRy4gruYYnx2nEFN2HN6jrnDnQCK1u02Gb04v9EDgwUPiu4A0w6vuQv5lIp5WPpBKRCw==:",
    ),
}
CREATED = 1_800_000_000
ANEW = "Sign the request anew, as the page about signed requests says."
SEED = bytes(range(32))
BODY = b'{"hello": "world"}'
KEYS = {
    SignatureAlgorithm.ED25519: VerifyingKey(algorithm=SignatureAlgorithm.ED25519, material=public_half(SEED)),
    SignatureAlgorithm.HMAC_SHA256: VerifyingKey(algorithm=SignatureAlgorithm.HMAC_SHA256, material=SEED),
}
URL = "https://memory.example/v1/memories?limit=2"
ALGORITHMS = pytest.mark.parametrize("algorithm", list(SignatureAlgorithm))


@pytest.mark.parametrize("name", VECTORS)
def test_vectors_of_the_rfc_verify_and_a_changed_one_does_not(name: str) -> None:
    algorithm = algorithms.ED25519 if name == "ed25519" else algorithms.HMAC_SHA256
    keys = {"test-key-ed25519": ED25519_PUBLIC, "test-shared-secret": SHARED}
    verifier = HTTPMessageVerifier(
        signature_algorithm=algorithm,
        key_resolver=MappingKeyResolver(public_keys=keys, private_keys={}),
    )
    said, signature = VECTORS[name]
    pairs = (*REQUEST.headers.pairs, ("signature-input", said), ("signature", signature))
    changed = tuple((field, value.replace("json", "jsom")) for field, value in pairs)

    assert verifier.verify(replace(REQUEST, headers=Fields(pairs)), max_age=None)
    with pytest.raises(InvalidVendorSignature):
        verifier.verify(replace(REQUEST, headers=Fields(changed)), max_age=None)


def signed(
    algorithm: SignatureAlgorithm,
    *,
    covered: tuple[str, ...] = COVERED,
    more: Mapping[str, str] | None = None,
    **parts: object,
) -> Message:
    """Give a signed request with a body as the server has it."""
    headers = {"Content-Type": "application/json", "Content-Digest": ContentDigest.create(BODY), **(more or {})}
    values = {"created": CREATED, **parts}
    sent = sign(Sent("POST", URL, headers), algorithm, "k", SEED, covered=covered, **values)  # type: ignore[arg-type]
    raw = [(name.encode(), value.encode()) for name, value in sent.headers.items()]
    return Message(method="POST", url=URL, headers=fields_of(raw))


def verify(message: Message, algorithm: SignatureAlgorithm, *, now: float = CREATED, body: bytes = BODY) -> None:
    claim = read_claim(message.headers)
    assert claim is not None
    check_time(claim, now)
    check_signature(message, claim, KEYS[algorithm], body=bool(body))
    check_digest(message.headers, body)


def renamed(message: Message, name: str, value: str) -> Message:
    """Change one header field on the way."""
    pairs = tuple((field, value if field == name else old) for field, old in message.headers.pairs)
    return replace(message, headers=Fields(pairs))


@ALGORITHMS
def test_request_signed_in_the_profile_is_taken(algorithm: SignatureAlgorithm) -> None:
    verify(signed(algorithm), algorithm)
    verify(signed(algorithm, covered=(*COVERED, "if-match"), more={"If-Match": '"3"'}), algorithm)


@ALGORITHMS
def test_nothing_that_decides_what_a_request_does_can_be_changed(algorithm: SignatureAlgorithm) -> None:
    good = signed(algorithm, covered=(*COVERED, "idempotency-key"), more={"Idempotency-Key": "one"})
    verify(good, algorithm)
    for changed in (
        replace(good, method="PUT"),
        replace(good, url="https://memory.example/v1/memories?limit=3"),
        replace(good, url="https://other.example/v1/memories?limit=2"),
        renamed(good, "content-type", "text/plain"),
        renamed(good, "idempotency-key", "two"),
        renamed(good, "content-digest", ContentDigest.create(b"else")),
        renamed(good, "signature", "sig1=:AAAA:"),
        renamed(good, "signature-input", good.headers.value("signature-input").replace('nonce="', 'nonce="0')),
    ):
        with pytest.raises(InvalidSignature, match="does not hold"):
            verify(changed, algorithm)
    with pytest.raises(InvalidSignature, match="Content-Digest"):
        verify(good, algorithm, body=BODY + b" ")


@pytest.mark.parametrize("left_out", COVERED)
def test_signature_that_covers_too_little_is_refused(left_out: str) -> None:
    covered = tuple(name for name in COVERED if name != left_out)
    with pytest.raises(InvalidSignature, match="covers too little"):
        verify(signed(SignatureAlgorithm.ED25519, covered=covered), SignatureAlgorithm.ED25519)


@pytest.mark.parametrize("field", ["If-Match", "Idempotency-Key"])
def test_field_that_decides_something_must_be_covered_when_it_is_sent(field: str) -> None:
    with pytest.raises(InvalidSignature, match="covers too little"):
        verify(signed(SignatureAlgorithm.ED25519, more={field: "x"}), SignatureAlgorithm.ED25519)


def test_signature_of_somebody_on_the_way_is_no_matter_for_ours() -> None:
    good = signed(SignatureAlgorithm.ED25519)
    theirs = {
        "signature-input": f'proxy=("@method");created={CREATED};keyid="proxy";tag="other"',
        "signature": "proxy=:AAAA:",
    }
    more = replace(good, headers=Fields((*good.headers.pairs, *theirs.items())))

    verify(more, SignatureAlgorithm.ED25519)


def test_request_without_a_body_needs_no_digest() -> None:
    sent = sign(Sent("GET", URL), SignatureAlgorithm.ED25519, "k", SEED, covered=NO_BODY, created=CREATED)
    raw = [(name.encode(), value.encode()) for name, value in sent.headers.items()]
    message = Message(method="GET", url=URL, headers=fields_of(raw))

    verify(message, SignatureAlgorithm.ED25519, body=b"")
    with pytest.raises(InvalidSignature, match="covers too little"):
        verify(message, SignatureAlgorithm.ED25519)


def test_body_is_what_its_digest_says_and_has_one() -> None:
    digest = Fields((("content-digest", ContentDigest.create(BODY)),))
    for fields, body in ((digest, b""), (digest, BODY + b" "), (Fields(()), BODY)):
        with pytest.raises(InvalidSignature) as refused:
            check_digest(fields, body)
        assert (refused.value.message, refused.value.hint) == ("The body is not what Content-Digest says.", ANEW)
    check_digest(digest, BODY)
    check_digest(Fields(()), b"")


def test_whoever_is_refused_is_told_why_and_what_to_do() -> None:
    good = signed(SignatureAlgorithm.ED25519)
    claim = read_claim(good.headers)
    assert claim is not None
    said = good.headers.value("signature-input")
    twice = Fields((("signature-input", said), ("signature-input", said.replace("sig1", "sig2"))))
    other, key = KEYS[SignatureAlgorithm.HMAC_SHA256], KEYS[SignatureAlgorithm.ED25519]
    lacking = "The signature lacks one of created, expires, nonce (128 random bits or more), keyid and alg."
    late = "By the server's clock the signature was made 301 seconds ago, not 300."
    told: list[tuple[Callable[[], object], str, str]] = [
        (lambda: read_claim(Fields((("signature-input", "("),))), "The header Signature-Input is malformed.", ANEW),
        (lambda: read_claim(twice), "More than one signature has the tag agentmem-v1.", ANEW),
        (lambda: read_claim(renamed(good, "signature-input", said.replace("keyid", "k")).headers), lacking, ANEW),
        (lambda: check_time(claim, CREATED + 301), late, "Set the clock, and sign the request anew."),
        (
            lambda: check_time(claim.model_copy(update={"expires": CREATED}), CREATED),
            "The signature has expired, or is good for more than 300 seconds.",
            ANEW,
        ),
        (
            lambda: check_signature(good, claim, other, body=True),
            "The algorithm of the signature is not that of its key.",
            ANEW,
        ),
        (
            lambda: check_signature(replace(good, method="PUT"), claim, key, body=True),
            "The signature does not hold, or covers too little.",
            ANEW,
        ),
    ]
    for call, message, hint in told:
        with pytest.raises(InvalidSignature) as refused:
            call()
        assert (refused.value.message, refused.value.hint) == (message, hint)


@ALGORITHMS
def test_key_of_the_other_algorithm_checks_nothing(algorithm: SignatureAlgorithm) -> None:
    (other,) = set(SignatureAlgorithm) - {algorithm}
    with pytest.raises(InvalidSignature, match="algorithm"):
        verify(signed(algorithm), other)


def test_public_key_is_no_secret_of_an_hmac() -> None:
    public = VerifyingKey(algorithm=SignatureAlgorithm.ED25519, material=public_half(SEED))
    headers = {"Content-Type": "application/json", "Content-Digest": ContentDigest.create(BODY)}
    sent = sign(Sent("POST", URL, headers), SignatureAlgorithm.HMAC_SHA256, "k", public.material, created=CREATED)
    sent.headers["Signature-Input"] = sent.headers["Signature-Input"].replace("hmac-sha256", "ed25519")
    raw = [(name.encode(), value.encode()) for name, value in sent.headers.items()]
    with pytest.raises(InvalidSignature, match="does not hold"):
        verify(Message(method="POST", url=URL, headers=fields_of(raw)), SignatureAlgorithm.ED25519)


@pytest.mark.parametrize(
    "now, lasts, taken",
    [
        (CREATED, 300, True),
        (CREATED + 300, 300, True),
        (CREATED + 301, 300, False),
        (CREATED - 300, 300, True),
        (CREATED - 301, 300, False),
        (CREATED + 11, 10, False),
        (CREATED, 301, False),
        (CREATED, 1, True),
        (CREATED, 0, False),
    ],
)
def test_signature_is_good_for_five_minutes_and_no_more(now: float, lasts: float, *, taken: bool) -> None:
    message = signed(SignatureAlgorithm.ED25519, lasts=lasts)
    if taken:
        verify(message, SignatureAlgorithm.ED25519, now=now)
    else:
        with pytest.raises(InvalidSignature, match=r"clock|expired"):
            verify(message, SignatureAlgorithm.ED25519, now=now)


@pytest.mark.parametrize("lacking", ["created=", "expires=", "nonce=", "keyid=", "alg="])
def test_signature_that_does_not_say_enough_of_itself_is_refused(lacking: str) -> None:
    said = signed(SignatureAlgorithm.ED25519).headers.value("signature-input")
    head, *parameters = said.split(";")
    shorter = ";".join([head, *(one for one in parameters if not one.startswith(lacking))])
    with pytest.raises(InvalidSignature, match="lacks"):
        read_claim(Fields((("signature-input", shorter),)))


@pytest.mark.parametrize("nonce", ["", "short", "0123456789abcdef01234", "x" * 129, "0123456789abcdef0123456789abcde "])
def test_nonce_is_long_enough_to_be_random(nonce: str) -> None:
    with pytest.raises(InvalidSignature, match="nonce"):
        read_claim(signed(SignatureAlgorithm.ED25519, nonce=nonce).headers)


def test_signature_of_another_purpose_is_none_of_ours() -> None:
    assert read_claim(signed(SignatureAlgorithm.ED25519, tag="other").headers) is None
    assert read_claim(Fields(())) is None


@pytest.mark.parametrize(
    "said", ["(", "sig1=", "sig1=1;tag=agentmem-v1, x", "\xff", 'sig1=("a");tag="agentmem-v1";created=?1']
)
def test_malformed_signature_is_refused_and_nothing_else(said: str) -> None:
    with pytest.raises(InvalidSignature):
        read_claim(Fields((("signature-input", said),)))


def test_two_signatures_of_our_tag_are_one_too_many() -> None:
    said = signed(SignatureAlgorithm.ED25519).headers.value("signature-input")
    with pytest.raises(InvalidSignature, match="More than one"):
        read_claim(Fields((("signature-input", said), ("signature-input", said.replace("sig1", "sig2")))))


@ALGORITHMS
def test_key_is_read_as_it_was_written_and_never_shown(algorithm: SignatureAlgorithm) -> None:
    text = write_key(algorithm, "7bQ2xN5dLw0R", SEED)

    assert read_key(text) == (algorithm, "7bQ2xN5dLw0R", SEED)
    assert repr(SEED) not in repr(VerifyingKey(algorithm=algorithm, material=SEED))
    for damaged in (text[:-1], text + "A", text.replace("ams_", "amk_"), text.replace(text[-1], "_")[:-1] + "="):
        with pytest.raises(ValueError, match="is not"):
            read_key(damaged)
