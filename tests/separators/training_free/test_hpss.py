"""HPSS keeps its promises: what is a tone, what is a stroke, and that nothing is lost."""

from __future__ import annotations

import math

import pytest
import torch

from soloist.errors import UsageError
from soloist.separators import HPSS, Chunking, separate_chunked

RATE = 8000


def tone_and_clicks(seconds: float = 1.0) -> tuple[torch.Tensor, torch.Tensor]:
    """A steady tone and a click every quarter of a second, each `(1, 1, samples)`."""
    time = torch.arange(int(seconds * RATE)) / RATE
    tone = 0.3 * torch.sin(2 * math.pi * 440 * time)
    clicks = torch.zeros_like(tone)
    clicks[RATE // 8 :: RATE // 4] = 0.9
    return tone[None, None], clicks[None, None]


@pytest.mark.parametrize("mask", ["soft", "hard"])
def test_a_tone_is_harmonic_and_a_click_percussive(mask):
    tone, clicks = tone_and_clicks()
    harmonic, percussive = HPSS(sample_rate=RATE, channels=1, mask=mask)(tone + clicks).unbind(1)
    inner = slice(RATE // 10, -RATE // 10)
    for estimate, reference in ((harmonic, tone), (percussive, clicks)):
        error = (estimate - reference)[..., inner].square().sum()
        assert 10 * torch.log10(reference[..., inner].square().sum() / error) > 12


@pytest.mark.parametrize("mask", ["soft", "hard"])
@pytest.mark.parametrize("margins", [(1.0, 1.0), (2.0, 1.0), (1.5, 3.0)])
def test_sources_sum_to_the_mixture_and_masks_lie_in_range(mask, margins):
    separator = HPSS(
        sample_rate=RATE, channels=2, mask=mask, harmonic_margin=margins[0], percussive_margin=margins[1]
    )
    mixture = torch.randn(2, 2, 5000)
    torch.testing.assert_close(separator(mixture).sum(dim=1), mixture, atol=1e-5, rtol=0)
    masks = separator.masks(separator.stft(mixture).abs())
    assert masks.min() >= -1e-6
    assert masks.max() <= 1 + 1e-6


def test_a_hard_mask_gives_each_bin_to_one_source():
    separator = HPSS(sample_rate=RATE, channels=1, mask="hard", harmonic_margin=2.0)
    masks = separator.masks(separator.stft(torch.randn(1, 1, 5000)).abs())
    assert separator.sources == ("harmonic", "percussive", "residual")
    assert set(masks.unique().tolist()) == {0.0, 1.0}
    assert (masks.sum(dim=1) == 1).all()


def test_a_margin_moves_the_ambiguous_to_the_residual():
    noise = torch.randn(1, 1, 8000)
    energies = [
        HPSS(sample_rate=RATE, channels=1, harmonic_margin=m, percussive_margin=m)(noise)[:, 2].square().sum()
        for m in (1.2, 2.0, 4.0)
    ]
    assert energies[0] < energies[1] < energies[2]


def test_chunks_that_overlap_by_the_receptive_field_equal_the_whole():
    separator = HPSS(sample_rate=RATE, channels=1, n_fft=256, harmonic_kernel=9)
    mixture = torch.randn(1, 1, 30_001)
    assert separator.receptive_field == 256 + 4 * 64
    chunked = separate_chunked(separator, mixture, Chunking.of(separator, length=4096))
    assert (chunked - separator(mixture)).abs().max() < 1e-5


@pytest.mark.parametrize(
    "options", [{"harmonic_kernel": 0}, {"percussive_margin": 0.5}, {"power": 0.0}, {"percussive_kernel": -3}]
)
def test_nonsense_is_refused(options):
    with pytest.raises(UsageError):
        HPSS(**options)
