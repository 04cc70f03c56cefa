"""Frequency scales of non-stationary Gabor transforms: where the bins lie, and how narrow they are.

N. Holighaus, M. Dörfler, G. A. Velasco and T. Grill, "A framework for invertible, real-time constant-Q
transforms", IEEE TASLP 21(4), 2013.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from difflib import get_close_matches
from typing import Literal, get_args

import numpy as np
from numpy.typing import NDArray

from soloist.errors import UsageError

ScaleName = Literal["bark", "mel", "constant-q", "variable-q", "octave"]
SCALES: tuple[ScaleName, ...] = get_args(ScaleName)

Values = NDArray[np.float64]

MIN_SLICE = 32  # samples
STEP = 1e-8  # of a bin, for derivatives
NYQUIST_MARGIN = 1e-6  # Hz


@dataclass(frozen=True)
class FrequencyScale:
    """Centre frequencies between 0 Hz and half the sample rate, both left out, and the quality of each.

    Attributes:
        frequencies: Hz, ascending.
        qualities: Half the centre frequency over the distance of neighbouring bins.
    """

    frequencies: Values
    qualities: Values

    def suggested_slice(self, sample_rate: int) -> int:
        """The shortest slice, in samples, that resolves every bin; a multiple of 4."""
        samples = np.ceil(np.max(8 * self.qualities * sample_rate / self.frequencies))
        return max(MIN_SLICE, 4 * int(np.ceil(samples / 4)))


def make_scale(
    name: ScaleName, bins: int, fmin: float, sample_rate: int, *, gamma: float = 25.0
) -> FrequencyScale:
    """Lay out the bins of a scale from `fmin` to half the sample rate.

    Args:
        name: "bark" (6 asinh(f / 600)), "mel" (2595 log10(1 + f / 700)), "constant-q" (logarithmic),
            "variable-q" (logarithmic, and shifted upwards by `gamma`) or "octave" (logarithmic, `bins` for
            each octave).
        bins: Number of bins, both ends counted; for "octave" of each octave.
        fmin: Lowest centre, Hz.
        sample_rate: In Hz. What lies at half of it or above is left out.
        gamma: Shift of all centres of "variable-q", Hz.

    Raises:
        UsageError: There is no such scale, or no room for it below half the sample rate.
    """
    _check(name, bins, fmin, sample_rate, gamma)
    nyquist = sample_rate / 2
    if name == "octave":
        bins = int(np.ceil(np.log2(nyquist / fmin) * bins)) + 1
    positions = np.arange(bins, dtype=np.float64)
    if name in ("constant-q", "octave"):
        ratio = 2 ** (np.log2(nyquist / fmin) / (bins - 1))
        frequencies = fmin * ratio**positions
        qualities = np.full(bins, np.sqrt(ratio) / (2 * (ratio - 1)))
    else:
        place = _places(name, bins, fmin, nyquist, gamma)
        frequencies = place(positions)
        # A difference quotient, noise and all: the slice lengths of published models follow from it.
        qualities = frequencies * STEP / (place(positions + STEP) - place(positions - STEP))
    # Half the sample rate has a bin of its own; whether the last one reaches it must not hang on rounding.
    kept = (frequencies > 0) & (frequencies < nyquist - NYQUIST_MARGIN)
    if not kept.any():
        raise UsageError(f"no bin of the scale {name} lies below half the sample rate, {nyquist:g} Hz")
    return FrequencyScale(frequencies[kept], qualities[kept])


def _places(
    name: ScaleName, bins: int, fmin: float, nyquist: float, gamma: float
) -> Callable[[Values], Values]:
    """The frequency at each position of a scale, whole or between two bins."""
    if name == "variable-q":
        step = np.log2(nyquist / fmin) / (bins - 1)
        return lambda positions: fmin * 2 ** (positions * step) + gamma
    if name == "bark":
        low, high = (6 * np.arcsinh(f / 600) for f in (fmin, nyquist))
        return lambda positions: 600 * np.sinh((low + positions * (high - low) / (bins - 1)) / 6)
    low, high = (2595 * np.log10(1 + f / 700) for f in (fmin, nyquist))
    return lambda positions: 700 * (10 ** ((low + positions * (high - low) / (bins - 1)) / 2595) - 1)


def _check(name: str, bins: int, fmin: float, sample_rate: int, gamma: float) -> None:
    if name not in SCALES:
        near = get_close_matches(name, SCALES, n=1)
        guess = f": did you mean {near[0]}?" if near else f"; there are {', '.join(SCALES)}"
        raise UsageError(f"there is no scale {name!r}{guess}")
    if sample_rate < 1:
        raise UsageError(f"sample_rate {sample_rate} must be positive")
    least = 1 if name == "octave" else 2
    if bins < least:
        raise UsageError(f"bins {bins} are too few for the scale {name}: give at least {least}")
    if not 0 < fmin < sample_rate / 2:
        raise UsageError(
            f"fmin {fmin:g} Hz must lie above 0 and below half the sample rate, {sample_rate / 2:g} Hz"
        )
    if not 0 <= gamma < float("inf"):
        raise UsageError(f"gamma {gamma:g} Hz must not be negative or infinite")
