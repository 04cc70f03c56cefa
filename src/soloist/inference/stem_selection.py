"""From a separator's estimates to the stems that are written: which ones, and that they add up."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

from soloist.audio import Audio
from soloist.errors import UsageError

Consistency = Literal["none", "mixture"]

RESIDUAL = "residual"


@dataclass(frozen=True)
class StemSelection:
    """Which stems of a track are written.

    Attributes:
        stems: Names of the sources that are wanted; empty for all.
        complement_of: A source that is written beside everything else ("no_" and its name).
        residual: Whether what no written stem holds is written too.
        consistency: "mixture" shares what all estimates together miss equally among them, so that they
            add up to the mixture (Wisdom et al., "Differentiable consistency constraints for improved
            deep speech enhancement", ICASSP 2019); "none" leaves them.
    """

    stems: tuple[str, ...] = ()
    complement_of: str | None = None
    residual: bool = False
    consistency: Consistency = "none"

    def __post_init__(self) -> None:
        if self.stems and self.complement_of:
            raise UsageError("--stems and --two-stems exclude each other")

    def check(self, sources: Sequence[str]) -> None:
        """Refuse a source that a model does not have.

        Raises:
            UsageError: Names the sources that there are.
        """
        for name in (*self.stems, *filter(None, [self.complement_of])):
            if name not in sources:
                raise UsageError(f"the model has no stem {name!r}; it has {', '.join(sources)}")

    def names(self, sources: Sequence[str]) -> tuple[str, ...]:
        """Names of what is written, in order."""
        if self.complement_of:
            chosen: tuple[str, ...] = (self.complement_of, f"no_{self.complement_of}")
        else:
            chosen = self.stems or tuple(sources)
        return (*chosen, RESIDUAL) if self.residual else chosen

    def select(self, mixture: Audio, estimates: Audio, sources: Sequence[str]) -> Audio:
        """The stems that are written `(stems, channels, samples)`.

        Args:
            mixture: `(channels, samples)`.
            estimates: `(sources, channels, samples)`.
            sources: Names of the sources.
        """
        if self.consistency == "mixture":
            estimates = estimates + (mixture - estimates.sum(axis=0)) / len(sources)
        wanted = (self.complement_of,) if self.complement_of else self.stems or tuple(sources)
        chosen = estimates[[list(sources).index(name) for name in wanted]]
        if self.complement_of:
            chosen = np.concatenate([chosen, mixture[None] - chosen])
        if self.residual:
            chosen = np.concatenate([chosen, (mixture - chosen.sum(axis=0))[None]])
        return chosen


class NullTest:
    """Level of what is left when a track's stems are taken from its mixture."""

    def __init__(self) -> None:
        self._energy = 0.0
        self._values = 0
        self.samples = 0

    def add(self, mixture: Audio, stems: Audio) -> None:
        """Account for a block of the mixture `(channels, samples)` and its stems."""
        left = mixture.astype(np.float64) - stems.sum(axis=0, dtype=np.float64)
        self._energy += float(np.square(left).sum())
        self._values += left.size
        self.samples += left.shape[1]

    @property
    def level(self) -> float:
        """Root mean square of the rest, in dB of full scale; -inf if there is none."""
        power = self._energy / max(1, self._values)
        return float(10 * np.log10(power)) if power else float("-inf")
