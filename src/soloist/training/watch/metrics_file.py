"""`metrics.csv`: all figures of a training, a row for each logged step, across interruptions."""

from __future__ import annotations

import csv
import io
import os
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Literal

from soloist.errors import TrainingError
from soloist.files import write_whole

METRICS = "metrics.csv"
CURVES = "curves.png"
STEP = "step"
EPOCH_LOSS = "train/loss_epoch"
ELAPSED = "time/elapsed"
VALID = "valid/"
"""Prefix of the figures of the validation."""

Row = dict[str, str]


def read_rows(path: Path) -> tuple[list[str], list[Row]]:
    """Read columns and rows of a metrics file, without an incomplete last line.

    Raises:
        TrainingError: The file holds no metrics.
    """
    text = path.read_text(encoding="utf-8")
    complete = text[: text.rfind("\n") + 1]
    reader = csv.DictReader(io.StringIO(complete, newline=""))
    columns = list(reader.fieldnames or [STEP])
    if STEP not in columns:
        raise TrainingError(f"{path} is not a table of metrics: it has no column {STEP!r}")
    rows = [{name: value or "" for name, value in row.items() if name in columns} for row in reader]
    if bad := next((row for row in rows if not row[STEP].isdecimal()), None):
        raise TrainingError(f"{path} is damaged: {bad[STEP]!r} is not a step")
    return columns, rows


class MetricsFile:
    """Table of figures that grows by rows; figures of one step share a row.

    A new column goes to the right. Rows reach the disk at once, so that a kill loses
    at most the last one.

    Args:
        path: Path of the file, which may exist.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._columns = [STEP]
        self._last: Row = {}
        self._last_begins = 0
        if path.exists():
            self._replace(*read_rows(path))

    def write(self, step: int, values: Mapping[str, float]) -> None:
        """Add figures of a step."""
        same = self._last.get(STEP) == str(step)
        row = {**(self._last if same else {}), STEP: str(step)}
        row |= {name: _format(value) for name, value in values.items()}
        new = [name for name in row if name not in self._columns]
        if new or not self.path.exists():
            rows = read_rows(self.path)[1] if self.path.exists() else []
            self._replace([*self._columns, *new], [*(rows[:-1] if same else rows), row])
            return
        with self.path.open("r+b") as file:
            if same:
                file.truncate(self._last_begins)
            self._last_begins = file.seek(0, os.SEEK_END)
            file.write(self._encode([row]))
        self._last = row

    def drop_from(self, step: int) -> None:
        """Remove the rows of a step and of all later ones."""
        if self.path.exists():
            columns, rows = read_rows(self.path)
            self._replace(columns, [row for row in rows if int(row[STEP]) < step])

    def _replace(self, columns: Sequence[str], rows: Sequence[Row]) -> None:
        """Rewrite the file atomically."""
        self._columns = list(columns)
        self._last = dict(rows[-1]) if rows else {}
        heading = dict(zip(columns, columns, strict=True))
        before, last = self._encode([heading, *rows[:-1]]), self._encode(rows[-1:])
        self._last_begins = len(before)
        write_whole(self.path, before + last)

    def _encode(self, rows: Iterable[Row]) -> bytes:
        text = io.StringIO(newline="")
        csv.DictWriter(text, self._columns, restval="", lineterminator="\n").writerows(rows)
        return text.getvalue().encode()


def _format(value: float) -> str:
    # Figures are single precision: more digits than these are noise.
    return str(value) if isinstance(value, int) else f"{value:.8g}"


def mode_of(figure: str) -> Literal["min", "max"]:
    """Direction in which a figure of Soloist's own gets better."""
    return "min" if figure.endswith("loss") else "max"
