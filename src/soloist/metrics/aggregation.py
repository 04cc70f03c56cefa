"""Aggregation of scores from windows to tracks, and from tracks to one number with a confidence interval.

Every step ignores NaN (a silent window, a track without the target); without other values the result is NaN.
The median of an even number of values is the mean of the two in the middle.
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
    """Median or mean of the values that are not NaN."""
    return float(_along_last_axis(np.asarray(values, dtype=np.float64).ravel(), statistic))


def aggregate(
    tracks: Sequence[ArrayLike], *, frames: Statistic = "median", over_tracks: Statistic = "median"
) -> float:
    """Aggregate the values of a system over the frames of each track, then over tracks.

    The default is that of the 2018 campaign (F.-R. Stöter, A. Liutkus and N. Ito, LVA/ICA 2018).

    Args:
        tracks: Values of the frames, for each track.
        frames: Statistic over the frames of a track.
        over_tracks: Statistic over tracks.
    """
    return summarize([summarize(values, frames) for values in tracks], over_tracks)


def aggregate_by_target(
    tracks: Sequence[Mapping[str, ArrayLike]],
    *,
    frames: Statistic = "median",
    over_tracks: Statistic = "median",
) -> dict[str, float]:
    """`aggregate` for each target, in the order of first appearance.

    Args:
        tracks: Values of the frames by target, for each track. Tracks may lack targets.
        frames: Statistic over the frames of a track.
        over_tracks: Statistic over tracks.
    """
    targets = dict.fromkeys(target for track in tracks for target in track)
    return {
        target: aggregate(
            [track[target] for track in tracks if target in track], frames=frames, over_tracks=over_tracks
        )
        for target in targets
    }


def worst_first(scores: Mapping[str, float]) -> list[tuple[str, float]]:
    """Sort tracks by score, the lowest first and NaN last."""
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
        statistic: Statistic over tracks.
        confidence: Probability that the interval holds the true value, in (0, 1).
        num_resamples: Number of resamples.
        seed: Seed of the draws: equal values give equal intervals.

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
    # No interpolation: values may be infinite.
    low, high = np.percentile(results, [tail, 100 - tail], method="nearest")
    return float(low), float(high)


def _along_last_axis(values: NDArray[np.float64], statistic: Statistic) -> Any:
    if statistic not in _STATISTICS:
        raise UsageError(f"there is no statistic {statistic!r}; known are {', '.join(_STATISTICS)}")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)  # Without values the result is NaN, as documented.
        return _STATISTICS[statistic](values, axis=-1)
