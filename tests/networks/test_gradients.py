"""Gradients that are computed by hand, against those that PyTorch derives from the plain layers."""

import pytest
import torch
from torch.autograd import gradcheck
from torch.nn import functional as F
from torch.testing import assert_close

from soloist.networks.demucs import branch_arithmetic
from soloist.networks.demucs.residual_branches import BranchDesign
from soloist.networks.demucs.stages import GatedConv
from soloist.networks.layers.gating import gate
from soloist.networks.layers.onednn import project


def gradients(output, inputs):
    """Gradients of a weighted sum of an output."""
    weights = torch.linspace(-1, 2, output.numel(), dtype=output.dtype).view(output.shape)
    return torch.autograd.grad((output * weights).sum(), inputs)


@pytest.mark.parametrize("tile", [1, 50, 2**20])
@pytest.mark.parametrize(("batch", "frames"), [(1, 2), (3, 9)])
@pytest.mark.parametrize("deep", [False, True])
def test_branches_learn_as_their_layers_do(deep, batch, frames, tile, monkeypatch):
    for name in ("TILE", "_GRADIENT_TILE"):
        monkeypatch.setattr(branch_arithmetic, name, tile)
    layers = {"lstm_from": 0, "attention_from": 0} if deep else {}
    branches = BranchDesign(depth=2, compression=2, **layers).make(16, 0).double()
    for parameter in branches.parameters():
        torch.nn.init.normal_(parameter, std=0.5)
    x = torch.randn(batch, 16, 2, frames, dtype=torch.float64, requires_grad=True)
    rows = x.transpose(1, 2).flatten(0, 1)
    for branch in branches:
        rows = rows + branch(rows)
    plain = rows.unflatten(0, (batch, 2)).transpose(1, 2)
    output = branches(x)
    assert_close(output, plain)
    inputs = [x, *branches.parameters()]
    for found, expected in zip(gradients(output, inputs), gradients(plain, inputs), strict=True):
        assert_close(found, expected, rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize("context", [0, 1])
@pytest.mark.parametrize("groups", [None, 2])
def test_gated_convolutions_learn_as_their_layers_do(groups, context):
    layer = GatedConv(4, groups, context).double()
    x = torch.randn(2, 4, 3, 5, dtype=torch.float64, requires_grad=True)
    plain = F.glu(layer.norm(layer.conv(x)), dim=1)
    inputs = [x, *layer.parameters()]
    for found, expected in zip(gradients(layer(x), inputs), gradients(plain, inputs), strict=True):
        assert_close(found, expected)


def test_a_gate_has_the_gradient_of_its_differences():
    x = torch.randn(2, 6, 3, 4, dtype=torch.float64).contiguous(memory_format=torch.channels_last)
    assert gradcheck(gate, x.requires_grad_())
    assert_close(gate(x), F.glu(x, dim=1))


@pytest.mark.parametrize("bias", [False, True])
@pytest.mark.parametrize("shape", [(5,), (2, 3, 5)])
def test_a_projection_learns_as_a_linear_layer_does(shape, bias):
    x = torch.randn(shape, requires_grad=True)
    weight = torch.randn(7, 5, requires_grad=True)
    inputs = [x, weight, *([torch.randn(7, requires_grad=True)] if bias else [])]
    layers = [layer(x, weight, inputs[2] if bias else None) for layer in (project, F.linear)]
    assert_close(*layers, rtol=1e-5, atol=1e-5)
    for found, expected in zip(*(gradients(each, inputs) for each in layers), strict=True):
        assert_close(found, expected, rtol=1e-5, atol=1e-5)
    frozen = project(x, weight.detach(), None)
    assert_close(gradients(frozen, [x]), gradients(F.linear(x, weight.detach()), [x]), rtol=1e-5, atol=1e-5)
