"""Normalisations by their definitions."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from soloist.networks import CumulativeNorm, GlobalNorm
from soloist.networks.layers.frames import channels_last


def _drawn(norm: torch.nn.Module) -> torch.nn.Module:
    torch.nn.init.normal_(norm.gain)
    torch.nn.init.normal_(norm.shift)
    return norm


@given(frames=st.integers(1, 9), step=st.integers(1, 4), seed=st.integers(0, 99))
def test_a_frame_is_normalised_by_what_was_before(frames, step, seed):
    torch.manual_seed(seed)
    x = torch.randn(2, 3, frames * step, dtype=torch.float64) + 2
    norm = _drawn(CumulativeNorm(3, step).double())
    y = norm(x)
    for end in range(step, frames * step + 1, step):
        known = x[..., :end]
        deviation = (known.var(dim=(1, 2), correction=0, keepdim=True) + norm.eps).sqrt()
        expected = (known - known.mean(dim=(1, 2), keepdim=True)) / deviation
        expected = expected * norm.gain[:, None] + norm.shift[:, None]
        assert torch.allclose(y[..., end - step : end], expected[..., -step:], atol=1e-6)


@pytest.mark.parametrize("kind", [GlobalNorm, CumulativeNorm])
def test_without_gradients_it_is_the_same_in_place_or_not(kind):
    norm, x = _drawn(kind(6)), torch.randn(2, 6, 30)
    expected = norm(x).detach()
    with torch.no_grad():
        assert torch.allclose(norm(x), expected, atol=1e-6)
        norm.inplace = True
        last = channels_last(x)
        assert norm(last) is last
        assert torch.allclose(last, expected, atol=1e-6)


def test_a_long_half_precision_input_does_not_overflow():
    norm = CumulativeNorm(64).half()
    x = (10 * torch.randn(1, 64, 20000)).half()
    y = norm(x)
    assert y.dtype == torch.float16
    assert 0.98 < float(y[..., -5000:].detach().float().std()) < 1.02


def test_silence_is_shifted_only():
    for norm in (_drawn(GlobalNorm(4)), _drawn(CumulativeNorm(4))):
        x = torch.zeros(1, 4, 5, requires_grad=True)
        y = norm(x)
        y.sum().backward()
        assert torch.equal(y[0].detach(), norm.shift[:, None].expand(4, 5))
        assert x.grad.isfinite().all()
