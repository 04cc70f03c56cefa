"""Causal SuDoRM-RF: receptive field and initialisation."""

from __future__ import annotations

import pytest
import torch

from soloist.networks import CausalSuDoRMRF
from soloist.networks.sudormrf.causal import CausalConv


def _network(num_blocks: int, depth: int, kernel_size: int) -> CausalSuDoRMRF:
    torch.manual_seed(1)
    network = CausalSuDoRMRF(4, 3, 5, num_blocks, depth, num_outputs=2, kernel_size=kernel_size)
    for block in network.blocks:
        torch.nn.init.ones_(block.gain)
    return network.double()


@pytest.mark.parametrize(("num_blocks", "depth", "kernel_size"), [(1, 1, 5), (1, 3, 5), (3, 2, 7), (2, 4, 3)])
def test_the_receptive_field_is_what_gradients_reach(num_blocks, depth, kernel_size):
    network = _network(num_blocks, depth, kernel_size)
    features = torch.randn(1, 4, 128, dtype=torch.float64, requires_grad=True)
    # The last frame with the same value of the coarsest resolution looks farthest back.
    frame = 96 + 2 ** (depth - 1) - 1
    (gradient,) = torch.autograd.grad(network(features)[..., frame].sum(), features)
    seen = gradient[0].abs().sum(dim=0).nonzero()[:, 0]
    assert int(seen.max()) == frame
    assert frame - int(seen.min()) == network.receptive_field


def test_no_frame_depends_on_a_later_one():
    network = _network(2, 3, 5)
    features = torch.randn(1, 4, 64, dtype=torch.float64)
    changed = features.clone()
    changed[..., 37:] = torch.randn(1, 4, 27, dtype=torch.float64)
    with torch.no_grad():
        before, after = network(features), network(changed)
    assert torch.equal(before[..., :37], after[..., :37])
    assert not torch.equal(before[..., 37], after[..., 37])


@pytest.mark.parametrize("stride", [1, 2])
def test_taps_on_the_future_do_not_matter(stride):
    conv = CausalConv(3, 7, stride)
    x = torch.randn(1, 3, 20)
    expected = conv(x)
    with torch.no_grad():
        conv.weight[..., 4:] = 1e6
    assert torch.equal(conv(x), expected)


def test_fresh_blocks_are_the_identity():
    network = CausalSuDoRMRF(4, 3, 5, num_blocks=2, depth=2)
    x = torch.randn(1, 3, 16)
    assert torch.equal(network.blocks(x), x)


@torch.no_grad()
@pytest.mark.parametrize(("depth", "kernel_size"), [(1, 5), (3, 7), (4, 3), (3, 1)])
@pytest.mark.parametrize("pieces", [[1] * 16, [3, 1, 5, 7], [16], [2, 14]])
def test_a_stream_in_pieces_gives_what_the_whole_gives(depth, kernel_size, pieces):
    network = _network(2, depth, kernel_size)
    whole = torch.randn(2, 4, 16, dtype=torch.float64)
    outputs, state, shapes = [], (), None
    for piece in whole.repeat(1, 1, 2).split([*pieces, *pieces], dim=-1):
        output, state = network.step(piece, state)
        outputs.append(output)
        if sum(each.shape[-1] for each in outputs) % network.frame_multiple == 0:
            assert shapes in (None, [part.shape for part in state])
            shapes = [part.shape for part in state]
    expected = network(whole.repeat(1, 1, 2))
    torch.testing.assert_close(torch.cat(outputs, dim=-1), expected)
