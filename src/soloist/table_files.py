"""Tables as files and texts: CSV, spreadsheets, Markdown."""

from __future__ import annotations

import csv
import io
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from soloist.errors import UsageError
from soloist.files import Staging
from soloist.resources import import_extra

FORMATS = (".csv", ".xlsx")

NO_VALUE = "-"
"""Cell of a figure that is not known."""


@dataclass(frozen=True)
class TextTable:
    """Table of texts, for people.

    Attributes:
        headings: Heading of each column.
        rows: Cells of each row.
        words: Number of columns from the left that hold words; the others hold figures, aligned right.
    """

    headings: tuple[str, ...]
    rows: list[list[str]]
    words: int

    def to_markdown(self) -> str:
        """Format the table as Markdown, without a newline at the end."""
        rules = ["---"] * self.words + ["---:"] * (len(self.headings) - self.words)
        return "\n".join(f"| {' | '.join(row)} |" for row in (self.headings, rules, *self.rows))


def write_table(rows: Sequence[Mapping[str, Any]], path: Path, headings: Sequence[str] = ()) -> None:
    """Write rows of named values under headings, whole or not at all.

    Args:
        rows: Values by heading; a missing value is an empty cell.
        path: A file .csv, or .xlsx, which needs the extra `sheet`.
        headings: Headings that come first, and that a table without rows has.

    Raises:
        UsageError: The path has another suffix, or openpyxl is not installed.
        OSError: The file cannot be written.
    """
    check_format(path)
    staging = Staging()
    try:
        staged = staging.target(path)
        if path.suffix.lower() == ".xlsx":
            _write_sheet(_lines(rows, headings), staged)
        else:
            content = format_csv(rows, headings).encode(errors="backslashreplace")
            staged.write_bytes(content)
        staging.promote()
    finally:
        staging.discard()


def check_format(path: Path) -> None:
    """Refuse a path whose suffix is none of `FORMATS`.

    Raises:
        UsageError: The path has another suffix.
    """
    if path.suffix.lower() not in FORMATS:
        raise UsageError(f"tables are written as {' or '.join(FORMATS)}: give {path.with_suffix('.csv')}")


def format_csv(rows: Sequence[Mapping[str, Any]], headings: Sequence[str] = ()) -> str:
    """Format rows of named values as CSV; see `write_table`."""
    text = io.StringIO(newline="")
    csv.writer(text, lineterminator="\n").writerows(_lines(rows, headings))
    return text.getvalue()


def _lines(rows: Sequence[Mapping[str, Any]], headings: Sequence[str]) -> list[list[Any]]:
    """Headings, and the values of each row in their order; None for a missing value."""
    columns = list(dict.fromkeys([*headings, *(key for row in rows for key in row)]))
    return [columns, *([row.get(key) for key in columns] for row in rows)] if columns else []


def _write_sheet(lines: Sequence[Sequence[Any]], path: Path) -> None:
    openpyxl = import_extra("openpyxl", "sheet")
    book = openpyxl.Workbook()
    sheet = book.active
    for line in lines:
        sheet.append([value if isinstance(value, (int, float)) else _text(value) for value in line])
    for cell in (cell for row in sheet.iter_rows() for cell in row if isinstance(cell.value, str)):
        # A text that begins with "=" stays a text, and is no formula.
        cell.data_type = "s"
    for cell in sheet[1]:
        cell.font = openpyxl.styles.Font(bold=True)
    sheet.freeze_panes = "A2"
    book.save(path)


def _text(value: Any) -> str | None:
    return None if value is None else str(value)
