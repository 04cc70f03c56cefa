"""LibriMix: talkers of LibriSpeech with the noise of WHAM!.

J. Cosentino, M. Pariente, S. Cornell, A. Deleforge and E. Vincent, "LibriMix: an open-source dataset for
generalizable speech separation", 2020, arXiv:2005.11262.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path, PurePosixPath
from typing import ClassVar

from soloist.datasets.corpus import read_table
from soloist.datasets.layouts.talker_mixtures import NOISE, Length, MixtureKind, TalkerMixtures
from soloist.datasets.track import StemFile, StemTrack


class LibriMix(TalkerMixtures):
    """Libri2Mix and Libri3Mix: `wav8k/min/{train-100,train-360,dev,test}/{mix_clean,mix_both,s1,s2,noise}`.

    Tables in `wav8k/min/metadata` list the mixtures of a split; without a table, a split is its whole folder.
    The paths in a table belong to the machine that generated the corpus; only their last three parts are
    used. The noise is a stem too.

    Args:
        root: Folder `Libri2Mix` or `Libri3Mix`, which holds `wav8k` or `wav16k`.
        mixture: `mix_clean` to separate all talkers, `mix_both` to separate them in noise, `mix_single` to
            enhance one. None for the first existing one of `mix_both`, `mix_clean` and `mix_single`.
        sample_rate: Sample rate in Hz; None for 8000 if it exists, else 16000.
        length: Lengths of the mixtures; None for `min` if it exists, else `max`.

    Raises:
        UsageError: There is no such folder, or not with this mixture, rate and these lengths.
    """

    layout: ClassVar[str] = "librimix"
    disjoint_labels: ClassVar[bool] = True
    folders: ClassVar[tuple[str, ...]] = ("train-100", "train-360", "dev", "test")

    def __init__(
        self,
        root: str | Path,
        *,
        mixture: MixtureKind | None = None,
        sample_rate: int | None = None,
        length: Length | None = None,
    ) -> None:
        super().__init__(root, sample_rate=sample_rate, length=length)
        self._take(mixture)

    def find(self, split: str) -> Sequence[StemTrack]:
        """List the mixtures of a split, with the talkers as labels.

        Raises:
            AudioError: The table of the split is damaged or lacks a column.
        """
        table = self.folder / "metadata" / f"mixture_{split}_{self.mixture}.csv"
        if not table.is_file():
            return super().find(split)
        columns = {
            stem: "noise_path" if stem == NOISE else f"source_{stem[1:]}_path" for stem in self.signals
        }
        rows = read_table(table, ("mixture_ID", "mixture_path", *columns.values()))
        tracks = []
        for row in sorted(rows, key=lambda row: row["mixture_ID"]):
            stems = {stem: self._file(row[column]) for stem, column in columns.items()}
            mixture = self._file(row["mixture_path"])
            tracks.append(self._open(row["mixture_ID"], stems, mixture))
        return tracks

    def speakers(self, name: str) -> tuple[str, ...]:
        """Talkers of a mixture `<speaker>-<chapter>-<utterance>_<speaker>-<chapter>-<utterance>`."""
        return tuple(re.findall(r"(\d+)-\d+-\d+", name))

    def _file(self, recorded: str) -> StemFile:
        """Find the file `<split>/<signal>/<mixture>.wav` of a path on another machine."""
        return StemFile(self.folder.joinpath(*PurePosixPath(recorded.replace("\\", "/")).parts[-3:]))
