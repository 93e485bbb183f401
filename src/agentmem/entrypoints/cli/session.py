"""One run of the command line: what it was given, the store it opens, and how it ends."""

from __future__ import annotations

import errno
import os
import sys
import traceback
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import typer

import agentmem
from agentmem.entrypoints.cli.output import complain
from agentmem.errors import AgentMemError, StorageFull
from agentmem.foundation.telemetry.logs import set_up_logs
from agentmem.settings import Settings

if TYPE_CHECKING:
    from agentmem.entrypoints.embedded.sync import Memory

FAILED = 1
_FULL = frozenset((errno.ENOSPC, errno.EDQUOT, errno.EFBIG))


@dataclass(frozen=True, kw_only=True)
class Invocation:
    """The global options of one run; ``given`` are settings that go before the environment."""

    given: Mapping[str, object] = field(repr=False)
    debug: bool

    @contextmanager
    def opened(self, **settings: object) -> Iterator[Memory]:
        """Open the store for the body of a ``with``; its errors end the program as :meth:`guarded` says."""
        with self.guarded():
            given = {**self.given, **settings}
            set_up_logs(Settings.load(**given).log_level)
            # Asked of the package only here, so that help and completion load no model and no database.
            with agentmem.Memory(**given) as memory:
                yield memory

    @contextmanager
    def guarded(self) -> Iterator[None]:
        """Turn an error of the body into one line on standard error and an exit status.

        A reader that has gone (``| head``) ends the program in silence. ``--debug`` shows where a fault arose.
        """
        try:
            yield
            sys.stdout.flush()
        except BrokenPipeError:
            _let_go_of_output()
            raise typer.Exit(0) from None
        except AgentMemError as error:
            self._trace()
            complain(f"{error} ({error.code})")
            raise typer.Exit(FAILED) from None
        except (typer.Exit, typer.Abort, typer.BadParameter):
            raise
        except Exception as fault:  # noqa: BLE001  # the rim of the program: a person is told, and never shown a traceback
            self._trace()
            complain(_meaning_of(fault))
            raise typer.Exit(FAILED) from None

    def _trace(self) -> None:
        if self.debug:
            traceback.print_exc()


def invocation(context: typer.Context) -> Invocation:
    """Give the global options of the run that a command belongs to."""
    found = context.find_object(Invocation)
    return found if found is not None else Invocation(given={}, debug=False)


def _meaning_of(fault: Exception) -> str:
    """Say what a fault means for a person; the only one that is none of ours is that the output takes nothing more."""
    if not isinstance(fault, OSError) or fault.errno not in _FULL:
        return f"Something went wrong inside ({type(fault).__name__}). `agentmem --debug` shows where. (internal)"
    _let_go_of_output()
    full = StorageFull(f"Nothing more can be written: {fault.strerror}.", hint="What was written is not whole.")
    return f"{full} ({full.code})"


def _let_go_of_output() -> None:
    """Drop what is still buffered: it would be written, and fail, at the end of the program."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
