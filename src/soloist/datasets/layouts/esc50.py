"""ESC-50: environmental sounds, and ESC-10, its ten most distinct classes.

K. J. Piczak, "ESC: dataset for environmental sound classification", ACM Multimedia 2015.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from operator import itemgetter
from pathlib import Path
from typing import ClassVar

from soloist.audio import AUDIO_SUFFIXES
from soloist.datasets.corpus import read_table
from soloist.datasets.layouts.clip_folders import ClipCorpus
from soloist.datasets.track import StemFile, StemTrack
from soloist.errors import UsageError

CATEGORY = "category"
FOLDS = (1, 2, 3, 4, 5)
_SPLITS = {"train": (1, 2, 3), "valid": (4,), "test": (5,)}
_TABLE = "meta/esc50.csv"
_FOLDER = "audio"


class ESC50(ClipCorpus):
    """ESC-50: `audio/<fold>-<clip>-<take>-<class>.wav` and `meta/esc50.csv`, 2000 clips of 50 classes.

    Each clip is a track with a single stem, `category`, and the class as label. All clips of a recording are
    in the same fold. After `soloist data convert` the suffixes of the clips may differ from the table.

    Args:
        root: Folder that holds `audio` and `meta`.
        splits: Folds, 1 to 5, of each split; None for `{train: [1, 2, 3], valid: [4], test: [5]}`.
        esc10: True for the ten classes of ESC-10 only.

    Raises:
        UsageError: There is no such folder, no such fold, or one fold is in two splits.
    """

    layout: ClassVar[str] = "esc-50"
    companions: ClassVar[tuple[str, ...]] = (_TABLE,)

    def __init__(
        self,
        root: str | Path,
        *,
        splits: Mapping[str, Sequence[int]] | None = None,
        esc10: bool = False,
    ) -> None:
        super().__init__(root)
        self._splits = {name: tuple(used) for name, used in (splits or _SPLITS).items()}
        folds = [fold for used in self._splits.values() for fold in used]
        if wrong := [fold for fold in folds if fold not in FOLDS or folds.count(fold) > 1]:
            raise UsageError(f"fold {wrong[0]} of {self.layout} must be one of 1 to 5, and in one split only")
        if not (self.root / _TABLE).is_file():
            raise UsageError(f"{self.root} is not {self.layout}: there is no {_TABLE} in it")
        self._esc10 = esc10

    @property
    def splits(self) -> tuple[str, ...]:
        """Names of the given splits."""
        return tuple(self._splits)

    def find(self, split: str) -> Sequence[StemTrack]:
        """List the clips of a split by their paths below the root, without suffix.

        Raises:
            AudioError: The table is damaged or lacks a column.
        """
        rows = read_table(self.root / _TABLE, ("filename", "fold", CATEGORY, "esc10"))
        folds = {str(fold) for fold in self._splits[split]}
        there = {path.stem: path for path in (self.root / _FOLDER).glob("*") if _is_audio(path)}
        tracks = []
        for row in sorted(rows, key=itemgetter("filename")):
            if row["fold"] not in folds or (self._esc10 and row["esc10"] != "True"):
                continue
            named = self.root / _FOLDER / row["filename"]
            stems = {CATEGORY: StemFile(there.get(named.stem, named))}
            tracks.append(StemTrack(f"{_FOLDER}/{named.stem}", stems, labels=(row[CATEGORY],)))
        return tracks


def _is_audio(path: Path) -> bool:
    return path.suffix.lower() in AUDIO_SUFFIXES
