"""Logs: one JSON object a line on standard error, never content."""

from __future__ import annotations

import logging
import sys
from typing import Final

import structlog

_LEVELS: Final = logging.getLevelNamesMapping()


def set_up_logs(level: str) -> None:
    """Write AgentMem's log lines of this level and above to standard error; called by processes, not by the library."""
    structlog.configure(
        processors=[
            structlog.contextvars.merge_contextvars,
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            structlog.processors.JSONRenderer(),
        ],
        wrapper_class=structlog.make_filtering_bound_logger(_LEVELS[level.upper()]),
        logger_factory=structlog.PrintLoggerFactory(sys.stderr),
    )
