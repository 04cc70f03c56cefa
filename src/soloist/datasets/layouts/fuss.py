"""FUSS: mixtures of up to four arbitrary sounds in rooms.

S. Wisdom et al., "What's all the FUSS about free universal sound separation data?", ICASSP 2021.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path, PurePosixPath
from typing import ClassVar

from soloist.datasets.corpus import FolderCorpus
from soloist.datasets.track import StemFile, StemTrack
from soloist.errors import AudioError, UsageError

_FOLDERS = ("train", "validation", "eval")


class FUSS(FolderCorpus):
    """FUSS: `train_example_list.txt` and `train/example00000{.wav,_sources/background0_sound.wav}`, 16 kHz.

    Every track has the stem `background0_sound` and none to three of `foreground0_sound`,
    `foreground1_sound` and `foreground2_sound`; missing stems are silent in training.

    Args:
        root: Folder `ssdata_reverb` (in rooms) or `ssdata` (dry), which holds the lists.

    Raises:
        UsageError: There is no such folder, or no list in it.
    """

    layout: ClassVar[str] = "fuss"

    def __init__(self, root: str | Path) -> None:
        super().__init__(root)
        if not self.splits:
            lists = ", ".join(_list_of(split) for split in _FOLDERS)
            raise UsageError(f"{self.root} is not {self.layout}: it has none of {lists}")

    @property
    def splits(self) -> tuple[str, ...]:
        """Names of the folders that have a list."""
        return tuple(split for split in _FOLDERS if (self.root / _list_of(split)).is_file())

    def find(self, split: str) -> Sequence[StemTrack]:
        """List the tracks of a split by folder and number.

        Raises:
            AudioError: The list is damaged.
        """
        path = self.root / _list_of(split)
        try:
            lines = path.read_text(encoding="utf-8").splitlines()
        except (OSError, UnicodeDecodeError) as error:
            raise AudioError(f"cannot read {path}: {getattr(error, 'strerror', None) or error}") from error
        examples = [line.split("\t") for line in lines if line.strip()]
        if alone := [files[0] for files in examples if len(files) < 2]:
            raise AudioError(f"{path} names no sources of {alone[0]}; copy it again")
        return [self._open(*files) for files in sorted(examples)]

    def _open(self, mixture: str, *sources: str) -> StemTrack:
        stems = {PurePosixPath(source).stem: StemFile(self.root / source) for source in sources}
        return StemTrack(str(PurePosixPath(mixture).with_suffix("")), stems, StemFile(self.root / mixture))


def _list_of(split: str) -> str:
    return f"{split}_example_list.txt"
