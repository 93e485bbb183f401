"""What a person or a program reads: tables on a terminal, lines with tabs in a pipe, JSON where it is asked for."""

from __future__ import annotations

import json
import sys
import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from pydantic_core import to_jsonable_python
from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table
from rich.text import Text

QUIET: Final = "bright_black"
_BIDIRECTIONAL: Final = frozenset("\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069")
_REPLACEMENT: Final = "\ufffd"


@dataclass(frozen=True, kw_only=True)
class Column:
    """A column of a sheet; one that lies ``below`` is a quiet line under the column before it."""

    name: str
    style: str = ""
    right: bool = False
    below: bool = False
    grows: bool = False


@dataclass(frozen=True, kw_only=True)
class Sheet:
    """Rows of text under columns; ``nothing`` is said when there are none."""

    columns: Sequence[Column]
    rows: Sequence[Sequence[str]]
    nothing: str


@dataclass(frozen=True, kw_only=True)
class Facts:
    """Names with their values."""

    pairs: Sequence[tuple[str, str]]


class _Screen(Console):
    def on_broken_pipe(self) -> None:
        # Rich would end the program with status 1; a reader that has gone is no error (Invocation.guarded).
        raise BrokenPipeError


def console(*, errors: bool = False) -> Console:
    """Make a console that prints text as it is: no markup, no highlighting."""
    return _Screen(stderr=errors, markup=False, highlight=False, emoji=False)


def visible(text: str) -> str:
    """Replace what would steer a terminal or turn text around, so that stored text cannot pose as output."""
    return "".join(
        _REPLACEMENT
        if character in _BIDIRECTIONAL or (unicodedata.category(character) == "Cc" and character not in "\n\t")
        else character
        for character in text
    )


def on_one_line(text: str) -> str:
    """Fold white space, line breaks included, into single spaces."""
    return " ".join(visible(text).split())


def counted(count: int, one: str, many: str | None = None) -> str:
    """Write a number with its noun."""
    return f"{count:,} {one if count == 1 else many or f'{one}s'}"


def complain(message: str) -> None:
    """Write an error as one line on standard error."""
    print(f"error: {on_one_line(message)}", file=sys.stderr, flush=True)  # noqa: T201  # what a command line is for


def remark(message: str) -> None:
    """Tell a person something beside the result, on standard error."""
    console(errors=True).print(Text(visible(message), style=QUIET), soft_wrap=True)


def emit(document: object) -> None:
    """Write one JSON document on standard output: one line, or indented on a terminal."""
    plain = to_jsonable_python(document)
    emit_text(json.dumps(plain, ensure_ascii=False, indent=2 if sys.stdout.isatty() else None))


def emit_text(text: str) -> None:
    """Write text and a line break on standard output, as it is."""
    sys.stdout.write(text + "\n")


def say(message: str) -> None:
    """Write a sentence on standard output."""
    emit_text(visible(message))


def give(document: object, view: Sheet | Facts | str, *, as_json: bool) -> None:
    """Write an answer: the document for a program, the view of it for a person."""
    if as_json:
        emit(document)
    elif isinstance(view, str):
        say(view)
    else:
        show(view)


def show(view: Sheet | Facts) -> None:
    """Write a view: a table on a terminal, otherwise one line for each row, its cells separated by tabs."""
    rows = view.rows if isinstance(view, Sheet) else view.pairs
    if isinstance(view, Sheet) and not rows:
        remark(view.nothing)
    elif not sys.stdout.isatty():
        for row in rows:
            emit_text("\t".join(on_one_line(cell) for cell in row))
    else:
        console().print(_drawn_sheet(view) if isinstance(view, Sheet) else _drawn_facts(view))


def _drawn_facts(facts: Facts) -> Table:
    grid = Table.grid(padding=(0, 2))
    grid.add_column(style=QUIET)
    grid.add_column(overflow="fold")
    for name, value in facts.pairs:
        grid.add_row(f"  {name}", Text(visible(value)))
    return grid


def _drawn_sheet(sheet: Sheet) -> Table:
    table = Table(box=SIMPLE_HEAD, border_style=QUIET, header_style=QUIET, pad_edge=True, show_edge=False)
    used = [any(cells) for cells in zip(*sheet.rows, strict=True)]
    for column, holds in zip(sheet.columns, used, strict=True):
        if holds and not column.below:
            table.add_column(
                column.name,
                style=column.style,
                justify="right" if column.right else "left",
                no_wrap=not column.grows,
                overflow="fold" if column.grows else "ellipsis",
                ratio=1 if column.grows else None,
            )
    for row in sheet.rows:
        cells: list[Text] = []
        for column, cell, holds in zip(sheet.columns, row, used, strict=True):
            if not holds:
                continue
            if not column.below:
                cells.append(Text(visible(cell)))
            elif cell:
                cells[-1].append(f"\n{visible(cell)}", style=QUIET)
        table.add_row(*cells)
    return table
