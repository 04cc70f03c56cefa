"""Mixtures of talkers that were generated once: what WSJ0-mix, WHAM!, WHAMR! and LibriMix have in common."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping, Sequence
from itertools import count, product, takewhile
from pathlib import Path
from typing import ClassVar, Literal

from soloist.datasets.corpus import FolderCorpus
from soloist.datasets.track import StemFile, StemTrack
from soloist.errors import UsageError

Length = Literal["min", "max"]
"""Mixtures as long as the shortest of their signals, or as the longest."""

MixtureKind = Literal["mix_clean", "mix_both", "mix_single"]
"""All talkers, all talkers and noise, or the first talker and noise: the corpora's own names."""

KINDS: tuple[MixtureKind, ...] = ("mix_both", "mix_clean", "mix_single")
NOISE = "noise"

_RATES = (8000, 16000)
_LENGTHS: tuple[Length, ...] = ("min", "max")


class TalkerMixtures(FolderCorpus):
    """Files `wav8k/min/<split>/<signal>/<mixture>.wav`, with the same name for all signals of a mixture.

    Args:
        root: The folder that has `wav8k` or `wav16k` in it.
        sample_rate: Which rate to take, Hz; None for 8000 where that is there, or else 16000.
        length: Which lengths to take; None for `min` where that is there, or else `max`.

    Attributes:
        folder: The folder of the rate and lengths that were taken.
        mixture: The signal that is the mixture.
        signals: The signal that is each stem; they add up to the mixture.

    Raises:
        UsageError: There is no such folder, or not with this rate and these lengths.
    """

    folders: ClassVar[tuple[str, ...]]
    """The folders of the splits."""

    def __init__(
        self, root: str | Path, *, sample_rate: int | None = None, length: Length | None = None
    ) -> None:
        super().__init__(root)
        rates = _RATES if sample_rate is None else (sample_rate,)
        lengths = _LENGTHS if length is None else (length,)
        wanted = [f"wav{rate // 1000}k/{length}" for rate, length in product(rates, lengths)]
        folder = next((self.root / name for name in wanted if (self.root / name).is_dir()), None)
        if folder is None:
            raise UsageError(f"{self.root} is not {self.layout}: it has none of {', '.join(wanted)}")
        self.folder = folder
        self.mixture = ""
        self.signals: dict[str, str] = {}

    @property
    def splits(self) -> tuple[str, ...]:
        """The corpus' folders, as far as they are there."""
        return tuple(name for name in self.folders if (self.folder / name).is_dir())

    @abstractmethod
    def speakers(self, name: str) -> tuple[str, ...]:
        """Who talks in a mixture, in the order of the talkers; empty where its name does not say so."""

    def find(self, split: str) -> Sequence[StemTrack]:
        """The mixtures of a split, with the talkers as labels; a missing file tells when it is read."""
        folder = self.folder / split
        found = (folder / signal for signal in (self.mixture, *self.signals.values()))
        files = {path.name for signal in found for path in signal.glob("*.wav")}
        return [
            self._open(
                Path(file).stem,
                {stem: StemFile(folder / signal / file) for stem, signal in self.signals.items()},
                StemFile(folder / self.mixture / file),
            )
            for file in sorted(files)
        ]

    def _open(self, name: str, stems: Mapping[str, StemFile], mixture: StemFile) -> StemTrack:
        return StemTrack(name, stems, mixture, self.speakers(name)[: len(stems.keys() - {NOISE})])

    def _take(self, kind: MixtureKind | None, suffix: str = "") -> None:
        """Take the signals of a kind of mixture, by default of the first that is there."""
        there = [name for name in KINDS if self._has(name + suffix)]
        kind = kind or (there or KINDS)[0]
        talkers = self._talkers(suffix)
        stems = talkers[:1] if kind == "mix_single" else talkers
        signals = {stem: stem + suffix for stem in stems}
        self._use(kind + suffix, signals if kind == "mix_clean" else {**signals, NOISE: NOISE})

    def _use(self, mixture: str, signals: dict[str, str]) -> None:
        for signal in (mixture, *signals.values()):
            if not self._has(signal):
                where = " or ".join(self.folders)
                raise UsageError(f"{self.folder} is not {self.layout}: no folder {signal} in its {where}")
        self.mixture, self.signals = mixture, signals

    def _talkers(self, suffix: str = "") -> list[str]:
        """Names of the talkers: two, or as many more as there are."""
        more = (f"s{number}" for number in count(3))
        return ["s1", "s2", *takewhile(lambda name: self._has(name + suffix), more)]

    def _has(self, signal: str) -> bool:
        return any((self.folder / split / signal).is_dir() for split in self.folders)
