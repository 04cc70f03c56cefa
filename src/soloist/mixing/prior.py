"""Several mixers as one."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from soloist.errors import UsageError
from soloist.mixing.example import Example, Mixer, arguments_of, generator


class PriorMixer(Mixer):
    """Draws each example from one of several mixers, at random: a training on several corpora at once.

    E. Tzinis, Z. Wang and P. Smaragdis, "SuDoRM-RF", MLSP 2020, and the augmented loader published with it.

    Args:
        mixers: Mixers of the same sources, rate, channels and duration.
        priors: How likely each of them is, in any unit: `[2, 1]` takes two of three examples from the first.
        seed: Another seed makes other choices; what a mixer draws is the business of its own seed.

    Raises:
        UsageError: The mixers do not fit together, or a prior is missing or not positive.
    """

    def __init__(self, mixers: Sequence[Mixer], priors: Sequence[float], *, seed: int = 0) -> None:
        if not mixers or len(priors) != len(mixers):
            raise UsageError(f"{len(mixers)} mixers need as many priors, not {len(priors)}")
        if not all(0 < prior < math.inf for prior in priors):
            raise UsageError(f"priors must be positive, not {', '.join(map(str, priors))}")
        first = mixers[0]
        for aspect in ("sources", "sample_rate", "channels", "duration"):
            if len(found := {getattr(mixer, aspect): None for mixer in mixers}) > 1:
                different = " and ".join(map(str, found))
                raise UsageError(f"mixers that are used together differ in {aspect}: {different}")
        super().__init__(**{**arguments_of(first), "seed": seed})
        self.mixers = tuple(mixers)
        self.priors = np.array(priors) / sum(priors)

    def __len__(self) -> int:
        expected = (len(mixer) / prior for mixer, prior in zip(self.mixers, self.priors, strict=True))
        return math.ceil(max(expected))

    def draw(self, index: int) -> Example:
        """Example number `index` of the mixer that this number falls to; see `Mixer.draw`."""
        mixer = generator(self, self.seed, index).choice(len(self.mixers), p=self.priors)
        return self.mixers[mixer].draw(index)
