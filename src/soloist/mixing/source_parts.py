"""Which stems of a corpus the sources of a training are made of."""

from __future__ import annotations

from collections.abc import Collection, Sequence

import numpy as np

from soloist.audio import Audio
from soloist.datasets import Stem, StemTrack, components
from soloist.errors import UsageError
from soloist.mixing.excerpt_reader import read_excerpt


class SourceParts:
    """The stems that occur in a split, and the sources as sums of them.

    Args:
        sources: Stems, or unions of them: `accompaniment` (everything but vocals), `no_drums`, ...
        tracks: The tracks of the split.
        where: The split and its corpus, for messages.

    Attributes:
        stems: Names of all stems that any of the tracks has.
        needed: Names of those that the sources are made of.

    Raises:
        UsageError: No track has what a source is made of.
    """

    def __init__(self, sources: Sequence[str], tracks: Sequence[StemTrack], where: str) -> None:
        self.stems = tuple(dict.fromkeys(name for track in tracks for name in track.stems))
        self._parts = [components(source, self.stems) for source in sources]
        self.needed = frozenset[str]().union(*self._parts)
        if missing := [source for source, parts in zip(sources, self._parts, strict=True) if not parts]:
            raise UsageError(f"{where} has no {missing[0]}: there are {', '.join(self.stems)}")

    def references(self, stems: Audio) -> Audio:
        """The sources `(sources, channels, samples)` from all `stems` `(stems, channels, samples)`."""
        places = [[self.stems.index(name) for name in parts] for parts in self._parts]
        return np.stack([stems[place].sum(axis=0) for place in places])


def read_stem(
    track: StemTrack, name: str, start: float, samples: int, sample_rate: int, channels: int
) -> Audio:
    """An excerpt of a stem as `read_excerpt` reads it; a stem that the track does not have is silent."""
    if name not in track.stems:
        return np.zeros((channels, samples), np.float32)
    return read_excerpt(track.stems[name], start, samples, sample_rate, channels)


def longest(stems: Collection[Stem]) -> Stem:
    """The stem that lasts longest."""
    return max(stems, key=lambda stem: stem.duration)
