"""What every test gets: a clean environment, the size of the run, and the shared data where it is there."""

from __future__ import annotations

import os
import signal
import sys
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

pytest_plugins = ("tests.support.key_services", "tests.support.stores")
SHARED_DATA = "AGENTMEM_SHARED_DATA"


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--full", action="store_true", help="run the slow suites whole, not as bounded samples")


def pytest_configure(config: pytest.Config) -> None:
    # A developer's own settings must not reach the tests, nor the programs that tests start.
    for name in [name for name in os.environ if name.startswith("AGENTMEM_") and name != SHARED_DATA]:
        del os.environ[name]
    # A run started in the background ignores Ctrl-C, and so would every program that a test interrupts.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    # No deadline: a slow machine is not a failure.
    settings.register_profile("sample", max_examples=50, deadline=None, suppress_health_check=[HealthCheck.too_slow])
    settings.register_profile("full", settings.get_profile("sample"), max_examples=2000)
    settings.load_profile("full" if config.getoption("--full") else "sample")


@pytest.fixture(scope="session")
def full(request: pytest.FixtureRequest) -> bool:
    """Whether slow suites run whole; otherwise a test takes a bounded sample."""
    return bool(request.config.getoption("--full"))


@pytest.fixture(scope="session")
def shared_data(request: pytest.FixtureRequest) -> Path:
    """The folder of the shared data; a test that asks for it is skipped where it is absent."""
    default = request.config.rootpath.parent / "shared" / "data"
    folder = Path(os.environ.get(SHARED_DATA, default)).resolve()
    if not folder.is_dir():
        pytest.skip(f"needs the shared data: {SHARED_DATA} names no folder")
    return folder


def pytest_runtest_logreport(report: pytest.TestReport) -> None:
    """Name each failure as it happens: a run that is cut short still says what failed."""
    if report.failed and "PYTEST_XDIST_WORKER" not in os.environ:
        print(f"\nfailed at {report.when}: {report.nodeid}: {_last_line(report)}", file=sys.__stderr__, flush=True)


def _last_line(report: pytest.TestReport) -> str:
    return (report.longreprtext.strip().splitlines() or [""])[-1]
