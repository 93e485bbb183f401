"""Codes of authenticator apps: HMAC-SHA-1 of a secret and the time, six digits, thirty seconds (RFC 6238).

Other hashes, lengths and steps are in the standard, and are ignored by many of the apps.
"""

from __future__ import annotations

import base64
import hmac
import secrets
from datetime import datetime
from io import BytesIO
from typing import Final

import segno
from pyotp import TOTP

SECRET_BYTES: Final = 20
STEP_SECONDS: Final = 30
WINDOW: Final = 1
"""Steps before and after the present one whose codes are taken: clocks differ, and typing takes its time."""
ISSUER: Final = "AgentMem"


def new_secret() -> str:
    """Make a secret of 160 random bits, in base 32 as apps take it."""
    return base64.b32encode(secrets.token_bytes(SECRET_BYTES)).decode()


def code_at(secret: str, step: int) -> str:
    """Give the code of a step; steps count from 1970."""
    return TOTP(secret).generate_otp(step)


def step_at(moment: datetime) -> int:
    """Give the step that a moment lies in."""
    return int(moment.timestamp()) // STEP_SECONDS


def matching_step(secret: str, code: str, moment: datetime) -> int | None:
    """Give the step whose code this is, one before, at or after the moment's; all are compared, whichever it is.

    Whoever accepts the code must not accept that step again, nor one before it.
    """
    present, found = step_at(moment), None
    for step in range(max(0, present - WINDOW), present + WINDOW + 1):
        if hmac.compare_digest(code_at(secret, step).encode(), code.encode()):
            found = step
    return found


def provisioning_uri(secret: str, account: str) -> str:
    """Write what an app needs to know, as the ``otpauth`` URI that its camera reads; ``account`` is shown beside it."""
    return TOTP(secret, name=account, issuer=ISSUER).provisioning_uri()


def qr_svg(uri: str) -> str:
    """Draw a URI as a QR code, in SVG that needs no style sheet and no script."""
    drawn = BytesIO()
    segno.make_qr(uri, error="m").save(drawn, kind="svg", scale=4, xmldecl=False)
    return drawn.getvalue().decode().strip()
