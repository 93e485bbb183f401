"""Reports of leaked keys."""

from __future__ import annotations

import asyncio
from http import HTTPStatus
from typing import Final

from starlette.requests import Request
from starlette.responses import Response

from agentmem.entrypoints.api.access import PUBLIC, access
from agentmem.entrypoints.api.answers import answer
from agentmem.entrypoints.api.gate import app_of, router
from agentmem.errors import Unauthenticated
from agentmem.foundation.encryption.signature import is_signed
from agentmem.schemas.keys import LeakOutcome, LeakReport

leaks = router("leaks")
SIGNATURE: Final = "X-Signature"


@leaks.post(
    "/secret-scanning/report",
    response_model=LeakOutcome,
    status_code=HTTPStatus.ACCEPTED,
    openapi_extra=access(PUBLIC, cost=5),
)
async def report_leak(request: Request, report: LeakReport) -> Response:
    """Report a whole API key that was found where it should not be: it is revoked, with all keys made with it.

    The answer is the same whether the key was known or not. Reporting a key again changes nothing, so that there is no
    `Idempotency-Key`. Where the server is set up with a public key for it, the
    header `X-Signature` must hold the base64 of an ECDSA signature (P-256, SHA-256) of the body.
    """
    app = app_of(request)
    path = app.settings.leak_report_key
    if path is not None:
        pem = await asyncio.to_thread(path.read_bytes)
        if not is_signed(pem, request.headers.get(SIGNATURE, ""), await request.body()):
            raise Unauthenticated("The report is not signed by who may report leaked keys.")
    await app.issuing.report_leak(report.key)
    return answer(LeakOutcome(), HTTPStatus.ACCEPTED)
