"""Whether one system is better than another on the same tracks, and by how much.

The test needs the package scipy, which `pip install 'soloist[metrics]'` adds.
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
    """What a Wilcoxon signed-rank test says of two systems.

    Attributes:
        num_pairs: Tracks on which both have a score.
        median_difference: Median over tracks of the first system's score minus the second's.
        p_value: Probability, were there no difference, of one at least as clear (two-sided).
        effect_size: Matched-pairs rank-biserial correlation in [-1, 1]: 1 where the first system is better on
            every track, 0 where neither is better.
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
        first: Scores of the first system, one a track.
        second: Those of the second, in the same order of tracks; pairs that are not finite are left out.

    Returns:
        The test; NaN without pairs, and a p-value of 1 where no score differs.

    Raises:
        UsageError: There are not as many scores of the one as of the other, or scipy is not installed.
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
    """Adjust p-values for their number, so that all can be held against one level.

    S. Holm, "A simple sequentially rejective multiple test procedure", Scand. J. Statistics 6(2), 1979.

    Args:
        p_values: Of all comparisons made; what is NaN was none, and stays so.
    """
    values = np.asarray(p_values, dtype=np.float64)
    valid = np.flatnonzero(~np.isnan(values))
    order = valid[np.argsort(values[valid], kind="stable")]
    factors = np.arange(len(order), 0, -1)
    adjusted = values.copy()
    adjusted[order] = np.minimum(1, np.maximum.accumulate(values[order] * factors))
    return [float(value) for value in adjusted]
