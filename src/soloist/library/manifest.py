"""The manifest of an output folder: one part for each machine that wrote into it."""

from __future__ import annotations

import platform
import re
import sqlite3
from collections.abc import Collection, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from types import TracebackType

from soloist.errors import UsageError
from soloist.files import scratch_folder
from soloist.library.manifest_part import COLUMNS, UPSERT, ManifestPart
from soloist.library.manifest_row import FinishedWork, ManifestRow

FOLDER = "manifest"
"""Name of the folder of the parts, in the output folder."""

_SUFFIX = ".sqlite"


class Manifest:
    """Manifest of an output folder, to which this machine adds rows.

    Each machine writes a part of its own, because SQLite's locks and shared memory end at a machine: parts
    in one folder are one manifest, and manifests are merged by copying their parts into one folder.

    The records beside the stems (`.soloist.json`) decide to whom files belong and whether they are finished.
    The manifest adds what they have no room for (hashes of the outputs, cost, failures), and answers for all
    files at once. A stem without a row is found by its record, and gets a row.

    Args:
        output: The output folder.

    Raises:
        SoloistError: A part is damaged, or cannot be written.
    """

    def __init__(self, output: Path) -> None:
        folder = output / FOLDER
        self._own = ManifestPart(folder / part_name(), write=True)
        self._others = [ManifestPart(path) for path in _files(folder) if path != self._own.path]

    def __enter__(self) -> Manifest:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for part in (self._own, *self._others):
            part.close()

    def add(self, row: ManifestRow) -> None:
        """Write a row; it is on the disk as soon as the call returns.

        Raises:
            SoloistError: The row cannot be written.
        """
        self._own.add(row)

    def finished(self, keys: Collection[int]) -> Iterator[tuple[int, FinishedWork]]:
        """Rows of pieces of work that did not fail, with their keys, of all machines.

        Args:
            keys: The keys; a set, or a mapping of them.
        """
        for part in (self._own, *self._others):
            yield from part.finished(keys)

    def find(self, key: int) -> ManifestRow | None:
        """Newest row of a piece of work, by any machine; None if there is none."""
        rows = [row for part in (self._own, *self._others) if (row := part.find(key)) is not None]
        return max(rows, key=lambda row: row.finished, default=None)


def part_name() -> str:
    """Name of the part of this machine."""
    return (re.sub(r"[^\w.-]", "_", platform.node()) or "machine") + _SUFFIX


def has_manifest(given: Path) -> bool:
    """Tell whether a path is an output folder with a manifest, the folder of a manifest, or a part of one."""
    return bool(_parts(given))


def find_parts(given: Path) -> list[Path]:
    """Parts of a manifest, by the output folder, the folder of the manifest or one part.

    Raises:
        UsageError: There is no manifest.
    """
    if not (parts := _parts(given)):
        raise UsageError(
            f"{given} has no manifest: soloist separate --jobs N, --cluster and lists of recordings keep one"
        )
    return parts


def _parts(given: Path) -> list[Path]:
    if given.is_file():
        return [given] if given.suffix == _SUFFIX else []
    return _files(given / FOLDER) or _files(given)


def _files(folder: Path) -> list[Path]:
    return sorted(folder.glob(f"*{_SUFFIX}"))


def read_row(given: Path, number: int) -> tuple[ManifestRow, Path]:
    """Read a row, and the output folder that its files lie in.

    Args:
        given: An output folder, the folder of its manifest, or a part.
        number: Number of the row.

    Raises:
        UsageError: There is no such row, or several parts have one.
    """
    parts = find_parts(given)
    if len(parts) > 1:
        names = ", ".join(str(path) for path in parts[:3])
        raise UsageError(
            f"{given} has {len(parts)} parts, each with rows of its own: name one, such as {names}"
        )
    part = ManifestPart(parts[0])
    try:
        return part.row(number), parts[0].parent.parent
    finally:
        part.close()


@contextmanager
def opened(paths: Sequence[Path]) -> Iterator[ManifestPart]:
    """Open parts as one: of rows of the same work, the newest is taken.

    Yields:
        The only part itself; or a temporary merger, whose rows have other numbers.
    """
    if len(paths) == 1:
        part = ManifestPart(paths[0])
        try:
            yield part
        finally:
            part.close()
        return
    with scratch_folder() as folder:
        merged = ManifestPart(folder / f"merged{_SUFFIX}", write=True)
        try:
            for path in paths:
                _merge(merged.database, path)
            yield merged
        finally:
            merged.close()


def _merge(database: sqlite3.Connection, path: Path) -> None:
    ManifestPart(path).close()  # says what is wrong with a file
    database.execute("ATTACH ? AS part", (str(path),))
    database.execute("BEGIN")
    database.execute(
        "INSERT OR IGNORE INTO main.conditions (model, content) SELECT model, content FROM part.conditions"
    )
    columns = ["main.conditions.id" if name == "conditions" else f"part.rows.{name}" for name in COLUMNS]
    database.execute(
        f"INSERT INTO main.rows ({', '.join(COLUMNS)}) SELECT {', '.join(columns)} FROM part.rows "
        "JOIN part.conditions ON part.conditions.id = part.rows.conditions "
        f"JOIN main.conditions ON main.conditions.content = part.conditions.content WHERE true {UPSERT}"
    )
    database.execute("COMMIT")
    database.execute("DETACH part")
