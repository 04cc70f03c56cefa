"""From the scores of windows to those of tracks, and from tracks to one number with its uncertainty.

What is NaN (a silent window, a track without the target) is left out at every step; where nothing is left
the result is NaN. The median of an even number is the mean of the two in the middle.
"""

from __future__ import annotations

import math
import warnings
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray

from soloist.errors import UsageError

Statistic = Literal["median", "mean"]

_STATISTICS: dict[str, Callable[..., Any]] = {"median": np.nanmedian, "mean": np.nanmean}


def summarize(values: ArrayLike, statistic: Statistic = "median") -> float:
    """The median or mean of what is not NaN."""
    return float(_along_last_axis(np.asarray(values, dtype=np.float64).ravel(), statistic))


def aggregate(
    tracks: Sequence[ArrayLike], *, frames: Statistic = "median", over_tracks: Statistic = "median"
) -> float:
    """One number for a system: over the frames of each track, then over tracks.

    The default is that of the 2018 campaign (F.-R. Stöter, A. Liutkus and N. Ito, LVA/ICA 2018).

    Args:
        tracks: For each track the values of its frames.
        frames: How the frames of a track are aggregated.
        over_tracks: How tracks are.
    """
    return summarize([summarize(values, frames) for values in tracks], over_tracks)


def aggregate_by_target(
    tracks: Sequence[Mapping[str, ArrayLike]],
    *,
    frames: Statistic = "median",
    over_tracks: Statistic = "median",
) -> dict[str, float]:
    """`aggregate` for each target, in the order in which they first appear.

    Args:
        tracks: For each track, its targets' values by frame. Not every track needs every target.
        frames: How the frames of a track are aggregated.
        over_tracks: How tracks are.
    """
    targets = dict.fromkeys(target for track in tracks for target in track)
    return {
        target: aggregate(
            [track[target] for track in tracks if target in track], frames=frames, over_tracks=over_tracks
        )
        for target in targets
    }


def worst_first(scores: Mapping[str, float]) -> list[tuple[str, float]]:
    """Tracks and their scores from the lowest up; those without one are last."""
    return sorted(scores.items(), key=lambda item: (math.isnan(item[1]), item[1]))


def bootstrap_interval(
    values: ArrayLike,
    *,
    statistic: Statistic = "median",
    confidence: float = 0.95,
    num_resamples: int = 10_000,
    seed: int = 0,
) -> tuple[float, float]:
    """Confidence interval of a median or mean over tracks, from the percentiles of resampled tracks.

    B. Efron and R. J. Tibshirani, "An introduction to the bootstrap", Chapman & Hall, 1993, chapter 13.

    Args:
        values: One value for each track.
        statistic: What the interval is of.
        confidence: Probability that the interval holds the true value, in (0, 1).
        num_resamples: How often tracks are drawn.
        seed: Of the draws: the same values have the same interval.

    Returns:
        Lower and upper end; both NaN without values.

    Raises:
        UsageError: `confidence` or `num_resamples` is out of range.
    """
    if not 0 < confidence < 1 or num_resamples < 1:
        raise UsageError(f"confidence {confidence:g} must lie between 0 and 1, num_resamples be positive")
    array = np.asarray(values, dtype=np.float64).ravel()
    array = array[~np.isnan(array)]
    if not len(array):
        return math.nan, math.nan
    draws = np.random.default_rng(seed).integers(len(array), size=(num_resamples, len(array)))
    results = _along_last_axis(array[draws], statistic)
    tail = 50 * (1 - confidence)
    # Not interpolated: the values may be infinite.
    low, high = np.percentile(results, [tail, 100 - tail], method="nearest")
    return float(low), float(high)


def _along_last_axis(values: NDArray[np.float64], statistic: Statistic) -> Any:
    if statistic not in _STATISTICS:
        raise UsageError(f"there is no statistic {statistic!r}; known are {', '.join(_STATISTICS)}")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)  # NaN without values is what is promised.
        return _STATISTICS[statistic](values, axis=-1)
