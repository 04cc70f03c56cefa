"""TasNet with LSTMs: size, receptive field, skip connections."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from soloist.errors import UsageError
from soloist.networks import TasNet
from soloist.transforms import LearnedFilterbank

SIZES = {"num_filters": 6, "hidden_size": 5}


PUBLISHED = {True: 23.6e6, False: 32.0e6}
"""Parameters of the network with two directions, and of the causal one."""


def parameters(units: int, bidirectional: bool, num_outputs: int = 2) -> int:
    """Number of parameters of recurrent layers, mask head and filters."""
    with torch.device("meta"):
        modules = [
            TasNet(
                hidden_size=units // (1 + bidirectional), bidirectional=bidirectional, num_outputs=num_outputs
            ),
            LearnedFilterbank(500, 40, synthesis="shared", activation="gated"),
        ]
    return sum(parameter.numel() for module in modules for parameter in module.parameters())


@pytest.mark.parametrize(("bidirectional", "count"), [(True, 23_094_000), (False, 31_094_000)])
def test_the_published_sizes_are_met_but_for_three_hundredths(bidirectional, count):
    ours = parameters(1000, bidirectional)
    assert ours == count
    assert 0.97 < ours / PUBLISHED[bidirectional] < 1


def test_the_published_layers_have_not_the_published_counts_whatever_is_around_them():
    """The two networks differ in the recurrences only, so that the layer size decides the difference.

    Layers of 1024 units and one mask, with its complement for the other talker, would match.
    """
    assert parameters(1000, False) - parameters(1000, True) == 8_000_000
    assert PUBLISHED[False] - PUBLISHED[True] == pytest.approx(8_400_000)
    for bidirectional, published in PUBLISHED.items():
        assert parameters(1024, bidirectional, num_outputs=1) == pytest.approx(published, abs=0.05e6)


@given(frames=st.integers(1, 40), layers=st.sampled_from([2, 4, 6]), bidirectional=st.booleans())
def test_masks_add_up_to_one_for_any_number_of_frames(frames, layers, bidirectional):
    network = TasNet(**SIZES, layers=layers, num_outputs=3, bidirectional=bidirectional)
    with torch.no_grad():
        masks = network(torch.randn(2, 6, frames))
    assert masks.shape == (2, 3, 6, frames)
    assert torch.allclose(masks.sum(dim=1), torch.ones(2, 6, frames))


@pytest.mark.parametrize("cell", ["lstm", "gru"])
def test_one_direction_is_causal(cell):
    network = TasNet(**SIZES, cell=cell, bidirectional=False)
    features = torch.randn(1, 6, 30)
    changed = features.clone()
    changed[..., 20:] = torch.randn(1, 6, 10)
    with torch.no_grad():
        before, after = network(features), network(changed)
    assert torch.allclose(before[..., :20], after[..., :20], atol=1e-6)
    assert not torch.allclose(before[..., 20], after[..., 20])


def test_the_level_of_a_frame_does_not_matter_from_minus_30_to_30_db():
    # Frames of unit variance: at -30 dB the norm's epsilon changes them by 5 parts in a million.
    frames = torch.nn.functional.layer_norm(torch.randn(1, 20, 6), (6,))
    network, features = TasNet(**SIZES), frames.transpose(1, 2)
    levels = torch.logspace(-1.5, 1.5, 20)[torch.randperm(20)]
    with torch.no_grad():
        assert torch.allclose(network(features), network(levels * features), atol=1e-4)


def test_a_pair_of_layers_is_added_to_what_it_saw():
    network, shorter = TasNet(**SIZES, layers=4), TasNet(**SIZES, layers=2)
    for parameter in network.pairs[1].parameters():
        torch.nn.init.zeros_(parameter)
    shorter.load_state_dict({k: v for k, v in network.state_dict().items() if "pairs.1" not in k})
    features = torch.randn(1, 6, 20)
    with torch.no_grad():
        assert torch.equal(network(features), shorter(features))


@pytest.mark.parametrize("layers", [0, 3])
def test_an_odd_number_of_layers_is_refused(layers):
    with pytest.raises(UsageError, match=f"layers {layers} must be an even number"):
        TasNet(layers=layers)
