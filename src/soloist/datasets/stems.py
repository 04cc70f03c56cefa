"""Corpora of stems as they lie on disk: folders of files, or MUSDB18's multi-stream files."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from soloist.audio import AUDIO_SUFFIXES, AudioReader, probe, read_audio
from soloist.errors import AudioError, UsageError

Block = NDArray[np.float32]

MIXTURE = "mixture"
_MULTI_STREAM = ".stem.mp4"


@dataclass(frozen=True)
class StemFile:
    """One stem: an audio stream of a file."""

    path: Path
    stream: int = 0

    def read(self) -> tuple[Block, int]:
        """The audio `(channels, samples)` and its rate in Hz.

        Raises:
            AudioError: The file cannot be read, or has samples that are not finite.
        """
        return read_audio(self.path, stream=self.stream)


@dataclass(frozen=True)
class StemTrack:
    """A recording and its stems.

    Attributes:
        name: Its name in the corpus.
        stems: The file of each stem, without the mixture.
        mixture: The file of the mixture; None where the mixture is the sum of the stems.
    """

    name: str
    stems: dict[str, StemFile]
    mixture: StemFile | None = None

    def mixture_blocks(self, length: int = 65536) -> Iterator[Block]:
        """The mixture in blocks `(channels, samples)`: as recorded, or the sum of the stems.

        Raises:
            AudioError: A file cannot be read, or the stems cannot be added up.
        """
        if self.mixture is not None:
            with AudioReader(self.mixture.path, stream=self.mixture.stream) as reader:
                yield from reader.blocks(length)
            return
        readers = [AudioReader(stem.path, stream=stem.stream) for stem in self.stems.values()]
        try:
            for blocks in itertools.zip_longest(*(reader.blocks(length) for reader in readers)):
                yield self._add(blocks)
        finally:
            for reader in readers:
                reader.close()

    def _add(self, blocks: tuple[Block | None, ...]) -> Block:
        shapes = {None if block is None else block.shape for block in blocks}
        if len(shapes) > 1:
            raise AudioError(f"the stems of {self.name} differ in length or channels, so they have no sum")
        return np.sum(np.stack([block for block in blocks if block is not None]), axis=0)

    @property
    def sample_rate(self) -> int:
        """Rate of the mixture in Hz.

        Raises:
            AudioError: The file cannot be read.
        """
        file = self.mixture or next(iter(self.stems.values()))
        return probe(file.path).sample_rate


@dataclass(frozen=True)
class TrackPath:
    """Where a track of a corpus lies: a folder of stems, or a multi-stream file.

    Attributes:
        name: Its name in the corpus: the path below the corpus, without suffix.
        path: The folder or file.
    """

    name: str
    path: Path

    def open(self) -> StemTrack:
        """Find out which stems the track has.

        Raises:
            AudioError: The file is damaged or has one stream only, or two files are the same stem.
        """
        files = _streams(self.path) if self.path.is_file() else _stem_files(self.path)
        mixture = files.pop(MIXTURE, None)
        if not files:
            raise AudioError(f"{self.path} has no stems, only a mixture")
        return StemTrack(self.name, files, mixture)


def find_stem_tracks(root: str | Path) -> list[TrackPath]:
    """Find the tracks of a corpus, in the order of their names.

    What counts as a track: a folder with audio files in it, each named after its stem (`vocals.wav`,
    `drums.flac`, and perhaps `mixture.wav`), or a file `*.stem.mp4` with a stream for the mixture and each
    stem. A corpus is one of them, or a folder that holds them at any depth.

    Raises:
        UsageError: There is nothing at `root`, or no track in it.
    """
    root = Path(root).expanduser()
    if root.is_file():
        return [TrackPath(_bare(root.name), root)]
    if not root.is_dir():
        raise UsageError(f"there is no folder or file {root}")
    if any(_is_stem(path) for path in root.iterdir()):
        return [TrackPath(root.resolve().name, root)]
    inside = [path for path in sorted(root.rglob("*")) if not _is_hidden(path.relative_to(root))]
    tracks = [
        TrackPath(_bare(path.relative_to(root).as_posix()), path)
        for path in inside
        if path.name.lower().endswith(_MULTI_STREAM) or (path.is_dir() and any(map(_is_stem, path.iterdir())))
    ]
    if not tracks:
        raise UsageError(f"no folders of stems and no {_MULTI_STREAM} files in {root}")
    return tracks


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
