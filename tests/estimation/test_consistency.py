"""Mixture consistency: the sum of the estimates, and estimates that stay unchanged."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from soloist.estimation import project_onto_mixture


def _signals(seed: int, sources: int, channels: int):
    generator = torch.Generator().manual_seed(seed)
    estimates = torch.randn(2, sources, channels, 50, generator=generator)
    return estimates, torch.randn(2, channels, 50, generator=generator)


@given(seed=st.integers(0, 99), sources=st.integers(1, 4), channels=st.integers(1, 2))
@pytest.mark.parametrize("weights", ["uniform", "magsq"])
def test_estimates_add_up_to_the_mixture(weights, seed, sources, channels):
    estimates, mixture = _signals(seed, sources, channels)
    projected = project_onto_mixture(estimates, mixture, weights)
    assert torch.allclose(projected.sum(dim=1), mixture, atol=1e-5)


@pytest.mark.parametrize("weights", ["uniform", "magsq"])
def test_what_adds_up_already_stays(weights):
    estimates, _ = _signals(0, 3, 2)
    projected = project_onto_mixture(estimates, estimates.sum(dim=1), weights)
    assert torch.allclose(projected, estimates, atol=1e-6)


def test_power_weights_leave_a_silent_estimate_silent():
    estimates, mixture = _signals(1, 3, 1)
    estimates[:, 1] = 0
    projected = project_onto_mixture(estimates, mixture, "magsq")
    assert not projected[:, 1].any()
    assert project_onto_mixture(estimates, mixture, "uniform")[:, 1].any()


def test_power_weights_in_proportion_to_the_power():
    estimates = torch.tensor([[[[3.0, -3.0]], [[1.0, 1.0]]]])
    mixture = torch.tensor([[[14.0, 8.0]]])
    projected = project_onto_mixture(estimates, mixture, "magsq")
    # The residual (10, 10) is shared 9 to 1.
    assert torch.allclose(projected, torch.tensor([[[[12.0, 6.0]], [[2.0, 2.0]]]]))


def test_all_silent_estimates_stay_silent_under_power_weights():
    _, mixture = _signals(2, 2, 1)
    assert not project_onto_mixture(torch.zeros(2, 2, 1, 50), mixture, "magsq").any()
