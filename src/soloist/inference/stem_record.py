"""Records of finished stems, in each folder of stems: recording, excerpt, model and settings.

    {"tracks": [{"stems": ["vocals.wav", ...], "input": {...}, "model": ..., "settings": {...}}, ...]}

Stems of several tracks may share a folder, in which several processes write. A damaged or foreign file counts
as none. While the files of a track get their names, its record is not `finished`: if the program is killed
there, the next one knows to whom the files belong, and writes them again.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Collection, Iterable, Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from soloist.files import json_text, locked_folder, sha256_of, write_whole

RECORD = ".soloist.json"
"""Name of the record in a folder of stems."""

_END = 1 << 16


@dataclass(frozen=True)
class InputFile:
    """Identity of a recording.

    Attributes:
        path: Absolute path, or the name of an input that is no file, such as `-`.
        size: Length in bytes.
        modified: Time of the last change, ns.
        ends: SHA-256 of the first and last 64 KiB.
        sha256: SHA-256 of the whole; empty until a record is kept.
    """

    path: str
    size: int
    modified: int
    ends: str
    sha256: str = ""

    @classmethod
    def of(cls, path: Path, alias: str = "") -> InputFile:
        """Read size, time and ends of a file; `alias` names an input of which the file is a copy.

        Raises:
            OSError: The file cannot be read.
        """
        with path.open("rb") as file:
            about = os.fstat(file.fileno())
            digest = hashlib.sha256(file.read(_END))
            file.seek(max(0, about.st_size - _END))
            digest.update(file.read(_END))
        return cls(alias or os.path.abspath(path), about.st_size, about.st_mtime_ns, digest.hexdigest())

    def hashed(self, path: Path) -> InputFile:
        """The identity with the hash of the whole file, which is read from `path`."""
        return replace(self, sha256=sha256_of(path))

    def is_same_recording(self, now: InputFile, path: Path) -> bool:
        """Return True for a copy of the file, and for the file at the same place, changed or not."""
        return (os.path.isabs(self.path) and self.path == now.path) or self.is_unchanged(now, path)

    def is_unchanged(self, now: InputFile, path: Path) -> bool:
        """Return True if a recorded file has the content of a file of today.

        Another time or place, as a copy has, leads to a comparison of all bytes.

        Args:
            now: The file of today.
            path: Place of its content.
        """
        if (self.size, self.ends) != (now.size, now.ends):
            return False
        untouched = (self.path, self.modified) == (now.path, now.modified)
        return untouched or self.sha256 == sha256_of(path)


@dataclass(frozen=True)
class StemRecord:
    """Origin of a stem.

    Attributes:
        input: The recording.
        start: Start of the excerpt, s.
        duration: Duration of the excerpt, s; None for the rest of the file.
        model: Name of the model.
        model_hash: Hash of its weights and attributes.
        settings: Settings that change samples or coding, as plain values.
        finished: True if the stem is known to be under its name.
    """

    input: InputFile
    start: float
    duration: float | None
    model: str
    model_hash: str
    settings: dict[str, Any]
    finished: bool = True

    @classmethod
    def parse(cls, values: Mapping[str, Any]) -> StemRecord:
        """Build a record from the plain values of `as_dict`.

        Raises:
            TypeError: A key is missing or unknown.
        """
        return cls(**{**values, "input": InputFile(**values["input"])})

    def as_dict(self) -> dict[str, Any]:
        """Plain values for JSON."""
        return asdict(self)

    def difference(self, wanted: StemRecord, path: Path) -> str | None:
        """First difference between these stems and wanted ones of the recording at `path`, or None."""
        if not self.finished:
            return "their writing was interrupted"
        if (self.start, self.duration) != (wanted.start, wanted.duration):
            return "they were of another excerpt"
        if self.model_hash != wanted.model_hash:
            return "they were by another model, or the model has changed"
        if self.settings.get("truncation"):
            return "they were of a truncated file"
        if self.settings != wanted.settings:
            return "they had other settings"
        if not self.input.is_unchanged(wanted.input, path):
            return "the recording has changed"
        return None


def read_records(folder: Path) -> dict[str, StemRecord]:
    """Read the records of a folder by the names of its files; empty without a valid record."""
    try:
        tracks = json.loads((folder / RECORD).read_text(encoding="utf-8"))["tracks"]
        return {
            str(name): StemRecord.parse({key: value for key, value in track.items() if key != "stems"})
            for track in tracks
            for name in track["stems"]
        }
    except (OSError, ValueError, TypeError, KeyError, AttributeError, RecursionError):
        return {}


def remember(paths: Iterable[Path], record: StemRecord) -> None:
    """Record the origin of files; entries that other processes write meanwhile stay.

    Raises:
        OSError: A record cannot be written.
    """
    for folder, names in _by_folder(paths).items():
        folder.mkdir(parents=True, exist_ok=True)
        with locked_folder(folder):
            _write(folder, {**read_records(folder), **dict.fromkeys(sorted(names), record)})


def announce(paths: Collection[Path], record: StemRecord) -> None:
    """Record the origin of files that are about to get their names, as not finished.

    Raises:
        OSError: A record of what they replace cannot be changed: a stem without a record is safe, one with
            the record of another is not.
    """
    try:
        remember(paths, replace(record, finished=False))
    except OSError:
        if any(path.name in read_records(path.parent) for path in paths):
            raise


def _by_folder(paths: Iterable[Path]) -> dict[Path, set[str]]:
    folders: dict[Path, set[str]] = {}
    for path in paths:
        folders.setdefault(path.parent, set()).add(path.name)
    return folders


def _write(folder: Path, records: Mapping[str, StemRecord]) -> None:
    tracks: list[tuple[StemRecord, list[str]]] = []
    for name, record in records.items():
        names = next((names for known, names in tracks if known == record), None)
        if names is None:
            tracks.append((record, [name]))
        else:
            names.append(name)
    values = [{"stems": names, **record.as_dict()} for record, names in tracks]
    write_whole(folder / RECORD, json_text({"tracks": values}, indent=1) + "\n")
