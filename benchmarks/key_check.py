"""Measures the checking of an API key: ``python -m benchmarks.key_check [--checks 100000]``.

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

from agentmem.bootstrap import App, open_app
from agentmem.pipelines.admission.admission import Presented
from agentmem.pipelines.admission.first_start import first_key
from agentmem.settings import Settings

GOAL_MS: Final = 0.1
WARMING: Final = 1000


async def measure(app: App, checks: int) -> float:
    """Give the milliseconds of processor time that one check takes."""
    issued = await first_key(app.issuing, app.caller)
    assert issued is not None
    presented = Presented(
        authorization=f"Bearer {issued.key}", address=ip_address("127.0.0.1"), request_id="req_benchmark"
    )
    for _ in range(WARMING):
        await app.admission.admit(presented, 1)
    began = time.process_time()
    for _ in range(checks):
        await app.admission.admit(presented, 1)
    return (time.process_time() - began) * 1000 / checks


async def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.key_check", description=__doc__)
    parser.add_argument("--checks", type=int, default=100_000, help="how many checks")
    checks = parser.parse_args().checks
    # Limits that are on, and that so many checks at once do not reach.
    limits = dict.fromkeys(("rate_limit_ip", "rate_limit_key", "rate_limit_organization"), 1_000_000_000)
    with TemporaryDirectory(prefix="agentmem-bench-", ignore_cleanup_errors=True) as folder:
        async with open_app(Settings.load(data_directory=Path(folder) / "store", linger=0.0, **limits)) as app:
            took = await measure(app, checks)
    print(f"{took:.4f} ms of processor time a check, over {checks:,} checks (goal: under {GOAL_MS})")


if __name__ == "__main__":
    asyncio.run(main())
