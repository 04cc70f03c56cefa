"""Attentive SuDoRM-RF: options that take effect, unlike the original's, at any length."""

from __future__ import annotations

import math

import pytest
import torch

from soloist.networks import AttentiveSuDoRMRF
from soloist.networks.sudormrf.attentive import AttentiveResampler, sinusoidal_positions


@pytest.mark.parametrize(("num_heads", "head_size"), [(4, 256), (2, 8), (1, 3)])
def test_heads_are_as_many_and_as_large_as_asked(num_heads, head_size):
    network = AttentiveSuDoRMRF(8, 4, 6, num_blocks=1, depth=2, num_heads=num_heads, head_size=head_size)
    resampler = network.blocks[0].pyramid.resamplers[0]
    assert resampler.query.weight.shape == (num_heads * head_size, 6)
    assert network(torch.randn(1, 8, 10)).shape == (1, 2, 8, 10)


def test_attention_is_that_of_the_definition():
    torch.manual_seed(0)
    resampler = AttentiveResampler(4, num_heads=2, head_size=3, dropout=0.0)
    fine, coarse = torch.randn(1, 4, 6), torch.randn(1, 4, 3)
    found = []
    for head in range(2):
        rows = slice(3 * head, 3 * head + 3)
        query, key, value = (
            layer.weight[rows] @ x + layer.bias[rows, None]
            for layer, x in (
                (resampler.query, fine[0]),
                (resampler.key, coarse[0]),
                (resampler.value, coarse[0]),
            )
        )
        weights = torch.softmax(query.T @ key / math.sqrt(3), dim=-1)
        found.append(value @ weights.T)
    expected = resampler.output.weight @ torch.cat(found) + resampler.output.bias[:, None]
    assert torch.allclose(resampler.attend(fine, coarse)[0], expected, atol=1e-6)


def test_dropout_is_honoured_in_training():
    torch.manual_seed(0)
    fine, coarse = torch.randn(1, 4, 6), torch.randn(1, 4, 3)
    dropping = AttentiveResampler(4, 2, 3, dropout=0.5)
    assert not torch.equal(dropping(fine, coarse), dropping(fine, coarse))
    dropping.eval()
    assert torch.equal(dropping(fine, coarse), dropping(fine, coarse))


def test_there_is_no_longest_input():
    """The original ends at 5000 frames of the coarser resolution."""
    resampler = AttentiveResampler(2, num_heads=1, head_size=2, dropout=0.0).eval()
    with torch.no_grad():
        assert resampler(torch.randn(1, 2, 40), torch.randn(1, 2, 5001)).shape == (1, 2, 40)


def test_any_number_of_frames_is_taken():
    network = AttentiveSuDoRMRF(8, 4, 6, num_blocks=1, depth=3, num_heads=1, head_size=4)
    assert network(torch.randn(1, 8, 13)).shape == (1, 2, 8, 13)


@pytest.mark.parametrize("channels", [1, 5, 8])
def test_positions_are_sines_and_cosines(channels):
    code = sinusoidal_positions(7, channels, like=torch.zeros(1))
    assert code.shape == (channels, 7)
    for channel in range(channels):
        rate = 10000 ** (-(channel - channel % 2) / channels)
        wave = math.cos if channel % 2 else math.sin
        expected = torch.tensor([wave(rate * position) for position in range(7)])
        assert torch.allclose(code[channel], expected, atol=1e-5)
