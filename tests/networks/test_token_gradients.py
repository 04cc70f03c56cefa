"""Gradients that are written out: those of the plain operations, and of finite differences."""

from __future__ import annotations

import pytest
import torch
from torch.autograd import gradcheck
from torch.nn import functional as F
from torch.testing import assert_close

from soloist.networks import BSRoFormer, MelBandRoFormer, RoFormerDesign, TFCTDFv3, tfc_tdf_v3
from soloist.networks.layers import token_gradients, transformer
from soloist.networks.layers.normalization import instance_norm_gelu
from soloist.networks.layers.token_gradients import feed_forward, permute, rms_norm


def doubles(*shapes):
    return [torch.randn(shape, dtype=torch.float64, requires_grad=True) for shape in shapes]


@pytest.mark.parametrize("part", [1, 4, 2048])
def test_gradients_of_tokens_are_those_of_finite_differences(part, monkeypatch):
    monkeypatch.setattr(token_gradients, "_PART", part)
    x, gain, expand, expand_bias, contract, contract_bias = doubles((2, 3, 4), 4, (5, 4), 5, (2, 5), 2)
    assert gradcheck(rms_norm, (x, gain))
    assert gradcheck(feed_forward, (x, expand, expand_bias, contract, contract_bias))
    # Tokens whose features are no neighbours in memory.
    assert gradcheck(lambda x: rms_norm(x.transpose(1, 2), gain[:3]), x)
    order = torch.tensor([2, 0, 1])
    assert gradcheck(lambda x: permute(x, order, order.argsort(), 1), x)
    assert_close(permute(x, order, order.argsort(), 1), x[:, order])


def test_vectors_near_zero_have_the_gradients_of_the_plain_norm():
    x = torch.tensor([[0.0, 0.0], [1e-13, -2e-13], [3e-12, 0.0]], dtype=torch.float64, requires_grad=True)
    gain = torch.tensor([0.5, 2.0], dtype=torch.float64)
    found, expected = rms_norm(x, gain), F.normalize(x, dim=-1) * gain * 2**0.5
    assert_close(found, expected)
    given = torch.randn_like(x)
    assert_close(*(torch.autograd.grad(each, x, given) for each in (found, expected)))


@pytest.mark.parametrize("batch", [1, 3])
def test_gradients_of_norm_and_activation_are_those_of_finite_differences(batch):
    x, weight, bias = doubles((batch, 4, 3, 2), 4, 4)
    last = x.detach().contiguous(memory_format=torch.channels_last).requires_grad_()
    expected = F.gelu(F.instance_norm(x, weight=weight, bias=bias, eps=1e-3))
    assert_close(instance_norm_gelu(last, weight, bias, 1e-3), expected)
    assert gradcheck(lambda *inputs: instance_norm_gelu(*inputs, 1e-3), (last, weight, bias))


NETWORKS = {
    "bs": lambda blocks: BSRoFormer(2, 4, bands=[4, 8, 21], blocks=blocks, mask_expansion=1),
    "mel": lambda blocks: MelBandRoFormer(
        2, 4, num_bins=33, num_bands=6, sample_rate=8000, blocks=blocks, mask_layers=3, mask_expansion=1
    ),
    "mdx23c": lambda blocks: TFCTDFv3(
        2, 4, num_bins=33, num_input_bins=32, num_subbands=2, internal_channels=4, growth=4, num_scales=2
    ),
}


@pytest.mark.parametrize("name", NETWORKS)
def test_networks_have_the_gradients_of_plain_operations(name, monkeypatch):
    torch.manual_seed(0)
    network = NETWORKS[name](RoFormerDesign(dim=16, depth=2, heads=2, head_dim=8))
    planes = torch.randn(2, 2, 33, 12)

    def gradients():
        output = network(planes)
        return output.detach(), *torch.autograd.grad(output.square().mean(), list(network.parameters()))

    found = gradients()
    for module in (transformer, tfc_tdf_v3):
        monkeypatch.setattr(module, "learns_on_cpu", lambda x: False)
    for one, other in zip(found, gradients(), strict=True):
        assert_close(one, other, rtol=1e-4, atol=1e-4 * float(other.abs().max()))
