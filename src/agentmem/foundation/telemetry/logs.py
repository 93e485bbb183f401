"""Logs: one JSON object a line on standard error, never content."""

from __future__ import annotations

import logging
import re
import secrets
import sys
from collections.abc import Mapping, MutableMapping
from dataclasses import dataclass
from typing import Final

import stamina.instrumentation
import structlog

from agentmem.foundation.masking.engine import Masker, Style, tagged
from agentmem.schemas.masking import MaskingPolicy

_LEVELS: Final = logging.getLevelNamesMapping()
_SECRET_NAME: Final = re.compile(
    r"(?i)(?:^|[_.-])(?:authorization|cookies?|passw(?:or)?d|passphrase|otp|totp|secrets?|tokens?|dsn|credentials?"
    r"|(?:api|private|master|signing)[_-]?keys?|recovery[_-]?codes?)$"
)
"""Names of fields whose values are never written, whatever they look like."""

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
            Hiding(masker=Masker.of(MaskingPolicy()), style=tagged(secrets.token_bytes(32))),
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


@dataclass(frozen=True, kw_only=True, slots=True)
class Hiding:
    """The last thing that is done with a log line: secrets and personal data in its values are masked, at any depth.

    What is shown instead is a hash under a key of this process, so that lines about the same thing can be told.
    """

    masker: Masker
    style: Style

    def __call__(self, _logger: object, _method: str, line: MutableMapping[str, object]) -> MutableMapping[str, object]:
        """Mask a line."""
        return {name: self._shown(name, value) for name, value in line.items()}

    def _shown(self, name: str, value: object) -> object:
        if value is None or isinstance(value, bool | int | float):
            return value
        if _SECRET_NAME.search(name):
            return HIDDEN
        if isinstance(value, Mapping):
            return {str(key): self._shown(str(key), item) for key, item in value.items()}
        if isinstance(value, list | tuple | set | frozenset):
            return [self._shown(name, item) for item in value]
        return self.masker.mask(str(value), self.style)


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
