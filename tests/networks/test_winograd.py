"""Convolutions of three by three with fewer products."""

from __future__ import annotations

import pytest
import torch
from torch.nn.functional import conv2d
from torch.testing import assert_close

from soloist.networks.layers import winograd
from soloist.networks.layers.winograd import add_convolved, convolve


def last(*shape):
    return torch.randn(*shape).contiguous(memory_format=torch.channels_last)


@torch.no_grad()
@pytest.mark.parametrize("tile", [1, 300, 2**20])
@pytest.mark.parametrize(
    ("batch", "height", "width"), [(1, 7, 6), (2, 5, 2), (1, 1, 8), (3, 2, 4), (1, 6, 5)]
)
def test_pairs_of_frames_have_the_outputs_of_a_convolution(batch, height, width, tile, monkeypatch):
    monkeypatch.setattr(winograd, "_FEWEST", 1)
    monkeypatch.setattr(winograd, "_TILE", tile)
    x, weight, total = last(batch, 6, height, width), last(4, 6, 3, 3), last(batch, 4, height, width)
    expected = conv2d(x.double(), weight.double(), padding=1)
    assert_close(convolve(x, weight).double(), expected, rtol=0, atol=1e-5)
    assert_close(convolve(x.contiguous(), weight).double(), expected, rtol=0, atol=1e-5)
    into = total.clone()
    add_convolved(into, x, weight)
    assert_close(into.double(), total.double() + expected, rtol=0, atol=1e-5)


@torch.no_grad()
def test_they_are_as_exact_as_a_convolution_and_need_fewer_products(monkeypatch):
    x, weight = last(1, 64, 64, 64), last(64, 64, 3, 3)
    exact = conv2d(x.double(), weight.double(), padding=1)
    error, plain = ((each - exact).norm() for each in (convolve(x, weight), conv2d(x, weight, padding=1)))
    assert error < 1.5 * plain
    counted = []
    monkeypatch.setattr(
        winograd.F, "conv2d", lambda x, weight: counted.append((x, weight)) or conv2d(x, weight)
    )
    convolve(x, weight)
    products = sum((x.shape[2] - 2) * x.shape[3] * weight.numel() for x, weight in counted)
    assert products == 2 / 3 * exact[0, 0].numel() * weight.numel()


@pytest.mark.parametrize("tile", [1, 2**20])
@pytest.mark.parametrize("batch", [1, 2])
def test_gradients_are_those_of_a_convolution(batch, tile, monkeypatch):
    for name, value in (("_FEWEST", 1), ("_NARROWEST_WITH_GRADIENTS", 1), ("_TILE", tile)):
        monkeypatch.setattr(winograd, name, value)
    inputs = [
        last(batch, 3, 5, 6).double().requires_grad_(),
        torch.randn(2, 3, 3, 3).double().requires_grad_(),
    ]
    assert "ConvolutionBackward" in convolve(*inputs).grad_fn.name()
    assert convolve(*inputs).grad_fn.name() != conv2d(*inputs, padding=1).grad_fn.name()
    assert torch.autograd.gradcheck(convolve, inputs)
    (alone,) = torch.autograd.grad(convolve(inputs[0].detach(), inputs[1]).square().sum(), inputs[1])
    (plain,) = torch.autograd.grad(conv2d(inputs[0].detach(), inputs[1], padding=1).square().sum(), inputs[1])
    assert_close(alone, plain)
