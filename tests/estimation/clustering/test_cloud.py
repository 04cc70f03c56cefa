from __future__ import annotations

import numpy as np
import torch
from hypothesis import given
from hypothesis import strategies as st

from soloist.estimation import loudest


@given(
    number=st.integers(1, 300),
    percentile=st.sampled_from([0.0, 12.5, 50.0, 90.0, 95.0, 99.9, 100.0]),
    levels=st.integers(1, 1000),
    seed=st.integers(0, 100),
)
def test_the_loudest_points_reach_numpy_s_percentile(number, percentile, levels, seed):
    magnitudes = np.random.default_rng(seed).integers(1, levels + 1, (2, number)).astype(np.float32)
    cutoff = np.percentile(magnitudes.astype(np.float64), percentile, axis=1, keepdims=True)
    found = loudest(torch.from_numpy(magnitudes), percentile)
    # Interpolation between equal values may be off by a rounding error.
    np.testing.assert_array_equal(found.numpy(), magnitudes >= cutoff - 1e-9)


def test_silence_is_not_loud():
    assert not loudest(torch.zeros(1, 10), 90.0).any()
    assert loudest(torch.tensor([[0.0] * 9 + [1.0]]), 50.0).sum() == 1
