"""Measures the checking of an API key and of an access token: ``python -m benchmarks.key_check [--checks 100000]``.

The processor time that one admission takes: the form of the key, its checksum, its keyed digest, revocation, expiry,
networks, permissions and rate limits. What the database says of a key is kept for less than a second, so the queries
of the runs, one set a second, are in the figure.
"""

from __future__ import annotations

import argparse
import asyncio
import time
from ipaddress import ip_address
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Final

from pydantic import SecretStr

from agentmem.bootstrap import App, open_app
from agentmem.foundation.authorization.caller import local_operator
from agentmem.foundation.authorization.platform import platform_id
from agentmem.kit.ids import AccountId
from agentmem.pipelines.admission.admission import Presented
from agentmem.pipelines.admission.first_start import first_key
from agentmem.pipelines.signing_in.factors import Where
from agentmem.schemas.access import Role
from agentmem.schemas.accounts import NewAccount
from agentmem.schemas.organizations import MemberKind, NewMember
from agentmem.schemas.sessions import SignIn, Tokens
from agentmem.settings import Settings

GOAL_MS: Final = 0.1
TOKEN_GOAL_MS: Final = 0.5
PASSWORD: Final = "eleven storks beside the lock"  # noqa: S105  # of an account that lives for one run
WARMING: Final = 1000


async def measure(app: App, credential: str, checks: int) -> float:
    """Give the milliseconds of processor time that one check takes."""
    presented = Presented(
        authorization=f"Bearer {credential}", address=ip_address("127.0.0.1"), request_id="req_benchmark"
    )
    for _ in range(WARMING):
        await app.admission.admit(presented, 1)
    began = time.process_time()
    for _ in range(checks):
        await app.admission.admit(presented, 1)
    return (time.process_time() - began) * 1000 / checks


async def signed_in(app: App) -> str:
    """Sign somebody in, and give their access token."""
    await app.accounts.found()
    operator = local_operator(platform_id())
    account = await app.accounts.service.create(
        operator,
        NewAccount(email="ada@example.com", name="Ada"),
        await app.accounts.passwords.hash(PASSWORD),
        verified=True,
    )
    new = NewMember(name="Ada", role=Role.MEMBER, kind=MemberKind.PERSON)
    await app.accounts.memberships.join(app.caller, new, AccountId(account.id))
    asked = SignIn(email=account.email, password=SecretStr(PASSWORD))
    tokens = await app.signing_in.sign_in(asked, Where())
    assert isinstance(tokens, Tokens)
    assert tokens.access_token is not None
    return tokens.access_token


async def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.key_check", description=__doc__)
    parser.add_argument("--checks", type=int, default=100_000, help="how many checks")
    checks = parser.parse_args().checks
    # Limits that are on, and that so many checks at once do not reach.
    limits = dict.fromkeys(("rate_limit_ip", "rate_limit_key", "rate_limit_organization"), 1_000_000_000)
    with TemporaryDirectory(prefix="agentmem-bench-", ignore_cleanup_errors=True) as folder:
        async with open_app(Settings.load(data_directory=Path(folder) / "store", linger=0.0, **limits)) as app:
            issued = await first_key(app.issuing, app.caller)
            assert issued is not None
            assert issued.key is not None
            of_key = await measure(app, issued.key, checks)
            of_token = await measure(app, await signed_in(app), checks)
    told = "ms of processor time a check"
    print(f"API key: {of_key:.4f} {told}, over {checks:,} checks (goal: under {GOAL_MS})")
    print(f"access token: {of_token:.4f} {told} (goal: under {TOKEN_GOAL_MS})")


if __name__ == "__main__":
    asyncio.run(main())
