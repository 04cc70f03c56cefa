"""Tables of comma-separated values that come with corpora."""

from __future__ import annotations

import csv
from collections.abc import Iterable
from pathlib import Path

from soloist.errors import AudioError


def read_table(path: Path, columns: Iterable[str]) -> list[dict[str, str]]:
    """The rows of a table, by the names of the columns.

    Args:
        path: The file, with a line of headings.
        columns: Those that every row must have.

    Raises:
        AudioError: The file cannot be read, a column is missing, or a row is shorter than the headings.
    """
    try:
        with path.open(encoding="utf-8", newline="") as file:
            reader = csv.DictReader(file)
            rows = list(reader)
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise AudioError(f"cannot read {path}: {getattr(error, 'strerror', None) or error}") from error
    for column in columns:
        if column not in (reader.fieldnames or ()):
            raise AudioError(f"{path} has no column {column}; copy or generate it again")
        if short := next((line for line, row in enumerate(rows, 2) if row[column] is None), None):
            raise AudioError(f"{path} ends in the middle of line {short}; copy or generate it again")
    return rows
