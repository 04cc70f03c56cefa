"""Tracks on disk: folders of stems, or MUSDB18's multi-stream files."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from soloist.audio import AUDIO_SUFFIXES, probe
from soloist.datasets.track import MIXTURE, StemFile, StemTrack
from soloist.errors import AudioError, UsageError
from soloist.files import expand_home

_MULTI_STREAM = ".stem.mp4"


@dataclass(frozen=True)
class TrackPath:
    """Path of a track: a folder of stems, or a multi-stream file.

    Attributes:
        name: Name of the track: the path below the corpus, without suffix.
        path: The folder or file.
    """

    name: str
    path: Path

    def open(self) -> StemTrack:
        """Find the stems of the track.

        Raises:
            AudioError: The file is damaged or has only one stream, or two files are the same stem.
        """
        files = _streams(self.path) if self.path.is_file() else _stem_files(self.path)
        mixture = files.pop(MIXTURE, None)
        if not files:
            raise AudioError(f"{self.path} has no stems, only a mixture")
        return StemTrack(self.name, files, mixture)


def find_stem_tracks(root: str | Path) -> list[TrackPath]:
    """Find the tracks of a corpus, in the order of their names.

    A track is a folder with audio files named after their stems (`vocals.wav`, `drums.flac`, and optionally
    `mixture.wav`), or a file `*.stem.mp4` with a stream for the mixture and each stem. A corpus is a track,
    or a folder that holds tracks at any depth, beside one recording at most.

    Raises:
        UsageError: There is nothing at `root`, or no track in it.
    """
    root = expand_home(root)
    if root.is_file():
        return [TrackPath(_bare(root.name), root)]
    if not root.is_dir():
        raise UsageError(f"there is no folder or file {root}")
    files = find_stem_files(root)
    own = files.pop(root, [])
    # A single recording beside folders of stems is no stem, and does not hide them.
    if len(own) > bool(files):
        return [TrackPath(root.resolve().name, root)]
    tracks = [TrackPath(_bare(path.relative_to(root).as_posix()), path) for path in files]
    if not tracks:
        raise UsageError(f"no folders of stems and no {_MULTI_STREAM} files in {root}")
    return tracks


def find_stem_files(root: Path) -> dict[Path, list[Path]]:
    """Find the audio files of each folder at any depth, `root` included; multi-stream files stand alone."""
    found: dict[Path, list[Path]] = {}
    for path in [root, *sorted(root.rglob("*"))]:
        if _is_hidden(path.relative_to(root)):
            continue
        if path.name.lower().endswith(_MULTI_STREAM):
            found[path] = [path]
        elif path.is_dir() and (files := [file for file in sorted(path.iterdir()) if _is_stem(file)]):
            found[path] = files
    return found


def _is_stem(path: Path) -> bool:
    name = path.name.lower()
    plain = path.suffix.lower() in AUDIO_SUFFIXES and not name.endswith(_MULTI_STREAM)
    return plain and not name.startswith(".") and path.is_file()


def _is_hidden(path: Path) -> bool:
    return any(part.startswith(".") for part in path.parts)


def _bare(name: str) -> str:
    return name[: -len(_MULTI_STREAM)] if name.lower().endswith(_MULTI_STREAM) else name


def _stem_files(folder: Path) -> dict[str, StemFile]:
    files: dict[str, StemFile] = {}
    for path in filter(_is_stem, sorted(folder.iterdir())):
        if path.stem in files:
            raise AudioError(
                f"{folder} has two files for {path.stem}: {files[path.stem].path.name}, {path.name}"
            )
        files[path.stem] = StemFile(path)
    return files


def _streams(path: Path) -> dict[str, StemFile]:
    names = probe(path).streams
    if len(names) < 2 or MIXTURE not in names:
        raise AudioError(f"{path} is not a file of stems: its audio streams are {', '.join(names)}")
    return {name: StemFile(path, index) for index, name in enumerate(names)}
