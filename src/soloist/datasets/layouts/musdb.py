"""MUSDB18 and MUSDB18-HQ: 150 songs with four stems.

Z. Rafii, A. Liutkus, F.-R. Stoeter, S. I. Mimilakis and R. Bittner, "The MUSDB18 corpus for music
separation", 2017, https://doi.org/10.5281/zenodo.1117372, and its uncompressed version, 2019,
https://doi.org/10.5281/zenodo.3338373.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Sequence
from pathlib import Path
from typing import ClassVar

from soloist.audio import AUDIO_SUFFIXES, probe
from soloist.datasets.corpus import FolderCorpus
from soloist.datasets.track import MIXTURE, StemFile, StemTrack

STEMS = ("drums", "bass", "other", "vocals")

VALIDATION = frozenset(
    {
        "ANiMAL - Rockshow",
        "Actions - One Minute Smile",
        "Alexander Ross - Goodbye Bolero",
        "Clara Berry And Wooldog - Waltz For My Victims",
        "Fergessen - Nos Palpitants",
        "James May - On The Line",
        "Johnny Lokke - Promises & Lies",
        "Leaf - Summerghost",
        "Meaxic - Take A Step",
        "Patrick Talbot - A Reason To Leave",
        "Skelpolu - Human Mistakes",
        "Traffic Experiment - Sirens",
        "Triviul - Angelsaint",
        "Young Griffo - Pennies",
    }
)
"""Tracks of the folder `train` in the split `valid`, as in the corpus' own parser."""

_SUFFIX = ".stem.mp4"
_VALIDATION_FOLDERS = ("valid", "validation", "val", "dev")
_EXAMINED = 20
"""Most tracks whose signals are examined to recognise the corpus."""


class _Musdb(FolderCorpus):
    """Splits of both versions."""

    @property
    def splits(self) -> tuple[str, ...]:
        """Names of the splits: 86 and 14 tracks of the folder `train`, and the 50 of `test`."""
        return ("train", "valid", "test")

    def find(self, split: str) -> Sequence[StemTrack]:
        """List the tracks of a split by artist and title."""
        if split == "test":
            return self._open_folder(self.root / "test")
        tracks = self._open_folder(self.root / "train")
        return [track for track in tracks if (track.name in VALIDATION) == (split == "valid")]

    def matches(self) -> bool:
        """Tell whether most tracks are `Artist - Title` with five signals, without a folder to validate."""
        folders = [self.root / name for name in ("train", "test")]
        tracks = [(folder, track.name) for folder in folders for track in self._open_folder(folder)]
        examined = tracks[:: -(-len(tracks) // _EXAMINED) or 1]
        alike = sum(" - " in name and self._has_five_signals(folder, name) for folder, name in examined)
        validation = any((self.root / name).is_dir() for name in _VALIDATION_FOLDERS)
        return 2 * alike > len(examined) and not validation

    @abstractmethod
    def _has_five_signals(self, folder: Path, name: str) -> bool:
        """Tell whether a track has the mixture and the four stems, and nothing else."""

    @abstractmethod
    def _open_folder(self, folder: Path) -> list[StemTrack]:
        """List all tracks of a folder in the order of their names."""


class MUSDB18(_Musdb):
    """MUSDB18: `train/*.stem.mp4` and `test/*.stem.mp4` of five AAC streams.

    Excerpts of AAC are decoded from the beginning of the file: convert the corpus before training on it.
    Because each stream was encoded separately, the stems add up to the mixture only approximately.

    Args:
        root: Folder that holds `train` and `test`.
    """

    layout: ClassVar[str] = "musdb18"
    residual_limit = -20.0

    def _open_folder(self, folder: Path) -> list[StemTrack]:
        return [_open_streams(path) for path in sorted(folder.glob(f"*{_SUFFIX}"))]

    def _has_five_signals(self, folder: Path, name: str) -> bool:
        return probe(folder / f"{name}{_SUFFIX}").streams == (MIXTURE, *STEMS)


class MUSDB18HQ(_Musdb):
    """MUSDB18-HQ: `train/<track>/vocals.wav` and so on, or the same in FLAC.

    Args:
        root: Folder that holds `train` and `test`.
    """

    layout: ClassVar[str] = "musdb18-hq"

    def _open_folder(self, folder: Path) -> list[StemTrack]:
        found = {path.parent for name in (*STEMS, MIXTURE) for path in folder.glob(f"*/{name}.*")}
        return [_open_files(path) for path in sorted(found)]

    def _has_five_signals(self, folder: Path, name: str) -> bool:
        files = (path for path in (folder / name).iterdir() if path.suffix.lower() in AUDIO_SUFFIXES)
        return {path.stem for path in files} == {MIXTURE, *STEMS}


def _open_streams(path: Path) -> StemTrack:
    stems = {name: StemFile(path, stream) for stream, name in enumerate(STEMS, 1)}
    return StemTrack(path.name.removesuffix(_SUFFIX), stems, StemFile(path))


def _open_files(folder: Path) -> StemTrack:
    """Track of all five files, whether they exist or not; reading raises errors for missing ones."""
    suffix = ".flac" if (folder / f"{MIXTURE}.flac").is_file() else ".wav"
    stems = {name: StemFile(folder / f"{name}{suffix}") for name in STEMS}
    return StemTrack(folder.name, stems, StemFile(folder / f"{MIXTURE}{suffix}"))
