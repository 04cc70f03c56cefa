"""Output of the commands: tables, JSON, progress bars, and a line during slow imports."""

from __future__ import annotations

import gc
import math
import sys
import textwrap
from collections.abc import Collection, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import cache
from typing import TYPE_CHECKING

import typer

if TYPE_CHECKING:
    from rich.console import Console
    from rich.progress import Progress, ProgressColumn
    from rich.table import Table

_PIPE_WIDTH = 10_000
"""Columns of text in a file or pipe, in which no row is wrapped."""

_LONGEST_WORD = 16
"""Longest word that is not broken when a cell is wrapped."""

_GAP = 2
_LOADING = "loading ..."


@dataclass(frozen=True)
class PrintedTable:
    """Headings, and rows of cells below them.

    Attributes:
        headings: Headings of the columns. The cells of the first column are never wrapped.
        rows: Cells of each row.
        numbers: Headings of the columns that are aligned to the right and never wrapped.
    """

    headings: Sequence[str]
    rows: Sequence[Sequence[str]]
    numbers: Collection[str] = ()

    def least_width(self) -> int:
        """Columns of text that the table needs at least."""
        return sum(self._least()) + _GAP * (len(self.headings) - 1)

    def full_width(self) -> int:
        """Columns of text in which no cell is wrapped."""
        return sum(self._most()) + _GAP * (len(self.headings) - 1)

    def widths(self, room: int) -> list[int]:
        """Widths of the table's columns in `room` columns of text, in proportion to their full widths."""
        widths, most = self._least(), self._most()
        spare = room - self.least_width()
        while spare > 0 and widths != most:
            growing = (index for index in range(len(widths)) if widths[index] < most[index])
            widths[min(growing, key=lambda index: widths[index] / most[index])] += 1
            spare -= 1
        return widths

    def _least(self) -> list[int]:
        least = []
        for index, (heading, most) in enumerate(zip(self.headings, self._most(), strict=True)):
            words = [word for cell in (heading, *self._cells(index)) for word in cell.split()]
            wrapped = max(len(heading), min(_LONGEST_WORD, max(map(len, words), default=0)))
            least.append(most if index == 0 or heading in self.numbers else min(most, wrapped))
        return least

    def _most(self) -> list[int]:
        return [
            max(len(line) for cell in (heading, *self._cells(index)) for line in cell.split("\n"))
            for index, heading in enumerate(self.headings)
        ]

    def _cells(self, index: int) -> list[str]:
        return [row[index] for row in self.rows]


def print_table(table: PrintedTable, compact: PrintedTable | None = None) -> None:
    """Print a table, in a narrower form if the terminal is too narrow.

    Args:
        table: The table.
        compact: A table of the same rows with fewer columns, for narrow terminals.

    The forms are, from wide to narrow: the table; `compact` (or the table) with wrapped cells; a block of
    lines for each row.
    """
    from rich.console import Console

    console = Console(markup=False, highlight=False, emoji=False)
    if not console.is_terminal:
        console.width = _PIPE_WIDTH
    table, narrow = _printable_table(table), _printable_table(compact or table)
    if table.full_width() <= console.width:
        console.print(_grid(table, console.width))
    elif narrow.least_width() <= console.width:
        console.print(_grid(narrow, console.width))
    else:
        _print_blocks(table, console)


def _printable_table(table: PrintedTable) -> PrintedTable:
    rows = [[printable(cell) for cell in row] for row in table.rows]
    return replace(table, headings=[printable(heading) for heading in table.headings], rows=rows)


def _grid(table: PrintedTable, width: int) -> Table:
    from rich.table import Table

    grid = Table(
        box=None, header_style="bold", row_styles=["", "dim"], padding=(0, _GAP, 0, 0), pad_edge=False
    )
    for heading, column in zip(table.headings, table.widths(width), strict=True):
        justify = "right" if heading in table.numbers else "left"
        grid.add_column(heading, justify=justify, width=column, overflow="fold")  # type: ignore[arg-type]
    for row in table.rows:
        grid.add_row(*row)
    return grid


def _print_blocks(table: PrintedTable, console: Console) -> None:
    for number, (name, *cells) in enumerate(table.rows):
        if number:
            console.print()
        console.print("\n".join(wrapped(name, console.width)), style="bold")
        for heading, cell in zip(table.headings[1:], cells, strict=True):
            if cell:
                console.print("\n".join(wrapped(f"{heading}: {cell}", console.width, "  ", "    ")))


def wrapped(text: str, width: int, first: str = "", others: str = "") -> list[str]:
    """Lines of a text of at most `width` characters; words with hyphens stay whole."""
    return textwrap.wrap(text, width, initial_indent=first, subsequent_indent=others, break_on_hyphens=False)


def print_json(value: object) -> None:
    """Print a value as indented JSON."""
    from soloist.files import json_text

    typer.echo(json_text(value, indent=2, ensure_ascii=False))


def decibels(gain: float) -> float:
    """Level of a gain, dB."""
    return 20 * math.log10(gain)


def printable(text: str) -> str:
    """A text with escapes in place of control characters and of bytes that are not UTF-8.

    A terminal would obey the one, and no encoding has the other.
    """
    import re

    def escape(match: re.Match[str]) -> str:
        code = ord(match[0])
        return f"\\x{code & 0xFF:02x}" if code < 0x100 or 0xDC80 <= code <= 0xDCFF else f"\\u{code:04x}"

    return re.sub("[\x00-\x08\x0b-\x1f\x7f-\x9f\ud800-\udfff]", escape, text)


def named(name: object) -> str:
    """A name in a line of text, in which line ends and tabs are escaped like other control characters."""
    return printable(str(name)).replace("\n", "\\n").replace("\t", "\\t")


def print_names(text: object) -> None:
    """Print lines on standard output: names as they are for a program, with escapes for a terminal."""
    # Without colours, Typer would take escape sequences out of names.
    typer.echo(printable(str(text)) if sys.stdout.isatty() else str(text), color=True)


def say(message: str) -> None:
    """Print a line on standard error, above any progress bar."""
    standard_error().print(printable(message))


def warn(message: str) -> None:
    """Print a line about a failure on standard error, above any progress bar."""
    say(f"soloist: {message}")


@contextmanager
def progress_bar(*columns: str | ProgressColumn, quiet: bool = False) -> Iterator[Progress]:
    """A transient progress bar on standard error, hidden if that is no terminal.

    Args:
        *columns: Columns of each task; none for Rich's own.
        quiet: Hide the bar on a terminal, too.
    """
    from rich.progress import Progress

    console = standard_error()
    with Progress(*columns, console=console, transient=True, disable=quiet or not console.is_terminal) as bar:
        yield bar


@cache
def standard_error() -> Console:
    """The only console of standard error, so that lines appear above bars."""
    from rich.console import Console

    return Console(stderr=True, markup=False, highlight=False, emoji=False, soft_wrap=True)


@contextmanager
def loading(*, quiet: bool = False) -> Iterator[None]:
    """Show `loading ...` on a terminal during slow imports, and import without collecting garbage.

    What modules define is no garbage. Searching it again and again costs a fifth of the import of PyTorch.
    """
    shown = not quiet and sys.stderr is not None and sys.stderr.isatty()
    if shown:
        sys.stderr.write(_LOADING)
        sys.stderr.flush()
    first = "torch" not in sys.modules
    gc.disable()
    try:
        yield
    finally:
        if first:
            gc.freeze()
        gc.enable()
        if shown:
            sys.stderr.write(f"\r{' ' * len(_LOADING)}\r")
            sys.stderr.flush()
