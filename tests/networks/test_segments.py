"""Overlapping segments, and filterbanks without padding."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from soloist.errors import UsageError
from soloist.networks import ComplexLevel, ComplexUNet, DeMask, GatedDualPathRNN, ResourceEfficientSepFormer
from soloist.networks.layers.normalization import make_frame_norm
from soloist.networks.layers.segments import SegmentGrid
from soloist.transforms import FreeFilterbank


@given(
    frames=st.integers(1, 60),
    size=st.sampled_from([4, 10]),
    whole=st.booleans(),
)
def test_every_frame_lies_in_two_segments_that_overlap_by_half(frames, size, whole):
    grid = SegmentGrid(size, size // 2, whole)
    x = torch.randn(2, frames, 3)
    segments = grid.split(x)
    assert segments.shape == (2, grid.num_segments(frames), size, 3)
    torch.testing.assert_close(grid.add(segments, frames), 2 * x)


@given(frames=st.integers(1, 60), hop=st.integers(1, 12))
def test_any_hop_keeps_the_number_of_frames(frames, hop):
    grid = SegmentGrid(12, hop)
    ones = grid.add(grid.split(torch.ones(1, frames, 1)), frames)
    assert ones.shape == (1, frames, 1)
    assert ones.min() >= 1
    assert ones.max() <= -(-12 // hop)


def test_fourier_filters_give_the_signal_back():
    bank = FreeFilterbank(64, 64, 16, num_sources=1, kind="stft")
    audio = torch.randn(1, 1, 400)
    again = bank.inverse(bank(audio), 400)
    torch.testing.assert_close(again[..., 64:300], audio[..., 64:300], rtol=0, atol=1e-5)


@given(samples=st.integers(16, 200))
def test_estimates_have_the_length_of_the_mixture(samples):
    bank = FreeFilterbank(8, 16, 8, num_sources=2, kind="mirrored")
    features = bank(torch.randn(2, 1, samples))
    assert features.shape == (2, 1, 8, (samples - 16) // 8 + 1)
    assert bank.inverse(features.expand(2, 2, -1, -1), samples).shape == (2, 2, samples)


def test_norms_have_the_scope_of_their_names():
    x = torch.randn(2, 5, 7)
    torch.testing.assert_close(
        make_frame_norm("frame", 5)(x).mean(dim=1), torch.zeros(2, 7), atol=1e-6, rtol=0
    )
    one = make_frame_norm("cumulative", 5)(x)[..., :3]
    torch.testing.assert_close(one, make_frame_norm("cumulative", 5)(x[..., :3]))
    with pytest.raises(UsageError, match="norm 'batch' is none of"):
        make_frame_norm("batch", 5)


@pytest.mark.parametrize("frames", [1, 2, 9, 16])
@pytest.mark.parametrize("options", [{}, {"trimmed": True}, {"hidden_size": 4}])
def test_a_complex_unet_takes_any_number_of_frames(frames, options):
    taps = 2 if "hidden_size" in options else 3
    levels = [ComplexLevel(2, 0, (3, taps), (2, 1)), ComplexLevel(4, 2, (3, taps), (2, 1 + (taps == 3)))]
    network = ComplexUNet(levels, 17, 1, **options).eval()
    assert network(torch.randn(1, 34, frames)).shape == (1, 1, 34, frames)


@torch.no_grad()
def test_the_memory_sees_one_recording_at_a_time():
    network = ResourceEfficientSepFormer(8, 2, 5, 2, 1, 1, 2, 12).eval()
    features = torch.rand(3, 8, 23)
    alone = torch.cat([network(item[None]) for item in features])
    torch.testing.assert_close(network(features), alone, rtol=0, atol=1e-6)


def test_what_does_not_fit_is_refused():
    with pytest.raises(UsageError, match="must be even for mirrored filters"):
        FreeFilterbank(7, kind="mirrored")
    with pytest.raises(UsageError, match="must not exceed num_filters"):
        FreeFilterbank(16, 32, kind="stft")
    with pytest.raises(UsageError, match="cannot be divided by the strides"):
        ComplexUNet([ComplexLevel(2, 0, (3, 3), (2, 1))], 18)
    with pytest.raises(UsageError, match="bound 'relu' is none of"):
        ComplexUNet([ComplexLevel(2, 0, (3, 3), (2, 1))], 17, bound="relu")
    with pytest.raises(UsageError, match="is none of magnitude"):
        DeMask(17, seen="phase")
    with pytest.raises(UsageError, match="cell 'rnn' is none of"):
        GatedDualPathRNN(cell="rnn")
