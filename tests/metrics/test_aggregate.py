import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from soloist.errors import UsageError
from soloist.metrics import aggregate, aggregate_by_target, bootstrap_interval, summarize, worst_first

NAN = math.nan
scores = st.lists(st.floats(-100, 100), min_size=1, max_size=30)


def test_frames_come_before_tracks():
    # Over all frames at once the median would be 1.
    assert aggregate([[1, 1, 1, 1, 1], [5], [7]]) == 5
    assert aggregate([[1, 3], [5]], frames="mean", over_tracks="mean") == 3.5


def test_nan_is_left_out_at_every_step():
    assert aggregate([[1, NAN, 3], [NAN, NAN], [4]]) == 3
    assert math.isnan(aggregate([[NAN], []]))
    assert math.isnan(summarize([]))


def test_infinity_is_a_value():
    assert summarize([1, 2, math.inf]) == 2
    assert summarize([1, math.inf], "mean") == math.inf


def test_targets_that_tracks_lack_are_left_out():
    tracks = [{"vocals": [1, 3], "drums": [4]}, {"vocals": [6]}]
    assert aggregate_by_target(tracks) == {"vocals": 4, "drums": 4}


def test_worst_tracks_are_first_and_unknown_ones_last():
    ranked = worst_first({"a": 3.0, "b": NAN, "c": -1.0, "d": math.inf})
    assert [name for name, _ in ranked] == ["c", "a", "d", "b"]


@given(values=scores, seed=st.integers(0, 5), statistic=st.sampled_from(["median", "mean"]))
def test_an_interval_lies_within_the_values_and_is_repeatable(values, seed, statistic):
    low, high = bootstrap_interval(values, statistic=statistic, num_resamples=200, seed=seed)
    assert min(values) - 1e-9 <= low <= high <= max(values) + 1e-9
    assert (low, high) == bootstrap_interval(
        [*values, NAN], statistic=statistic, num_resamples=200, seed=seed
    )


def test_an_interval_holds_the_true_mean_as_often_as_it_says():
    random = np.random.default_rng(0)
    hits = 0
    for trial in range(200):
        low, high = bootstrap_interval(
            random.normal(3, 1, 40), statistic="mean", confidence=0.9, num_resamples=400, seed=trial
        )
        hits += low <= 3 <= high
    assert 165 <= hits <= 195


def test_more_confidence_is_a_wider_interval():
    values = np.random.default_rng(0).normal(size=50)
    wide, narrow = (bootstrap_interval(values, confidence=level) for level in (0.99, 0.5))
    assert wide[0] < narrow[0] < narrow[1] < wide[1]


def test_no_values_have_no_interval():
    assert all(math.isnan(end) for end in bootstrap_interval([NAN]))


def test_what_is_out_of_range_is_named():
    with pytest.raises(UsageError, match="confidence 1 "):
        bootstrap_interval([1.0], confidence=1)
    with pytest.raises(UsageError, match="'mode'"):
        summarize([1.0], "mode")
