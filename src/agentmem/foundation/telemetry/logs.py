"""Logs: one JSON object a line on standard error, never content."""

from __future__ import annotations

import logging
import re
import sys
from collections.abc import MutableMapping
from typing import Final

import structlog

_LEVELS: Final = logging.getLevelNamesMapping()
_KEY: Final = re.compile(r"amk_(?:live|test)_[0-9A-Za-z]{12}_[0-9A-Za-z]{49}")
_SECRET_NAMES: Final = frozenset({"authorization", "api_key", "secret"})
HIDDEN: Final = "***"


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


def forward_library_logs(level: str) -> None:
    """Write what libraries log by Python's own module as lines of ours; called by a server, once."""
    logging.basicConfig(level=_LEVELS[level.upper()], handlers=[_Forward()], force=True)


def hide_secrets(_logger: object, _method: str, line: MutableMapping[str, object]) -> MutableMapping[str, object]:
    """Star API keys in the values of a log line, wherever they came from."""
    for name, value in line.items():
        if name in _SECRET_NAMES:
            line[name] = HIDDEN
        elif isinstance(value, str) and "amk_" in value:
            line[name] = _KEY.sub(HIDDEN, value)
    return line


class _Forward(logging.Handler):
    """Hands each record on, without its traceback: the message of an exception may hold content."""

    def emit(self, record: logging.LogRecord) -> None:
        fields: dict[str, object] = {"logger": record.name}
        if record.exc_info is not None and record.exc_info[0] is not None:
            fields["error"] = record.exc_info[0].__name__
        structlog.get_logger(record.name).log(record.levelno, record.getMessage().strip(), **fields)
