"""TasNet with LSTMs: its size, what it sees, its skip connections."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from soloist.errors import UsageError
from soloist.networks.tasnet import TasNet
from soloist.separators.filterbank import FilterbankSeparator
from soloist.transforms.filterbank import LearnedFilterbank

SIZES = {"num_filters": 6, "hidden_size": 5}


@pytest.mark.parametrize(
    ("bidirectional", "hidden_size", "count", "published"),
    [(True, 500, 23_094_000, 23.6e6), (False, 1000, 31_094_000, 32.0e6)],
)
def test_the_published_sizes_are_met_but_for_three_hundredths(bidirectional, hidden_size, count, published):
    """The paper names four layers, one linear layer and the filters, which do not add up to its figures."""
    with torch.device("meta"):
        network = TasNet(hidden_size=hidden_size, bidirectional=bidirectional)
        filterbank = LearnedFilterbank(500, 40, synthesis="shared", activation="gated")
        separator = FilterbankSeparator(filterbank, network)
    ours = sum(parameter.numel() for parameter in separator.parameters())
    assert ours == count
    assert 0.97 < ours / published < 1


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


def test_the_level_of_a_frame_does_not_matter():
    network, features = TasNet(**SIZES), torch.rand(1, 6, 20) + 0.1
    with torch.no_grad():
        assert torch.allclose(network(features), network(torch.rand(20) * features + 0), atol=1e-4)


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
