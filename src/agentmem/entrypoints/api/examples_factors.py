"""Examples of what is sent and answered about second factors; by the name of its schema."""

from __future__ import annotations

from typing import Final

from pydantic import JsonValue

_ID: Final = "01936a5e-7b1c-7d3e-9f20-4a5b6c7d8e9f"
_NOW: Final = "2026-11-22T09:30:00Z"
_CHALLENGE: Final = "amc_..."
_PASSKEY: Final[dict[str, JsonValue]] = {"id": _ID, "name": "laptop", "created_at": _NOW, "last_used_at": None}
_TOTP: Final[dict[str, JsonValue]] = {
    "secret": "JBSWY3DPEHPK3PXPJBSWY3DPEHPK3PXP",
    "uri": "otpauth://totp/AgentMem:ada%40example.com?secret=JBSWY3DPEHPK3PXPJBSWY3DPEHPK3PXP&issuer=AgentMem",
    "qr_svg": "<svg>...</svg>",
}
_CREDENTIAL: Final[dict[str, JsonValue]] = {"id": "...", "rawId": "...", "type": "public-key", "response": {}}
_ASKED: Final[dict[str, JsonValue]] = {
    "challenge": "...",
    "rpId": "memory.example",
    "timeout": 300_000,
    "userVerification": "required",
    "allowCredentials": [],
}

FACTOR_EXAMPLES: Final[dict[str, dict[str, JsonValue]]] = {
    "Ceremony": {"public_key": _ASKED},
    "FactorBegun": {"totp": None, "public_key": _ASKED, "sent": False},
    "FactorChoice": {"challenge": _CHALLENGE, "kind": "passkey"},
    "FactorCode": {"code": "123456", "end_other_sessions": True},
    "FactorProof": {"challenge": _CHALLENGE, "kind": "totp", "code": "123456"},
    "FactorRequired": {
        "status": "factor_required",
        "challenge": _CHALLENGE,
        "factors": ["totp", "recovery_code"],
        "organization_id": _ID,
    },
    "Factors": {"totp": True, "passkeys": [_PASSKEY], "email": False, "sms": False, "recovery_codes_left": 10},
    "NewPasskey": {"name": "laptop", "credential": _CREDENTIAL},
    "NewReceiver": {"kind": "sms", "receiver": "+4915112345678"},
    "Passkey": _PASSKEY,
    "PasskeySignIn": {"credential": _CREDENTIAL},
    "ReceiverCode": {"kind": "sms", "code": "123456"},
    "RecoveryCodes": {"codes": ["7ZQ4M0-XKD3AV-9T1B5W-E8HJRC"]},
    "TotpEnrolment": _TOTP,
}
