"""One file of a manifest: an SQLite database that a machine writes row by row."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from soloist.errors import SoloistError, UsageError
from soloist.library.manifest_row import Conditions, FinishedWork, ManifestRow, OutputFile

_FORMAT = 1
"""Version of the tables."""

_PATIENCE = 60.0
"""Seconds to wait for other processes of the machine that write."""

_TABLES = """
CREATE TABLE IF NOT EXISTS conditions (
    id INTEGER PRIMARY KEY, model TEXT NOT NULL, content TEXT NOT NULL UNIQUE);
CREATE TABLE IF NOT EXISTS rows (
    id INTEGER PRIMARY KEY, key INTEGER NOT NULL UNIQUE, input TEXT NOT NULL, name TEXT NOT NULL,
    size INTEGER NOT NULL, modified INTEGER NOT NULL, start REAL NOT NULL, duration REAL,
    conditions INTEGER NOT NULL REFERENCES conditions, state TEXT NOT NULL, sha256 BLOB,
    folder TEXT NOT NULL, files TEXT NOT NULL, hashes BLOB NOT NULL, seconds REAL, elapsed REAL NOT NULL,
    memory REAL, null_dbfs REAL, confidence TEXT, kind TEXT NOT NULL, error TEXT NOT NULL,
    attempts INTEGER NOT NULL, finished REAL NOT NULL);
"""
COLUMNS = (
    *("key", "input", "name", "size", "modified", "start", "duration", "conditions", "state", "sha256"),
    *("folder", "files", "hashes", "seconds", "elapsed", "memory", "null_dbfs", "confidence", "kind"),
    *("error", "attempts", "finished"),
)
"""Columns of the rows, without their number."""

UPSERT = (
    "ON CONFLICT (key) DO UPDATE SET "
    + ", ".join(f"{name} = excluded.{name}" for name in COLUMNS[1:])
    + " WHERE excluded.finished >= rows.finished"
)
"""End of an insertion that replaces an older row of the same work."""

_INSERT = f"INSERT INTO rows ({', '.join(COLUMNS)}) VALUES ({', '.join('?' * len(COLUMNS))}) {UPSERT}"
_FINISHED = "SELECT key, size, modified, conditions, folder, files FROM rows WHERE state != 'failed'"
_DEARER = 5
"""Time to find a row by its key, in those of a row of all that are read in their order."""

_AT_ONCE = 500
"""Keys that are looked up at once."""

_SELECT = f"SELECT {', '.join(COLUMNS)} FROM rows"


class ManifestPart:
    """An SQLite database of rows; a kill at any time costs at most the row that was being written.

    The journal is a write-ahead log where the file system allows it. All writers are on one machine.

    Args:
        path: The file.
        write: Make the file if it is missing, and write to it.

    Raises:
        SoloistError: The file is damaged, is no manifest, or cannot be written.
    """

    def __init__(self, path: Path, *, write: bool = False) -> None:
        self.path = path
        with _explained(path):
            if write:
                path.parent.mkdir(parents=True, exist_ok=True)
            elif not path.is_file():
                raise UsageError(f"there is no manifest {path}")
            # A URI, by which reading never makes a file.
            uri = f"{path.absolute().as_uri()}?mode={'rwc' if write else 'rw'}"
            self.database = sqlite3.connect(uri, uri=True, timeout=_PATIENCE, isolation_level=None)
            self._prepare()
        self._conditions: dict[int, Conditions] = {}
        self._numbers: dict[str, int] = {}

    def _prepare(self) -> None:
        (version,) = self.database.execute("PRAGMA user_version").fetchone()
        if version > _FORMAT:
            raise SoloistError(f"{self.path} is of a later version of Soloist: update it")
        if version < _FORMAT:
            try:
                self.database.execute("PRAGMA journal_mode = WAL")
            except sqlite3.OperationalError as error:
                # Some network file systems have no shared memory: the usual journal is as safe, and slower.
                # Where it is locked, another process is making the same file.
                if "locked" not in str(error):
                    self.database.execute("PRAGMA journal_mode = DELETE")
            self.database.executescript(
                f"BEGIN IMMEDIATE; {_TABLES} PRAGMA user_version = {_FORMAT}; COMMIT;"
            )
        self.database.execute("PRAGMA synchronous = NORMAL")

    def close(self) -> None:
        """Close the file; its log becomes part of it."""
        self.database.close()

    def add(self, row: ManifestRow) -> None:
        """Write a row, in place of an older one of the same work.

        Raises:
            SoloistError: The row cannot be written.
        """
        with _explained(self.path):
            self.database.execute(_INSERT, self._values(row))

    def add_all(self, rows: Iterator[ManifestRow]) -> None:
        """Write rows at once, or none of them.

        Raises:
            SoloistError: The rows cannot be written.
        """
        with _explained(self.path):
            self.database.execute("BEGIN IMMEDIATE")
            try:
                self.database.executemany(_INSERT, map(self._values, rows))
                self.database.execute("COMMIT")
            except BaseException:
                self.database.execute("ROLLBACK")
                raise

    def find(self, key: int) -> ManifestRow | None:
        """Row of a piece of work, or None."""
        with _explained(self.path):
            values = self.database.execute(f"{_SELECT} WHERE key = ?", (key,)).fetchone()
        return None if values is None else self._row(values)

    def finished(self, keys: Collection[int]) -> Iterator[tuple[int, FinishedWork]]:
        """Rows of pieces of work that did not fail, with their keys, in any order."""
        with _explained(self.path):
            for key, size, modified, conditions, folder, files in self._finished(keys):
                folder = _restored(folder)
                outputs = [(length, folder + name) for length, name in json.loads(files)]
                yield key, FinishedWork(size, modified, self.conditions(conditions).model_hash, outputs)

    def _finished(self, keys: Collection[int]) -> Iterator[tuple[Any, ...]]:
        """Look keys up, or read all rows if that is faster."""
        (last,) = self.database.execute("SELECT coalesce(max(id), 0) FROM rows").fetchone()
        if len(keys) * _DEARER > last:
            yield from (row for row in self.database.execute(_FINISHED) if row[0] in keys)
            return
        # In the order of the index.
        ordered = sorted(keys)
        for first in range(0, len(ordered), _AT_ONCE):
            part = ordered[first : first + _AT_ONCE]
            yield from self.database.execute(f"{_FINISHED} AND key IN ({', '.join('?' * len(part))})", part)

    def row(self, number: int) -> ManifestRow:
        """Row of a number.

        Raises:
            UsageError: There is no such row.
        """
        with _explained(self.path):
            values = self.database.execute(f"{_SELECT} WHERE id = ?", (number,)).fetchone()
            (last,) = self.database.execute("SELECT coalesce(max(id), 0) FROM rows").fetchone()
        if values is None:
            raise UsageError(f"{self.path} has no row {number}: they are numbered from 1 to {last}")
        return self._row(values)

    def _values(self, row: ManifestRow) -> tuple[Any, ...]:
        folder, files = _split(row.outputs)
        return (
            *(
                row.key,
                _stored(row.input),
                _stored(row.name),
                row.size,
                row.modified,
                row.start,
                row.duration,
            ),
            *(self._number(row.conditions), row.state, bytes.fromhex(row.sha256) or None),
            *(_stored(folder), files, b"".join(bytes.fromhex(each.sha256) for each in row.outputs)),
            *(row.seconds, row.elapsed, row.memory, row.null_dbfs),
            None if row.confidence is None else json.dumps(dict(row.confidence)),
            *(row.kind, _stored(row.error), row.attempts, row.finished),
        )

    def _number(self, conditions: Conditions) -> int:
        """Number of conditions, which are written once."""
        text = conditions.text
        if text not in self._numbers:
            new = (conditions.model, text)
            self.database.execute("INSERT OR IGNORE INTO conditions (model, content) VALUES (?, ?)", new)
            found = self.database.execute("SELECT id FROM conditions WHERE content = ?", (text,))
            self._numbers[text] = found.fetchone()[0]
        return self._numbers[text]

    def _row(self, values: tuple[Any, ...]) -> ManifestRow:
        named = dict(zip(COLUMNS, values, strict=True))
        hashes, folder = named.pop("hashes"), _restored(named.pop("folder"))
        outputs = tuple(
            OutputFile(f"{folder}{name}", size, hashes[32 * place : 32 * place + 32].hex())
            for place, (size, name) in enumerate(json.loads(named.pop("files")))
        )
        confidence = named.pop("confidence")
        named |= {name: _restored(named[name]) for name in ("input", "name", "error")}
        return ManifestRow(
            **{
                **named,
                "conditions": self.conditions(named["conditions"]),
                "sha256": (named["sha256"] or b"").hex(),
                "outputs": outputs,
                "confidence": None if confidence is None else json.loads(confidence),
            }
        )

    def conditions(self, number: int) -> Conditions:
        """Conditions of a number in the column `conditions`."""
        if number not in self._conditions:
            found = self.database.execute("SELECT content FROM conditions WHERE id = ?", (number,))
            self._conditions[number] = Conditions(**json.loads(found.fetchone()[0]))
        return self._conditions[number]


def _split(outputs: tuple[OutputFile, ...]) -> tuple[str, str]:
    """Common folder of files, and their lengths and names below it as JSON."""
    folders = {output.path.rpartition("/")[0] for output in outputs}
    folder = f"{folders.pop()}/" if len(folders) == 1 else ""
    names = [[output.size, output.path.removeprefix(folder)] for output in outputs]
    return folder, json.dumps(names, separators=(",", ":"))


def _stored(text: str) -> str | bytes:
    """Text for SQLite; one with bytes that are not UTF-8, as names have, is stored as bytes."""
    content = text.encode(errors="surrogateescape")
    return text if text.isascii() or content.decode(errors="replace") == text else content


def _restored(stored: str | bytes) -> str:
    return stored.decode(errors="surrogateescape") if isinstance(stored, bytes) else stored


@contextmanager
def _explained(path: Path) -> Iterator[None]:
    """Convert errors of SQLite and of the system to one line with the name of the file."""
    try:
        yield
    except sqlite3.DatabaseError as error:
        hint = ": move it away; finished stems are known by their own records" * (
            "not a database" in str(error)
        )
        raise SoloistError(f"the manifest {path}: {error}{hint}") from error
    except OSError as error:
        raise SoloistError(f"the manifest {path}: {error.strerror or error}") from error
