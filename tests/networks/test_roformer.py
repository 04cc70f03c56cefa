"""RoFormers: blocks that are computed a second time for their gradients."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from torch.autograd.graph import saved_tensors_hooks

from soloist.networks import BSRoFormer, MelBandRoFormer, RoFormerDesign

DESIGN = RoFormerDesign(dim=16, depth=4, heads=2, head_dim=8, dropout=0.1)

NETWORKS = {
    "bs": lambda design: BSRoFormer(2, 4, bands=[4, 8, 21], blocks=design, mask_expansion=1),
    "bs with skips": lambda design: BSRoFormer(
        2, 4, bands=[4, 8, 21], blocks=replace(design, skips=True), mask_expansion=1
    ),
    "mel": lambda design: MelBandRoFormer(
        2, 4, num_bins=33, num_bands=6, sample_rate=8000, blocks=design, mask_expansion=1
    ),
}


def kept_and_gradients(network):
    """Bytes kept from the forward pass for the backward pass, and the gradients of all weights."""
    kept = {}

    def pack(tensor):
        kept[tensor.data_ptr()] = tensor.untyped_storage().nbytes()
        return tensor

    torch.manual_seed(1)
    planes = torch.randn(2, 2, 33, 40)
    with saved_tensors_hooks(pack, lambda tensor: tensor):
        loss = network(planes).square().mean()
    loss.backward()
    weights = {weight.data_ptr() for weight in network.parameters()}
    return sum(size for place, size in kept.items() if place not in weights), [
        weight.grad for weight in network.parameters()
    ]


@pytest.mark.parametrize("name", NETWORKS)
def test_blocks_computed_again_have_the_same_gradients_and_keep_less(name):
    torch.manual_seed(0)
    plain = NETWORKS[name](DESIGN)
    again = NETWORKS[name](replace(DESIGN, recompute=True))
    again.load_state_dict(plain.state_dict())
    expected_size, expected = kept_and_gradients(plain)
    size, gradients = kept_and_gradients(again)
    torch.testing.assert_close(gradients, expected, rtol=0, atol=0)
    assert size < 0.5 * expected_size
