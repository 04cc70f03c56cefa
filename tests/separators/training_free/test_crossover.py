"""Low and high frequencies."""

from __future__ import annotations

import pytest
import torch

from soloist.errors import UsageError
from soloist.separators import Chunking, Crossover, separate_chunked

RATE = 8000


@pytest.mark.parametrize(("pitch", "place"), [(100, 0), (200, 0), (300, 1), (3000, 1)])
def test_a_tone_is_low_or_high(pitch, place):
    tone = (2 * torch.pi * pitch * torch.arange(RATE) / RATE).sin()[None, None]
    estimates = Crossover(sample_rate=RATE, channels=1)(tone)
    inside = slice(1000, -1000)
    torch.testing.assert_close(estimates[:, place, ..., inside], tone[..., inside], atol=0.02, rtol=0)


@pytest.mark.parametrize("frequency", [0.0, 1e6])
def test_beyond_all_frequencies_everything_is_on_one_side(frequency):
    mixture = torch.randn(1, 2, 4000)
    estimates = Crossover(sample_rate=RATE, frequency=frequency)(mixture)
    torch.testing.assert_close(estimates.sum(dim=1), mixture, atol=1e-5, rtol=0)
    assert estimates[:, 1 if frequency else 0].square().mean() < 1e-2


def test_chunks_equal_the_whole():
    separator = Crossover(sample_rate=RATE)
    mixture = torch.randn(1, 2, 3 * RATE)
    chunked = separate_chunked(separator, mixture, Chunking.of(separator, length=RATE))
    torch.testing.assert_close(chunked, separator(mixture), atol=1e-6, rtol=0)


def test_a_negative_frequency_is_refused():
    with pytest.raises(UsageError, match="frequency -1"):
        Crossover(frequency=-1.0)
