"""Lists of recordings: CSV, JSON lines or Parquet, with settings of their own for each."""

from __future__ import annotations

import csv
import json
import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from soloist.errors import UsageError
from soloist.files import expand_home
from soloist.resources import import_extra
from soloist.urls import is_url, missing

SUFFIXES = (".csv", ".jsonl", ".parquet")
"""Suffixes of lists."""

_COLUMNS = ("path", "name", "model", "stems", "start", "duration")


@dataclass(frozen=True)
class ListedRecording:
    """Recording of a list; None stands for the value of the command.

    Attributes:
        path: File or URL; relative to the folder of the list.
        name: Name of the track, below the output folder.
        model: Name or folder of the model.
        stems: Names of stems; empty for those of the command.
        start: Start of the excerpt, s.
        duration: Duration of the excerpt, s.
    """

    path: str
    name: str | None = None
    model: str | None = None
    stems: tuple[str, ...] = ()
    start: float | None = None
    duration: float | None = None


def is_list(given: str) -> bool:
    """Tell whether an input is a list of recordings."""
    return given.lower().endswith(SUFFIXES)


def read_list(path: Path) -> Iterator[ListedRecording]:
    """Read a list row by row; columns other than those of `ListedRecording` are left alone.

    Raises:
        UsageError: Names the list, its row and what is wrong.
    """
    path = expand_home(path)
    read = {".csv": _read_csv, ".jsonl": _read_json, ".parquet": _read_parquet}[path.suffix.lower()]
    try:
        for number, row in enumerate(read(path), start=1):
            yield _parse(row, path, f"{path}, row {number}")
    except FileNotFoundError as error:
        raise UsageError(f"the list {missing(path)}") from error
    except OSError as error:
        raise UsageError(f"the list {path} cannot be read: {error.strerror or error}") from error
    except (UnicodeDecodeError, csv.Error) as error:
        raise UsageError(f"the list {path} is not a table in UTF-8: {error}") from error


def _read_csv(path: Path) -> Iterator[Mapping[str, Any]]:
    with path.open(encoding="utf-8-sig", newline="") as file:
        yield from csv.DictReader(file)


def _read_json(path: Path) -> Iterator[Mapping[str, Any]]:
    with path.open(encoding="utf-8-sig") as file:
        for number, line in enumerate(file, start=1):
            if not line.strip():
                continue
            try:
                row = json.loads(line)
            except ValueError as error:
                raise UsageError(f"{path}, line {number} is no JSON: {error}") from error
            if not isinstance(row, dict):
                raise UsageError(f'{path}, line {number} must be an object such as {{"path": "song.wav"}}')
            yield row


def _read_parquet(path: Path) -> Iterator[Mapping[str, Any]]:
    parquet = import_extra("pyarrow.parquet", "parquet")
    with path.open("rb") as file:
        try:
            table = parquet.ParquetFile(file)
            columns = [name for name in _COLUMNS if name in table.schema_arrow.names]
            for batch in table.iter_batches(columns=columns):
                yield from batch.to_pylist()
        except ValueError as error:  # pyarrow's own errors are among them
            raise UsageError(f"the list {path} is no Parquet: {error}") from error


def _parse(row: Mapping[str, Any], path: Path, where: str) -> ListedRecording:
    given = {key: row[key] for key in _COLUMNS if row.get(key) not in (None, "")}
    if not isinstance(given.get("path"), str):
        raise UsageError(f"{where} names no recording: a column path must have a file or a URL")
    for key in ("name", "model"):
        if key in given and not isinstance(given[key], str):
            raise UsageError(f"{where}: {key} must be a text, not {given[key]!r}")
    place = str(given["path"])
    return ListedRecording(
        path=place if is_url(place) else str(path.parent / expand_home(place)),
        name=given.get("name"),
        model=given.get("model"),
        stems=_stems(given.get("stems", ()), where),
        start=_seconds(given.get("start"), "start", where),
        duration=_seconds(given.get("duration"), "duration", where),
    )


def _stems(given: Any, where: str) -> tuple[str, ...]:
    names = given.split(",") if isinstance(given, str) else given
    if not isinstance(names, (list, tuple)) or not all(isinstance(name, str) for name in names):
        raise UsageError(f"{where}: stems must be names with commas between them, or a list, not {given!r}")
    return tuple(name.strip() for name in names if name.strip())


def _seconds(given: Any, key: str, where: str) -> float | None:
    if given is None or (isinstance(given, float) and math.isnan(given)):
        return None
    try:
        seconds = float(given)
    except (TypeError, ValueError) as error:
        raise UsageError(f"{where}: {key} must be a number of seconds, not {given!r}") from error
    if not (0 <= seconds < math.inf) or (key == "duration" and not seconds):
        raise UsageError(f"{where}: {key} must be a time in seconds, not {given!r}")
    return seconds
