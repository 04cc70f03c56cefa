"""The learned filterbank: its frames, its synthesis, what it can see."""

from __future__ import annotations

import pytest
import torch
from torch.nn import functional as F

from soloist.errors import UsageError
from soloist.transforms import LearnedFilterbank


@pytest.mark.parametrize("kernel_size", [16, 17, 21, 41])
@pytest.mark.parametrize("length", [1, 37, 200])
def test_any_length_comes_back(kernel_size, length):
    filterbank = LearnedFilterbank(8, kernel_size, channels=2, num_sources=3)
    features = filterbank(torch.randn(2, 2, length))
    audio = filterbank.inverse(features.expand(-1, 6, -1, -1), length)
    assert audio.shape == (2, 6, length)


@pytest.mark.parametrize("synthesis", ["joint", "separate"])
@pytest.mark.parametrize("bias", [False, True])
def test_synthesis_is_the_transposed_convolution(synthesis, bias):
    filterbank = LearnedFilterbank(6, 9, channels=2, num_sources=2, synthesis=synthesis, bias=bias).double()
    features = torch.randn(3, 4, 6, 11, dtype=torch.float64)
    conv = filterbank.synthesis
    expected = F.conv_transpose1d(
        features.flatten(1, 2), conv.weight, conv.bias, 4, padding=4, output_padding=3, groups=conv.groups
    )
    assert torch.allclose(filterbank.inverse(features, 44), expected)


def test_separate_synthesis_keeps_sources_apart():
    filterbank = LearnedFilterbank(6, 9, num_sources=2, synthesis="separate")
    features = torch.randn(1, 2, 6, 11)
    features[:, 1] = 0
    assert not filterbank.inverse(features, 44)[:, 1].any()


@pytest.mark.parametrize(("causal", "past", "future"), [(False, 10, 10), (True, 20, 0)])
def test_a_frame_sees_what_it_may(causal, past, future):
    filterbank = LearnedFilterbank(4, 21, causal=causal)
    audio = torch.randn(1, 1, 200, requires_grad=True)
    # Frame 8 stands at sample 80.
    filterbank(audio)[..., 8].sum().backward()
    seen = audio.grad[0, 0].nonzero()[:, 0]
    assert (80 - int(seen.min()), int(seen.max()) - 80) == (past, future)


def test_a_hop_that_would_lose_samples_is_refused():
    with pytest.raises(UsageError, match="hop_length 12"):
        LearnedFilterbank(8, 21, hop_length=12)


def test_shared_synthesis_is_the_same_for_all_outputs():
    filterbank = LearnedFilterbank(6, 8, channels=2, num_sources=2, synthesis="shared").double()
    features = torch.randn(3, 4, 6, 11, dtype=torch.float64)
    conv = filterbank.synthesis
    assert conv.weight.shape == (6, 1, 8)
    expected = F.conv_transpose1d(features.flatten(0, 1), conv.weight, stride=4, padding=4)
    assert torch.allclose(filterbank.inverse(features, 40).flatten(0, 1), expected[:, 0])


@pytest.mark.parametrize("causal", [False, True])
def test_gated_filters_are_those_of_normalised_frames(causal):
    """ReLU(Ux / |x|) * sigmoid(Vx / |x|), brought back to the level |x| (Luo and Mesgarani 2018)."""
    filterbank = LearnedFilterbank(6, 8, channels=2, activation="gated", causal=causal).double()
    audio = torch.randn(2, 2, 40, dtype=torch.float64)
    filters, gates = filterbank.analysis.weight, filterbank.gate.weight
    if causal:
        filters, gates = filters[..., :8], gates[..., :8]
    segments = F.pad(audio, (7, 0) if causal else (4, 4)).unfold(-1, 8, 4)
    level = segments.square().sum(dim=(1, 3)).sqrt()[:, None]
    unit = segments / level[..., None]
    filtered, gated = (torch.einsum("b c t k, n c k -> b n t", unit, weight) for weight in (filters, gates))
    expected = level * filtered.relu() * gated.sigmoid()
    assert torch.allclose(filterbank(audio)[:, 0, :, : expected.shape[-1]], expected, atol=1e-6)


def test_a_gate_bears_silence():
    filterbank, audio = LearnedFilterbank(6, 8, activation="gated"), torch.zeros(1, 1, 40, requires_grad=True)
    features = filterbank(audio)
    features.sum().backward()
    assert not features.any()
    assert audio.grad.isfinite().all()


@pytest.mark.parametrize("kernel_size", [8, 9])
@pytest.mark.parametrize("frames", [1, 2, 7])
def test_a_length_of_frames_has_as_many_as_fit(kernel_size, frames):
    filterbank = LearnedFilterbank(4, kernel_size)
    length = filterbank.length_of(frames)
    assert filterbank(torch.zeros(1, 1, length)).shape[-1] == frames
    assert filterbank(torch.zeros(1, 1, length + filterbank.hop_length)).shape[-1] == frames + 1
