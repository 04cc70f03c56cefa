"""Windows of a sliced non-stationary Gabor transform on the spectrum of a slice, and duals."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from soloist.errors import UsageError
from soloist.transforms.slicq.scales import MAX_SLICE, FrequencyScale

MIN_WINDOW = 16
MAX_TRIALS = 4096
_BLACKMAN_HARRIS = (0.35872, -0.48832, 0.14128, -0.01168)


@dataclass(frozen=True)
class BinWindows:
    """Windows of the bins: 0 Hz first, then the scale, then half the sample rate.

    Attributes:
        centers: Centre of each window, in bins of the slice's spectrum; even.
        lengths: Length of each window, and number of coefficients of the bin; multiples of 4.
        windows: Windows in FFT order, the centre first.
        slice_length: Samples of a slice.
    """

    centers: NDArray[np.int64]
    lengths: NDArray[np.int64]
    windows: list[NDArray[np.float64]]
    slice_length: int

    @classmethod
    def of(cls, scale: FrequencyScale, slice_length: int, sample_rate: int) -> BinWindows:
        """Make windows that reach from the centre of one neighbour to the centre of the other.

        Raises:
            UsageError: The slice is too short to resolve neighbouring bins.
        """
        half = slice_length / 2
        exact = scale.frequencies * slice_length / sample_rate
        widths = _widths(exact, scale.qualities, half)
        lengths = np.maximum(4 * np.round(widths / 4), MIN_WINDOW).astype(np.int64)
        centers = _round(np.concatenate([[0.0], exact, [half]]))
        _check_apart(centers[1:-1], scale, slice_length, sample_rate)
        return cls(centers, lengths, _windows(lengths), slice_length)

    def frame(self, widths: NDArray[np.int64]) -> NDArray[np.float64]:
        """Gain of analysis and synthesis with the same windows, in each bin of the spectrum of a slice.

        Windows of negative frequencies count too.

        Args:
            widths: Coefficients of each bin.

        Returns:
            `(slice_length,)`.
        """
        total = np.zeros(self.slice_length)
        last = len(self.windows) - 1
        for k, (center, window) in enumerate(zip(self.centers, self.windows, strict=True)):
            weights = widths[k] * window**2
            places = center + fft_offsets(len(window))
            np.add.at(total, places % self.slice_length, weights)
            if 0 < k < last:
                np.add.at(total, -places % self.slice_length, weights)
        return total


def _check_apart(
    centers: NDArray[np.int64], scale: FrequencyScale, slice_length: int, sample_rate: int
) -> None:
    if (same := np.flatnonzero(np.diff(centers) == 0)).size:
        low, high = scale.frequencies[same[0] : same[0] + 2]
        longer = _long_enough(scale.frequencies / sample_rate, slice_length)
        remedy = f"give {longer}, or fewer bins" if longer <= MAX_SLICE else "give fewer bins"
        raise UsageError(
            f"slice_length {slice_length} is too short to tell bins at {low:.1f} and {high:.1f} Hz apart: "
            f"{remedy}"
        )


def _long_enough(bins: NDArray[np.float64], slice_length: int) -> int:
    """Next longer slice that resolves bins in cycles per sample."""
    surely = 4 * math.ceil(0.5 / max(np.diff(bins).min(), 1 / MAX_SLICE))
    # Rounding may allow a shorter one.
    candidates = range(slice_length + 4, surely, 4)[-MAX_TRIALS:]
    return next((length for length in candidates if np.all(np.diff(_round(bins * length)))), surely)


def _round(places: NDArray[np.float64]) -> NDArray[np.int64]:
    """The nearest even numbers."""
    return 2 * np.round(places / 2).astype(np.int64)


def fft_offsets(length: int) -> NDArray[np.int64]:
    """Distances from the centre of a window in FFT order: 0, 1, ..., -2, -1."""
    return np.fft.fftfreq(length, 1 / length).round().astype(np.int64)


def _widths(exact: NDArray[np.float64], qualities: NDArray[np.float64], half: float) -> NDArray[np.float64]:
    """Lengths of the windows in bins of the slice, not rounded."""
    inner = exact[2:] - exact[:-2]
    first, last = exact[0] / qualities[0], exact[-1] / qualities[-1]
    ends = [first] if len(exact) == 1 else [first, *inner, last]
    return np.array([2 * exact[0], *ends, 2 * (half - exact[-1])])


def _windows(lengths: NDArray[np.int64]) -> list[NDArray[np.float64]]:
    windows = [_blackman_harris(int(length)) for length in lengths]
    for edge, neighbour in ((0, 1), (-1, -2)):
        if lengths[edge] > lengths[neighbour]:
            windows[edge] = _flat_top(int(lengths[edge]), int(lengths[neighbour]))
    return windows


def _blackman_harris(length: int) -> NDArray[np.float64]:
    """Modified Blackman-Harris window, periodic, in FFT order: 1 at the centre, 0 at the end."""
    phase = 2 * np.pi * (np.arange(length) + length // 2) / length
    return sum(c * np.cos(i * phase) for i, c in enumerate(_BLACKMAN_HARRIS))  # type: ignore[return-value]


def _flat_top(length: int, neighbour: int) -> NDArray[np.float64]:
    """Ones with the flanks of a Hann window of the neighbour's length, in FFT order."""
    window = np.ones(length)
    hann = 0.5 - 0.5 * np.cos(2 * np.pi * np.arange(neighbour) / neighbour)
    start = length // 2 - neighbour // 2
    window[start : start + neighbour] = np.roll(hann, neighbour // 2)
    return window


def transition_window(slice_length: int, transition: int) -> NDArray[np.float64]:
    """Window of a slice: ramps of `transition` samples at a quarter and at three quarters.

    The ramps of slices half a slice apart add up to one.
    """
    ramp = 0.5 - 0.5 * np.cos(np.pi * np.arange(transition) / transition)
    window = np.zeros(slice_length)
    quarter, half_ramp = slice_length // 4, transition // 2
    window[quarter + half_ramp : 3 * quarter - half_ramp] = 1
    window[quarter - half_ramp : quarter + half_ramp] = ramp
    window[3 * quarter - half_ramp : 3 * quarter + half_ramp] = 1 - ramp
    return window
