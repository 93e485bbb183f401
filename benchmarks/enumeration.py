"""Measures whether time tells who has an account: ``python -m benchmarks.enumeration [--pairs 200]``.

A wrong password for an address that has an account and one for an address that has none, in turn; and a mail that is
asked for, in the same way. The medians may differ by 5 %. Beside it, what a sign-in costs above one hash.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import time
from collections.abc import Awaitable, Callable
from contextlib import suppress
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory
from typing import Final
from uuid import uuid4

from agentmem.bootstrap import App, open_app
from agentmem.errors import Unauthenticated
from agentmem.features.identity.accounts.model import MailPurpose
from agentmem.foundation.authorization.caller import accounts_caller
from agentmem.schemas.accounts import NewAccount
from agentmem.settings import Settings

GOAL: Final = 0.05
GOAL_MS: Final = 10.0
PASSWORD: Final = "seven herons at the weir"  # noqa: S105  # of accounts that live for one run
Call = Callable[[str], Awaitable[object]]


@dataclass(frozen=True, kw_only=True)
class Pairs:
    """The medians of calls for known and unknown addresses, in milliseconds."""

    known_ms: float
    unknown_ms: float

    @property
    def difference(self) -> float:
        """By which part of the smaller one they differ."""
        return abs(self.known_ms - self.unknown_ms) / min(self.known_ms, self.unknown_ms)


async def timed(call: Call, email: str) -> float:
    """Give the milliseconds that a call takes."""
    began = time.perf_counter()
    with suppress(Unauthenticated):
        await call(email)
    return (time.perf_counter() - began) * 1000


def somebody() -> str:
    """Give an address that nobody has."""
    return f"{uuid4().hex}@example.com"


async def in_turn(call: Call, known: list[str]) -> Pairs:
    """Call for each of the known addresses and for one that nobody has, in turn; the order changes with each pair."""
    took: dict[bool, list[float]] = {True: [], False: []}
    for number, email in enumerate(known):
        for is_known in (number % 2 == 0, number % 2 == 1):
            took[is_known].append(await timed(call, email if is_known else somebody()))
    return Pairs(known_ms=median(took[True]), unknown_ms=median(took[False]))


async def made(app: App, count: int) -> list[str]:
    """Make accounts, and give their addresses."""
    hashed, emails = await app.accounts.passwords.hash(PASSWORD), [somebody() for _ in range(count)]
    for email in emails:
        await app.accounts.service.create(accounts_caller(), NewAccount(email=email, name="Ada"), hashed, verified=True)
    return emails


async def measure(app: App, pairs: int) -> dict[str, object]:
    """Give the figures."""
    await app.accounts.found()
    emails = await made(app, pairs)
    check = app.accounts.check
    guesses = await in_turn(lambda email: check.verify(email, "a wrong password"), emails)
    asking = replace(app.accounts.asking, sends=True)
    mails = await in_turn(lambda email: asking.ask(MailPurpose.RESET, email), emails)
    fresh = (await made(app, 1))[0]
    signing = median([await timed(lambda email: check.verify(email, PASSWORD), fresh) for _ in range(50)])
    passwords = app.accounts.passwords
    hashing = median([await timed(lambda _: passwords.matches(passwords.nobodys, PASSWORD), "") for _ in range(50)])
    return {
        "guess": {**asdict(guesses), "difference": guesses.difference},
        "mail": {**asdict(mails), "difference": mails.difference},
        "sign_in_ms": signing,
        "hash_ms": hashing,
        "beside_the_hash_ms": signing - hashing,
        "goals": {"difference": GOAL, "beside_the_hash_ms": GOAL_MS},
    }


async def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.enumeration", description=__doc__)
    parser.add_argument("--pairs", type=int, default=200, help="how many pairs")
    pairs = parser.parse_args().pairs
    limits = dict.fromkeys(("sign_in_limit", "sign_in_limit_ip", "mail_limit"), 0)
    with TemporaryDirectory(prefix="agentmem-bench-", ignore_cleanup_errors=True) as folder:
        settings = Settings.load(data_directory=Path(folder) / "store", linger=0.0, **limits)
        async with open_app(settings, background=False) as app:
            print(json.dumps(await measure(app, pairs), indent=2))


if __name__ == "__main__":
    asyncio.run(main())
