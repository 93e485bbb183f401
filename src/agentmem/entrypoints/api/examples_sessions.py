"""Examples of what is sent and answered about signing in and sessions; by the name of its schema."""

from __future__ import annotations

from typing import Final

from pydantic import JsonValue

_ID: Final = "01936a5e-7b1c-7d3e-9f20-4a5b6c7d8e9f"
_OTHER_ID: Final = "01936a5e-8c2d-7e4f-8a31-5b6c7d8e9fa0"
_NOW: Final = "2026-11-22T09:30:00Z"
_KID: Final = "pUvBXsGGh46cZU9amYcQhQpvP8Nq27Ky2uV02EVFH-g"
_REFRESH: Final = "amr_0123456789abcdefghijkl_..."

_SESSION: Final[dict[str, JsonValue]] = {
    "id": _ID,
    "account_id": _OTHER_ID,
    "organization_id": _OTHER_ID,
    "member_id": _ID,
    "current": True,
    "methods": ["pwd"],
    "level": "aal1",
    "address": "192.0.2.7",
    "agent": "Mozilla/5.0",
    "authenticated_at": _NOW,
    "last_seen_at": _NOW,
    "idle_until": "2026-11-22T10:30:00Z",
    "expires_at": "2026-11-23T09:30:00Z",
}
_TOKENS: Final[dict[str, JsonValue]] = {
    "status": "signed_in",
    "access_token": "eyJhbGciOiJFZERTQSIsInR5cCI6ImF0K2p3dCIsImtpZCI6Ii4uLiJ9...",
    "token_type": "Bearer",
    "expires_in": 600,
    "refresh_token": _REFRESH,
    "device": "amd_...",
    "session_id": _ID,
    "organization_id": _OTHER_ID,
}
_SIGNING_KEY: Final[dict[str, JsonValue]] = {
    "id": _ID,
    "kid": _KID,
    "created_at": _NOW,
    "signs_from": "2026-11-22T10:30:00Z",
    "checks_until": None,
}

SESSION_EXAMPLES: Final[dict[str, dict[str, JsonValue]]] = {
    "EndedSessions": {"ended": 2},
    "ExpiredPassword": {"challenge": "amp_...", "password": "nine larks over the mill"},
    "Introspection": {
        "active": True,
        "token_type": "access_token",
        "sub": _OTHER_ID,
        "org": _OTHER_ID,
        "sid": _ID,
        "iss": "https://memory.example",
        "aud": "agentmem",
        "jti": _ID,
        "iat": 1795339800,
        "exp": 1795340400,
        "auth_time": 1795339800,
        "amr": ["pwd"],
        "acr": "aal1",
    },
    "IntrospectionRequest": {"token": "eyJhbGciOiJFZERTQSIsInR5cCI6ImF0K2p3dCIsImtpZCI6Ii4uLiJ9..."},
    "Items_Session_": {"items": [_SESSION]},
    "Items_SigningKey_": {"items": [_SIGNING_KEY]},
    "JsonWebKeys": {
        "keys": [
            {
                "kty": "OKP",
                "crv": "Ed25519",
                "x": "PuuXG4Jd_zTTr_tQTbjW8cNAj-6_a8c4BQ6l0D021x4",
                "kid": _KID,
                "alg": "EdDSA",
                "use": "sig",
            }
        ]
    },
    "RefreshRequest": {"refresh_token": _REFRESH},
    "RevocationRequest": {"token": _REFRESH},
    "Revoked": {"revoked": True},
    "Rotate": {"at_once": False},
    "SignIn": {"email": "ada@example.com", "password": "seven herons at the weir"},
    "SignInAnswer": _TOKENS,
    "Tokens": _TOKENS,
}
