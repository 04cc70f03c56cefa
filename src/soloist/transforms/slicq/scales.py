"""Frequency scales of non-stationary Gabor transforms: centres and bandwidths of the bins.

N. Holighaus, M. Dörfler, G. A. Velasco and T. Grill, "A framework for invertible, real-time constant-Q
transforms", IEEE TASLP 21(4), 2013.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from difflib import get_close_matches
from typing import Literal, get_args

import numpy as np
from numpy.typing import NDArray

from soloist.errors import UsageError

ScaleName = Literal["bark", "mel", "constant-q", "variable-q", "octave"]
SCALES: tuple[ScaleName, ...] = get_args(ScaleName)


MIN_SLICE = 32  # samples
MAX_SLICE = 2**22
MAX_BINS = MAX_SLICE // 4
MIN_FREQUENCY = 1e-3  # Hz
STEP = 1e-8  # of a bin, for derivatives
NYQUIST_MARGIN = 1e-6  # Hz


@dataclass(frozen=True)
class FrequencyScale:
    """Centre frequencies between 0 Hz and half the sample rate, both left out, and the quality of each.

    Attributes:
        frequencies: Hz, ascending.
        qualities: Half the centre frequency divided by the distance of neighbouring bins.
    """

    frequencies: NDArray[np.float64]
    qualities: NDArray[np.float64]

    def suggested_slice(self, sample_rate: int) -> int:
        """Length of the shortest slice that resolves every bin, samples; a multiple of 4.

        Raises:
            UsageError: The slice exceeds the longest supported one.
        """
        samples = np.ceil(np.max(8 * self.qualities * sample_rate / self.frequencies))
        if not samples <= MAX_SLICE:
            raise UsageError(
                f"the scale asks for slices of {samples:.4g} samples, and {MAX_SLICE} are the most: "
                f"give fewer bins or a higher fmin, or a slice_length"
            )
        return max(MIN_SLICE, 4 * int(np.ceil(samples / 4)))


def make_scale(
    name: ScaleName,
    bins: int,
    fmin: float,
    sample_rate: int,
    *,
    gamma: float = 25.0,
    as_released: bool = False,
) -> FrequencyScale:
    """Lay out the bins of a scale from `fmin` to half the sample rate.

    Args:
        name: "bark" (6 asinh(f / 600)), "mel" (2595 log10(1 + f / 700)), "constant-q" (logarithmic),
            "variable-q" (logarithmic, and shifted upwards by `gamma`) or "octave" (logarithmic, `bins` for
            each octave).
        bins: Number of bins, both ends counted; for "octave" in each octave.
        fmin: Lowest centre, Hz.
        sample_rate: Sample rate, Hz. Centres at half the rate or above are left out.
        gamma: Shift of all centres of "variable-q", Hz.
        as_released: Let rounding decide if the last bin lies below half the sample rate, as the published
            code does.

    Raises:
        UsageError: Unknown scale, or no room below half the sample rate.
    """
    _check(name, bins, fmin, sample_rate, gamma)
    nyquist = sample_rate / 2
    octaves = math.log2(nyquist) - math.log2(fmin)
    if name == "octave":
        bins = math.ceil(octaves * bins) + 1
    if bins > MAX_BINS:
        most = MAX_BINS if name != "octave" else int((MAX_BINS - 1) / octaves)
        raise UsageError(f"the scale {name} has {bins} bins, more than any slice holds: give at most {most}")
    place = _places(name, bins, fmin, nyquist, gamma)
    positions = np.arange(bins, dtype=np.float64)
    frequencies = place(positions)
    qualities = _qualities(name, place, positions, octaves)
    # Half the sample rate has a bin of its own; rounding must not decide about a second one.
    limit = nyquist if as_released else nyquist - NYQUIST_MARGIN
    kept = (frequencies > 0) & (frequencies < limit)
    if not kept.any():
        raise UsageError(f"no bin of the scale {name} lies below half the sample rate, {nyquist:g} Hz")
    return FrequencyScale(frequencies[kept], qualities[kept])


def _qualities(
    name: ScaleName,
    place: Callable[[NDArray[np.float64]], NDArray[np.float64]],
    positions: NDArray[np.float64],
    octaves: float,
) -> NDArray[np.float64]:
    """Half the centre frequency over the distance of neighbours, at each position of a scale."""
    bins = len(positions)
    if name in ("constant-q", "octave"):
        ratio = 2 ** (octaves / (bins - 1))
        return np.full(bins, math.sqrt(ratio) / (2 * (ratio - 1)))
    # A difference quotient with its rounding noise: slice lengths of published models depend on it. Bins that
    # rounding makes equal have an infinite quality, and ask for an infinite slice.
    with np.errstate(divide="ignore"):
        quotients: NDArray[np.float64] = (
            place(positions) * STEP / (place(positions + STEP) - place(positions - STEP))
        )
    return quotients


def _places(
    name: ScaleName, bins: int, fmin: float, nyquist: float, gamma: float
) -> Callable[[NDArray[np.float64]], NDArray[np.float64]]:
    """Frequency at each position of a scale, whole or between two bins.

    Python's functions, because the last bits of NumPy's differ between processors, and slice lengths depend
    on them.
    """
    if name in ("bark", "mel"):
        to_scale, to_hertz = _SCALES[name]
        low, high = to_scale(fmin), to_scale(nyquist)
        step = (high - low) / (bins - 1)
        return np.vectorize(lambda position: to_hertz(position * step + low), otypes=[float])
    shift = gamma if name == "variable-q" else 0.0
    low, high = math.log2(fmin), math.log2(nyquist)
    lowest, ratio = 2**low, 2 ** ((high - low) / (bins - 1))
    return np.vectorize(lambda position: lowest * math.pow(ratio, position) + shift, otypes=[float])


_SCALES: dict[str, tuple[Callable[[float], float], Callable[[float], float]]] = {
    "bark": (lambda hertz: 6 * math.asinh(hertz / 600), lambda place: 600 * math.sinh(place / 6)),
    "mel": (
        lambda hertz: 2595 * math.log10(1 + hertz / 700),
        lambda place: 700 * (math.pow(10, place / 2595) - 1),
    ),
}
"""Maps from Hz to a scale, and back."""


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
    if not MIN_FREQUENCY <= fmin < sample_rate / 2:
        raise UsageError(
            f"fmin {fmin:g} Hz must lie between {MIN_FREQUENCY:g} Hz and half the sample rate, below "
            f"{sample_rate / 2:g} Hz"
        )
    if not 0 <= gamma < float("inf"):
        raise UsageError(f"gamma {gamma:g} Hz must not be negative or infinite")
