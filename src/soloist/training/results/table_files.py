"""Tables as files: CSV, or a sheet."""

from __future__ import annotations

import csv
import io
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from soloist.errors import UsageError
from soloist.files import Staging
from soloist.resources import import_extra

FORMATS = (".csv", ".xlsx")


def write_table(rows: Sequence[Mapping[str, Any]], path: Path) -> None:
    """Write rows of named values under headings; the file appears when it is complete.

    Args:
        rows: A value that one has and another has not is empty there.
        path: What ends in .xlsx is a sheet, for which the extra `sheet` is needed.

    Raises:
        UsageError: The path ends otherwise, or openpyxl is not installed.
        OSError: The file cannot be written.
    """
    check_format(path)
    staging = Staging()
    try:
        staged = staging.target(path)
        if path.suffix.lower() == ".xlsx":
            _write_sheet(_lines(rows), staged)
        else:
            staged.write_text(format_csv(rows), encoding="utf-8", newline="")
        staging.promote()
    finally:
        staging.discard()


def check_format(path: Path) -> None:
    """Refuse a file that is no table by its name.

    Raises:
        UsageError: It is none of `FORMATS`.
    """
    if path.suffix.lower() not in FORMATS:
        raise UsageError(f"tables are written as {' or '.join(FORMATS)}: give {path.with_suffix('.csv')}")


def format_csv(rows: Sequence[Mapping[str, Any]]) -> str:
    """Rows of named values as CSV, under headings."""
    text = io.StringIO(newline="")
    csv.writer(text, lineterminator="\n").writerows(_lines(rows))
    return text.getvalue()


def _lines(rows: Sequence[Mapping[str, Any]]) -> list[list[Any]]:
    """Headings, and below them the values; what a row does not have is None."""
    headings = list(dict.fromkeys(key for row in rows for key in row))
    return [] if not rows else [headings, *([row.get(key) for key in headings] for row in rows)]


def _write_sheet(lines: Sequence[Sequence[Any]], path: Path) -> None:
    openpyxl = import_extra("openpyxl", "sheet")
    book = openpyxl.Workbook()
    sheet = book.active
    for line in lines:
        sheet.append([value if isinstance(value, (int, float)) else _text(value) for value in line])
    for cell in (cell for row in sheet.iter_rows() for cell in row if isinstance(cell.value, str)):
        # A text that begins with "=" is a text, and nothing to be computed.
        cell.data_type = "s"
    for cell in sheet[1]:
        cell.font = openpyxl.styles.Font(bold=True)
    sheet.freeze_panes = "A2"
    book.save(path)


def _text(value: Any) -> str | None:
    return None if value is None else str(value)
