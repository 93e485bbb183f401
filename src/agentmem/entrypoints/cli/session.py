"""One run of the command line: what it was given, the store it opens, and how it ends."""

from __future__ import annotations

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
from agentmem.errors import AgentMemError
from agentmem.foundation.telemetry.logs import set_up_logs
from agentmem.settings import Settings

if TYPE_CHECKING:
    from agentmem.entrypoints.embedded.sync import Memory

FAILED = 1


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
            # What is still buffered would be written, and fail, at the end of the program.
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
            raise typer.Exit(0) from None
        except AgentMemError as error:
            self._trace()
            complain(f"{error} ({error.code})")
            raise typer.Exit(FAILED) from None
        except (typer.Exit, typer.Abort, typer.BadParameter):
            raise
        except Exception as fault:  # noqa: BLE001  # the rim of the program: a person is told, and never shown a traceback
            self._trace()
            complain(
                f"Something went wrong inside ({type(fault).__name__}). `agentmem --debug` shows where. (internal)"
            )
            raise typer.Exit(FAILED) from None

    def _trace(self) -> None:
        if self.debug:
            traceback.print_exc()


def invocation(context: typer.Context) -> Invocation:
    """Give the global options of the run that a command belongs to."""
    found = context.find_object(Invocation)
    return found if found is not None else Invocation(given={}, debug=False)
