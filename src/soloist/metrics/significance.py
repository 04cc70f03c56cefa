"""Significance and size of the difference of two systems on the same tracks.

The test needs the package scipy; install it with `pip install 'soloist[metrics]'`.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from soloist.errors import UsageError
from soloist.resources import import_extra


@dataclass(frozen=True)
class PairedTest:
    """Result of a Wilcoxon signed-rank test of two systems.

    Attributes:
        num_pairs: Tracks with scores of both systems.
        median_difference: Median over tracks of the first system's score minus the second's.
        p_value: Probability of a difference at least as clear between equal systems (two-sided).
        effect_size: Matched-pairs rank-biserial correlation in [-1, 1]: 1 if the first system is better on
            every track, 0 if neither is better.
    """

    num_pairs: int
    median_difference: float
    p_value: float
    effect_size: float


def paired_test(first: ArrayLike, second: ArrayLike) -> PairedTest:
    """Compare the scores of two systems, track by track.

    F. Wilcoxon, "Individual comparisons by ranking methods", Biometrics Bulletin 1(6), 1945; effect size:
    D. S. Kerby, "The simple difference formula", Comprehensive Psychology 3, 2014.

    Args:
        first: Scores of the first system, one for each track.
        second: Scores of the second system, in the same order. Pairs that are not finite are ignored.

    Returns:
        The test: NaN without pairs, and a p-value of 1 without differences.

    Raises:
        UsageError: The numbers of scores differ, or scipy is not installed.
    """
    one, other = (np.asarray(scores, dtype=np.float64).ravel() for scores in (first, second))
    if len(one) != len(other):
        raise UsageError(f"{len(one)} scores cannot be paired with {len(other)}")
    both = np.isfinite(one) & np.isfinite(other)
    differences = one[both] - other[both]
    if not len(differences):
        return PairedTest(0, math.nan, math.nan, math.nan)
    median, changed = float(np.median(differences)), differences[differences != 0]
    if not len(changed):
        return PairedTest(len(differences), median, 1.0, 0.0)
    stats = import_extra("scipy.stats", "metrics")
    ranks = stats.rankdata(np.abs(changed))
    effect = float((ranks * np.sign(changed)).sum() / ranks.sum())
    return PairedTest(len(differences), median, float(stats.wilcoxon(changed).pvalue), effect)


def holm(p_values: Sequence[float]) -> list[float]:
    """Adjust p-values for multiple comparisons, for use with one significance level.

    S. Holm, "A simple sequentially rejective multiple test procedure", Scand. J. Statistics 6(2), 1979.

    Args:
        p_values: P-values of all comparisons. NaN counts as no comparison, and stays NaN.
    """
    values = np.asarray(p_values, dtype=np.float64)
    valid = np.flatnonzero(~np.isnan(values))
    order = valid[np.argsort(values[valid], kind="stable")]
    factors = np.arange(len(order), 0, -1)
    adjusted = values.copy()
    adjusted[order] = np.minimum(1, np.maximum.accumulate(values[order] * factors))
    return [float(value) for value in adjusted]
