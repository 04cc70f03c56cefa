"""MIR-1K: a thousand clips of amateur karaoke singers.

C.-L. Hsu and J.-S. R. Jang, "On the improvement of singing voice separation for monaural recordings using the
MIR-1K dataset", IEEE TASLP 18(2), 2010.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import ClassVar

from soloist.datasets.corpus import FolderCorpus
from soloist.datasets.track import StemFile, StemTrack

TRAINED_SINGERS = frozenset({"abjones", "amy"})
"""One man and one woman; their 175 clips are the training set of P.-S. Huang et al., ISMIR 2014."""


class MIR1K(FolderCorpus):
    """MIR-1K: `Wavfile/<singer>_<song>_<clip>.wav` with the accompaniment left and the voice right, 16 kHz.

    Each stem is one channel; the mixture is the sum of both.

    Args:
        root: Folder that holds `Wavfile`.
    """

    layout: ClassVar[str] = "mir-1k"
    disjoint_labels: ClassVar[bool] = True

    @property
    def splits(self) -> tuple[str, ...]:
        """Names of the splits: two singers in `train`, the other seventeen in `test`."""
        return ("train", "test")

    def find(self, split: str) -> Sequence[StemTrack]:
        """List the clips of a split, with the singer as label."""
        clips = [_open_clip(path) for path in sorted((self.root / "Wavfile").glob("*_*.wav"))]
        return [clip for clip in clips if (clip.labels[0] in TRAINED_SINGERS) == (split == "train")]


def _open_clip(path: Path) -> StemTrack:
    stems = {"vocals": StemFile(path, channel=1), "accompaniment": StemFile(path, channel=0)}
    return StemTrack(path.stem, stems, labels=(path.stem.partition("_")[0],))
