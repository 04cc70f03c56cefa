"""Selection of stems from a separator's estimates, mixture consistency, and the null test."""

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
    """Selection of a track's stems.

    Attributes:
        stems: Names of the selected sources; empty for all.
        complement_of: A source, whose complement ("no_" and its name) is the other stem.
        residual: Add the mixture minus all selected stems.
        consistency: "mixture" adds an equal share of the residual to each estimate, so that the estimates
            add up to the mixture (Wisdom et al., "Differentiable consistency constraints for improved
            deep speech enhancement", ICASSP 2019); "none" changes nothing.
        without: Sources that the one stem leaves out, which is everything else.
    """

    stems: tuple[str, ...] = ()
    complement_of: str | None = None
    residual: bool = False
    consistency: Consistency = "none"
    without: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if self.stems and self.complement_of:
            raise UsageError("--stems and --two-stems exclude each other")
        if self.without and (self.stems or self.complement_of or self.residual):
            raise UsageError("all but some stems is the only stem: it has no stems and no residual beside it")

    @classmethod
    def named(
        cls,
        stems: str | Sequence[str] | None,
        two_stems: str | None = None,
        residual: bool = False,
        consistency: Consistency = "none",
    ) -> StemSelection:
        """Selection by one name or several, as `soloist.separate` takes them."""
        names = (stems,) if isinstance(stems, str) else tuple(stems or ())
        return cls(names, two_stems, residual, consistency)

    def check(self, sources: Sequence[str]) -> None:
        """Refuse a source that a model does not have.

        Raises:
            UsageError: Names the model's sources.
        """
        for name in (*self.stems, *self.without, *filter(None, [self.complement_of])):
            if name not in sources:
                raise UsageError(f"the model has no stem {name!r}; it has {', '.join(sources)}")

    def names(self, sources: Sequence[str]) -> tuple[str, ...]:
        """Names of the selected stems, in order."""
        if self.complement_of:
            chosen: tuple[str, ...] = (self.complement_of, f"no_{self.complement_of}")
        elif self.without:
            chosen = (f"no_{'_'.join(self.without)}",)
        else:
            chosen = self.stems or tuple(sources)
        return (*chosen, RESIDUAL) if self.residual else chosen

    def needed(self, sources: Sequence[str]) -> tuple[str, ...]:
        """Names of the sources whose estimates the selected stems are made of."""
        if self.consistency == "mixture":
            return tuple(sources)
        return (self.complement_of,) if self.complement_of else self.without or self.stems or tuple(sources)

    def select(self, mixture: Audio, estimates: Audio, sources: Sequence[str]) -> Audio:
        """Selected stems `(stems, channels, samples)`.

        Args:
            mixture: `(channels, samples)`.
            estimates: `(sources, channels, samples)`.
            sources: Names of the sources.
        """
        if self.consistency == "mixture":
            estimates = estimates + (mixture - estimates.sum(axis=0)) / len(sources)
        wanted = (self.complement_of,) if self.complement_of else self.without or self.stems or tuple(sources)
        chosen = estimates[[list(sources).index(name) for name in wanted]]
        if self.without:
            return (mixture - chosen.sum(axis=0))[None]
        if self.complement_of:
            chosen = np.concatenate([chosen, mixture[None] - chosen])
        if self.residual:
            chosen = np.concatenate([chosen, (mixture - chosen.sum(axis=0))[None]])
        return chosen


class NullTest:
    """Level of a track's mixture minus its stems.

    Attributes:
        samples: Number of samples so far.
    """

    def __init__(self) -> None:
        self._energy = 0.0
        self._values = 0
        self.samples = 0

    def add(self, mixture: Audio, stems: Audio) -> None:
        """Add a block of the mixture `(channels, samples)` and its stems `(stems, channels, samples)`."""
        left = mixture.astype(np.float64) - stems.sum(axis=0, dtype=np.float64)
        self._energy += float(np.square(left).sum())
        self._values += left.size
        self.samples += left.shape[1]

    @property
    def level(self) -> float:
        """Root mean square of the difference, dB of full scale; -inf for zeros."""
        power = self._energy / max(1, self._values)
        return float(10 * np.log10(power)) if power else float("-inf")
