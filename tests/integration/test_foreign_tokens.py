"""Our access tokens, checked by a program of others from the published keys alone: `jose` of npm."""

from __future__ import annotations

from agentmem import AsyncMemory
from agentmem.foundation.authorization.caller import local_operator
from agentmem.foundation.authorization.platform import platform_id
from tests.support.foreign_programs import needs_npm, run_script
from tests.support.served import client
from tests.support.sign_ins import gatehouse_of, person_of

pytestmark = needs_npm


async def test_jose_checks_our_tokens_by_the_published_keys_and_refuses_what_was_changed(memory: AsyncMemory) -> None:
    gatehouse, ada = gatehouse_of(memory.app), await person_of(memory.app)
    tokens = await gatehouse.sign_in(ada)
    assert tokens.access_token is not None
    await gatehouse.signing_in.keys.service.rotate(local_operator(platform_id()), at_once=False)
    memory.app.admission.people.keys._read = None
    async with client(memory.app, None) as api:
        jwks = (await api.get("/.well-known/jwks.json")).json()
    head, body, signature = tokens.access_token.split(".")
    issuer = memory.app.admission.people.issuer
    told = run_script(
        "tokens.mjs",
        {
            "jwks": jwks,
            "issuer": issuer.name,
            "audience": issuer.audience,
            "tokens": {
                "good": tokens.access_token,
                "other body": f"{head}.{body[:-2]}AA.{signature}",
                "no signature": f"{head}.{body}.",
            },
        },
    )

    assert len(jwks["keys"]) > 1
    account, session, kid = told["good"].split(" ")
    assert (account, session) == (str(ada.account_id), str(tokens.session_id))
    assert kid in {key["kid"] for key in jwks["keys"]}
    assert told["other body"] == told["no signature"] == "ERR_JWS_SIGNATURE_VERIFICATION_FAILED"
