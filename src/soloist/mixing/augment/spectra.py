"""Variations of the spectrum."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from soloist.audio import Audio
from soloist.errors import UsageError
from soloist.mixing.augment.augmentation import Augmentation
from soloist.mixing.augment.convolution import fast_size, multiply_spectrum

Range = tuple[float, float]

SLOPE = 0.5
"""Octaves that a filter takes from all to nothing."""

RINGING = 0.25
"""Seconds after which nothing is left of a filter's answer."""


class BandLimit(Augmentation):
    """Takes away what lies above or below a random frequency, from all sources of an example alike.

    It makes old recordings, telephones and low rates of perception codecs out of good recordings. The filter
    has no delay and no phase: it is applied to the spectrum, with a slope of half an octave.

    Args:
        lower: Range of the lower limit, Hz, drawn evenly on a scale of octaves; None keeps the lowest
            frequencies.
        upper: Range of the upper limit, Hz; None keeps the highest frequencies.
        sample_rate: Rate of the sources, Hz.
        p: Probability with which an example is varied.
        seed: Another seed draws other limits.

    Raises:
        UsageError: A range is upside down or not between 0 and half the sample rate, there is none, or `p` is
            not a probability.
    """

    def __init__(
        self,
        lower: Range | None = None,
        upper: Range | None = None,
        *,
        sample_rate: int,
        p: float = 0.5,
        seed: int = 0,
    ) -> None:
        super().__init__(p=p, seed=seed)
        if lower is None and upper is None:
            raise UsageError("BandLimit: give the range of a limit, lower or upper")
        highest = sample_rate / 2
        for limit in filter(None, (lower, upper)):
            if not 0 < limit[0] <= limit[1] <= highest:
                raise UsageError(f"BandLimit: {list(limit)} is no range between 0 and {highest:g} Hz")
        self.lower = lower
        self.upper = upper
        self.sample_rate = sample_rate

    def apply(self, references: Audio, rng: np.random.Generator) -> Audio:
        """Filter the sources; see `Augmentation.apply`."""
        limits = [
            None if limit is None else np.exp2(rng.uniform(*np.log2(limit)))
            for limit in (self.lower, self.upper)
        ]
        if not self.chosen(rng, 1)[0]:
            return references
        size = fast_size(references.shape[-1] + round(RINGING * self.sample_rate))
        return multiply_spectrum(references, self._response(size, *limits), size)

    def _response(self, size: int, lower: float | None, upper: float | None) -> Audio:
        """The gain at each frequency of a transform; one half of the amplitude at the limits."""
        frequencies = np.fft.rfftfreq(size, 1 / self.sample_rate)
        octaves = np.log2(np.maximum(frequencies, frequencies[1] / 2))
        gain = np.ones_like(octaves)
        if lower is not None:
            gain *= _step(octaves - np.log2(lower))
        if upper is not None:
            gain *= _step(np.log2(upper) - octaves)
        return gain.astype(np.float32)


def _step(octaves: NDArray[np.float64]) -> NDArray[np.float64]:
    """A smooth way from 0 to 1, half an octave wide."""
    way: NDArray[np.float64] = np.sin(np.pi / 2 * np.clip(0.5 + octaves / SLOPE, 0, 1)) ** 2
    return way
