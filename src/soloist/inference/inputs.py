"""Audio files named by files, folders and globs."""

from __future__ import annotations

import glob
import os
import re
import unicodedata
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from itertools import chain, count
from pathlib import Path

from soloist.audio import AUDIO_SUFFIXES
from soloist.errors import UsageError
from soloist.files import expand_home
from soloist.inference.stem_record import read_records
from soloist.urls import is_url

Failure = Callable[[str, UsageError], None]
"""Callback that receives an input or a folder in it, and the reason why it has no recording."""


@dataclass(frozen=True)
class Track:
    """An input file, and the name of its stems' folder.

    Attributes:
        path: The audio file.
        name: File name without suffix, after the folders below a named folder. Files of the same name keep
            their suffixes, and bytes that are not UTF-8 become `%E9`.
        alias: Name of the input in messages and reports, such as `-`; empty for the path.
        origin: File of which `path` is a copy, which no stem may replace either.
    """

    path: Path
    name: str
    alias: str = ""
    origin: Path | None = None

    @property
    def label(self) -> str:
        """Name of the input in messages and reports."""
        return self.alias or str(self.path)


def find_tracks(
    inputs: Iterable[str], *, exclude: Path | None = None, failure: Failure | None = None
) -> list[Track]:
    """Expand files, folders (recursively) and globs into tracks, in a stable order, each once.

    Stems that Soloist wrote are not searched for in folders, unless a folder has nothing else.

    Args:
        inputs: Files of any suffix, folders with audio files, globs.
        exclude: The output folder, so that stems are not separated again. A folder of recordings may be the
            output folder, or in it.
        failure: Callback for inputs without any recording beside others that have some. If None, they are
            refused.

    Raises:
        UsageError: A folder has no audio files, a glob matches nothing, or a folder cannot be read.
    """
    tracks: dict[str, Track] = {}
    failures: list[tuple[str, UsageError]] = []
    for given in inputs:
        try:
            for track in _expand(given, exclude, lambda *each: failures.append(each)):
                tracks.setdefault(os.path.realpath(track.path), track)
        except UsageError as error:
            failures.append((given, error))
    if failures and (failure is None or not tracks):
        raise failures[0][1]
    if failure is not None:
        for each in failures:
            failure(*each)
    return distinct(list(tracks.values()))


def _expand(given: str, exclude: Path | None, failure: Failure) -> list[Track]:
    path = expand_home(given)
    if os.path.isdir(path):
        return _in_folder(path, exclude, failure)
    if os.path.lexists(path) or not glob.has_magic(given) or is_url(given):
        return [Track(path, track_name(path))]
    matches = sorted(glob.glob(str(path), recursive=True))
    if not matches:
        raise UsageError(f"nothing matches {given!r}")
    return [track for match in matches for track in _expand_match(Path(match), exclude, failure)]


def _expand_match(path: Path, exclude: Path | None, failure: Failure) -> list[Track]:
    if not os.path.isdir(path):
        return [Track(path, track_name(path))]
    try:
        return _in_folder(path, exclude, failure)
    except UsageError as error:  # the other matches are separated
        failure(str(path), error)
        return []


def _in_folder(folder: Path, exclude: Path | None, failure: Failure) -> list[Track]:
    found = sorted(_search(folder, failure))
    outside = None if exclude is None else Path(os.path.realpath(exclude))
    here = outside is not None and Path(os.path.realpath(folder)).is_relative_to(outside)
    if outside is not None and not here:
        found = [path for path in found if not Path(os.path.realpath(path)).is_relative_to(outside)]
    records = {parent: read_records(parent) for parent in {path.parent for path in found}}
    recordings = [path for path in found if path.name not in records[path.parent]]
    if not recordings and here and found:
        raise UsageError(f"no audio files in the folder {folder} but stems that were separated into it")
    if not found:
        raise UsageError(f"no audio files in the folder {folder}")
    return [
        Track(path, (path.relative_to(folder).parent / track_name(path)).as_posix())
        for path in recordings or found
    ]


def _search(folder: Path, failure: Failure) -> Iterable[Path]:
    """Find audio files at any depth; links to folders are not followed."""

    def refuse(error: OSError) -> None:
        name = str(error.filename)
        failure(name, UsageError(f"{name} cannot be read: {error.strerror}"))

    for root, _, names in os.walk(folder, onerror=refuse):
        for name in names:
            path = Path(root, name)
            if path.suffix.lower() in AUDIO_SUFFIXES and not name.startswith(".") and os.path.isfile(path):
                yield path


def track_name(path: Path) -> str:
    """Name of a file without suffix, and without the `.stem` of a multi-stream file."""
    name = path.stem.removesuffix(".stem")
    # That of `...wav` would be the folder above.
    return name if name.strip(".") else path.name


def distinct(tracks: Sequence[Track]) -> list[Track]:
    """Tracks under names of their own: files of one name get their suffixes, then numbers."""
    tracks = [replace(track, name=_encodable(track.name)) for track in tracks]
    names = Counter(folded(track.name) for track in tracks)
    tracks = [
        replace(track, name=track.name + _encodable(track.path.suffix))
        if names[folded(track.name)] > 1
        else track
        for track in tracks
    ]
    taken: set[str] = set()
    distinct = []
    for track in tracks:
        choices = chain([track.name], (f"{track.name} ({number})" for number in count(2)))
        name = next(name for name in choices if folded(name) not in taken)
        taken.add(folded(name))
        distinct.append(replace(track, name=name))
    return distinct


def folded(name: str) -> str:
    """A name as file systems compare it that fold case, and compose letters and accents."""
    return unicodedata.normalize("NFC", name).casefold()


def _encodable(name: str) -> str:
    """A name in which bytes that are not UTF-8 are written as `%E9`."""
    return re.sub("[\ud800-\udfff]", lambda match: f"%{ord(match[0]) & 0xFF:02X}", name)
