"""Audio files named by files, folders and globs."""

from __future__ import annotations

import glob
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, replace
from pathlib import Path

from soloist.audio import AUDIO_SUFFIXES
from soloist.errors import UsageError
from soloist.files import is_url


@dataclass(frozen=True)
class Track:
    """An input file, and the name of its stems' folder.

    Attributes:
        path: The audio file.
        name: File name without suffix, after the folders below a named folder. Files of the same name keep
            their suffixes.
        alias: Name of the input in messages and reports, such as `-`; empty for the path.
    """

    path: Path
    name: str
    alias: str = ""

    @property
    def label(self) -> str:
        """Name of the input in messages and reports."""
        return self.alias or str(self.path)


def find_tracks(inputs: Iterable[str], *, exclude: Path | None = None) -> list[Track]:
    """Expand files, folders (recursively) and globs into tracks, in a stable order, each once.

    Args:
        inputs: Files of any suffix, folders with audio files, globs.
        exclude: A folder to leave out: the output, so that stems are not separated again.

    Raises:
        UsageError: A folder has no audio files, or a glob matches nothing.
    """
    tracks: dict[Path, Track] = {}
    for given in inputs:
        for track in _expand(given, exclude):
            tracks.setdefault(track.path.resolve(), track)
    return _distinct(list(tracks.values()))


def _expand(given: str, exclude: Path | None) -> list[Track]:
    path = Path(given).expanduser()
    if path.is_dir():
        return _in_folder(path, exclude)
    if path.exists() or not glob.has_magic(given) or is_url(given):
        return [Track(path, track_name(path))]
    matches = sorted(glob.glob(str(path), recursive=True))
    if not matches:
        raise UsageError(f"nothing matches {given!r}")
    return [track for match in matches for track in _expand_match(Path(match), exclude)]


def _expand_match(path: Path, exclude: Path | None) -> list[Track]:
    return _in_folder(path, exclude) if path.is_dir() else [Track(path, track_name(path))]


def _in_folder(folder: Path, exclude: Path | None) -> list[Track]:
    found = sorted(
        path
        for path in folder.rglob("*")
        if path.suffix.lower() in AUDIO_SUFFIXES and path.is_file() and not path.name.startswith(".")
    )
    if exclude is not None:
        outside = exclude.resolve()
        found = [path for path in found if not path.resolve().is_relative_to(outside)]
    if not found:
        raise UsageError(f"no audio files in the folder {folder}")
    return [Track(path, (path.relative_to(folder).parent / track_name(path)).as_posix()) for path in found]


def track_name(path: Path) -> str:
    """Name of a file without suffix, and without the `.stem` of a multi-stream file."""
    return path.stem.removesuffix(".stem") or path.name


def _distinct(tracks: list[Track]) -> list[Track]:
    names = Counter(track.name.casefold() for track in tracks)
    tracks = [
        replace(track, name=track.name + track.path.suffix) if names[track.name.casefold()] > 1 else track
        for track in tracks
    ]
    seen: Counter[str] = Counter()
    distinct = []
    for track in tracks:
        seen[track.name.casefold()] += 1
        count = seen[track.name.casefold()]
        distinct.append(track if count == 1 else replace(track, name=f"{track.name} ({count})"))
    return distinct
