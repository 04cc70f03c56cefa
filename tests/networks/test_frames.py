"""Layers on frames: equal values in both memory layouts, with and without gradients."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from soloist.networks.layers.frames import FrameConv, Slope, add_repeated, channels_last


@pytest.mark.parametrize(("kernel", "stride", "groups"), [(1, 1, 1), (5, 1, 8), (5, 2, 8), (3, 2, 1)])
def test_a_convolution_is_the_same_in_either_layout(kernel, stride, groups):
    conv = FrameConv(8, 16, kernel, stride, padding=kernel // 2, groups=groups)
    x = torch.randn(2, 8, 20)
    expected = nn.Conv1d.forward(conv, x)
    assert torch.allclose(conv(x), expected, atol=1e-6)
    with torch.no_grad():
        assert torch.allclose(conv(channels_last(x)), expected, atol=1e-6)


def test_coarse_frames_are_added_twice():
    fine, coarse = torch.randn(2, 3, 8), torch.randn(2, 3, 4)
    expected = fine + coarse.repeat_interleave(2, dim=-1)
    assert torch.equal(add_repeated(fine, coarse), expected)
    with torch.no_grad():
        assert torch.equal(add_repeated(fine, coarse), expected)


@pytest.mark.parametrize("layout", [torch.Tensor.contiguous, channels_last])
def test_a_learned_slope_has_the_gradients_of_a_prelu(layout):
    with torch.no_grad():
        values, weights = layout(torch.randn(2, 5, 30)), torch.randn(2, 5, 30)
    slope, prelu = Slope(), nn.PReLU()
    gradients = []
    for layer in (slope, prelu):
        x = values.clone().requires_grad_()
        (layer(x) * weights).sum().backward()
        gradients.append((x.grad, layer.weight.grad))
    for ours, theirs in zip(*gradients, strict=True):
        assert torch.allclose(ours, theirs, rtol=1e-5, atol=1e-6)


def test_the_gradients_of_a_slope_are_those_of_its_output():
    slope = Slope().double()
    x = torch.randn(2, 3, 7, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(lambda x, _: slope(x), (x, slope.weight))
