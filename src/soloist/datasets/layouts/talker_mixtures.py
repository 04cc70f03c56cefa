"""Pre-generated mixtures of talkers: common layout of WSJ0-mix, WHAM!, WHAMR! and LibriMix."""

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
"""Length of the mixtures: that of the shortest signal, or of the longest."""

MixtureKind = Literal["mix_clean", "mix_both", "mix_single"]
"""Names in the corpora of: all talkers, all talkers and noise, the first talker and noise."""

KINDS: tuple[MixtureKind, ...] = ("mix_both", "mix_clean", "mix_single")
NOISE = "noise"

_RATES = (8000, 16000)
_LENGTHS: tuple[Length, ...] = ("min", "max")


class TalkerMixtures(FolderCorpus):
    """Files `wav8k/min/<split>/<signal>/<mixture>.wav`, with the same name for all signals of a mixture.

    Args:
        root: Folder that holds `wav8k` or `wav16k`.
        sample_rate: Sample rate in Hz; None for 8000 if it exists, else 16000.
        length: Lengths of the mixtures; None for `min` if it exists, else `max`.

    Attributes:
        folder: Folder of the chosen rate and lengths.
        mixture: Name of the signal that is the mixture.
        signals: Name of the signal of each stem; the signals add up to the mixture.

    Raises:
        UsageError: There is no such folder, or not with this rate and these lengths.
    """

    folders: ClassVar[tuple[str, ...]]
    """Names of the folders of the splits."""

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
        """Names of the existing folders."""
        return tuple(name for name in self.folders if (self.folder / name).is_dir())

    @abstractmethod
    def speakers(self, name: str) -> tuple[str, ...]:
        """Talkers of a mixture by its name, in the order of the stems; empty if unknown."""

    def find(self, split: str) -> Sequence[StemTrack]:
        """List the mixtures of a split, with the talkers as labels; reading fails if a file is missing."""
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
        """Choose the signals of a kind of mixture, by default of the first existing one."""
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
        """Names of the talkers, at least two."""
        more = (f"s{number}" for number in count(3))
        return ["s1", "s2", *takewhile(lambda name: self._has(name + suffix), more)]

    def _has(self, signal: str) -> bool:
        return any((self.folder / split / signal).is_dir() for split in self.folders)
