"""Logs: one JSON object a line on standard error, never content."""

from __future__ import annotations

import logging
import re
import sys
from collections.abc import MutableMapping
from typing import Final

import stamina.instrumentation
import structlog

_LEVELS: Final = logging.getLevelNamesMapping()
_KEY: Final = re.compile(r"amk_(?:live|test)_[0-9A-Za-z]{12}_[0-9A-Za-z]{49}")
_SECRET_NAMES: Final = frozenset({"authorization", "api_key", "secret"})
HIDDEN: Final = "***"
_TRUSTED: Final = "uvicorn."
"""Loggers whose arguments are addresses and numbers of our own."""
_LONGEST: Final = 200


def set_up_logs(level: str) -> None:
    """Write AgentMem's log lines of this level and above to standard error; called by processes, not by the library."""
    structlog.configure(
        processors=[
            structlog.contextvars.merge_contextvars,
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            hide_secrets,
            structlog.processors.JSONRenderer(),
        ],
        wrapper_class=structlog.make_filtering_bound_logger(_LEVELS[level.upper()]),
        logger_factory=structlog.PrintLoggerFactory(sys.stderr),
    )
    # Its own line of each retry would be a second one, and names no dependency.
    stamina.instrumentation.set_on_retry_hooks(())


def forward_library_logs(level: str) -> None:
    """Write what libraries log by Python's own module as lines of ours; called by a server, once.

    Never their debugging: some write whole requests then.
    """
    logging.basicConfig(level=max(logging.INFO, _LEVELS[level.upper()]), handlers=[_Forward()], force=True)


def hide_secrets(_logger: object, _method: str, line: MutableMapping[str, object]) -> MutableMapping[str, object]:
    """Star API keys in the values of a log line, wherever they came from."""
    for name, value in line.items():
        if name in _SECRET_NAMES:
            line[name] = HIDDEN
        elif isinstance(value, str) and "amk_" in value:
            line[name] = _KEY.sub(HIDDEN, value)
    return line


class _Forward(logging.Handler):
    """Hands each record on without what may hold content: its traceback, its arguments, and what follows a first line.

    So an exception's message, which libraries like to log, is told by its kind alone.
    """

    def emit(self, record: logging.LogRecord) -> None:
        fields: dict[str, object] = {"logger": record.name}
        said = record.getMessage() if record.name.startswith(_TRUSTED) else str(record.msg)
        if record.exc_info is not None and record.exc_info[0] is not None:
            fields["error"] = record.exc_info[0].__name__
        structlog.get_logger(record.name).log(record.levelno, said.strip().partition("\n")[0][:_LONGEST], **fields)
