"""REPET finds the period and what repeats with it."""

from __future__ import annotations

import pytest
import torch

from soloist.errors import UsageError
from soloist.separators import Repet
from soloist.separators.training_free.repet import beat_spectrum

RATE = 8000


def loop_and_lead(period: float = 1.2, seconds: float = 9.0) -> tuple[torch.Tensor, torch.Tensor]:
    """A noise that repeats exactly, and a lead that glides: `(1, 1, samples)`."""
    pattern = torch.randn(int(period * RATE), generator=torch.Generator().manual_seed(0)) * 0.1
    pattern = pattern * torch.linspace(1, 0.1, len(pattern))
    samples = int(seconds * RATE)
    background = pattern.repeat(samples // len(pattern) + 1)[:samples]
    time = torch.arange(samples) / RATE
    lead = 0.1 * torch.sin(2 * torch.pi * (400 * time + 80 * time**2))
    return background[None, None], lead[None, None]


def ratio_db(reference: torch.Tensor, estimate: torch.Tensor) -> float:
    return float(10 * torch.log10(reference.square().sum() / (estimate - reference).square().sum()))


@pytest.mark.parametrize("options", [{}, {"period": 1.2}, {"mask": "hard"}])
def test_what_repeats_is_accompaniment(options):
    background, lead = loop_and_lead()
    vocals, accompaniment = Repet(sample_rate=RATE, channels=1, hop_length=80, **options)(
        background + lead
    ).unbind(1)
    assert ratio_db(lead, vocals) > ratio_db(lead, background + lead) + 6
    assert ratio_db(background, accompaniment) > ratio_db(background, background + lead) + 6


@pytest.mark.parametrize("period", [0.9, 1.2, 2.5])
def test_the_period_is_found(period):
    background, _ = loop_and_lead(period)
    separator = Repet(sample_rate=RATE, channels=1, hop_length=80)
    found = separator._find_period(separator.stft(background)[0].abs())
    assert found % (period * 100) == 0


def test_the_beat_spectrum_is_the_unbiased_autocorrelation():
    magnitudes = torch.rand(2, 3, 10, dtype=torch.float64)
    power = magnitudes.square().mean(dim=0)
    power = power / power.max()
    expected = torch.stack(
        [(power[:, lag:] * power[:, : 10 - lag]).sum(dim=1).mean() / (10 - lag) for lag in range(10)]
    )
    torch.testing.assert_close(beat_spectrum(magnitudes), expected)


def test_what_is_too_short_to_repeat_is_all_accompaniment():
    mixture = torch.randn(1, 1, RATE)
    vocals, accompaniment = Repet(sample_rate=RATE, channels=1)(mixture).unbind(1)
    assert vocals.abs().max() == 0
    torch.testing.assert_close(accompaniment, mixture, atol=1e-6, rtol=0)


def test_below_the_high_pass_all_is_accompaniment():
    time = torch.arange(4 * RATE) / RATE
    low = torch.sin(2 * torch.pi * (60 + 3 * time) * time)[None, None]
    open_low, closed = (
        Repet(sample_rate=RATE, channels=1, high_pass=cutoff)(low)[:, 0].square().sum() for cutoff in (0, 300)
    )
    assert closed < 0.05 * open_low


def test_each_item_of_a_batch_has_its_own_period():
    items = [loop_and_lead(period)[0] for period in (0.9, 1.4)]
    separator = Repet(sample_rate=RATE, channels=1, hop_length=80)
    vocals = separator(torch.cat(items))[:, 0]
    for item, vocal in zip(items, vocals, strict=True):
        assert vocal.square().sum() < 1e-3 * item.square().sum()


@pytest.mark.parametrize(
    "options",
    [{"min_period": 0.0}, {"min_period": 3.0, "max_period": 2.0}, {"period": -1.0}, {"high_pass": -5.0}],
)
def test_nonsense_is_refused(options):
    with pytest.raises(UsageError):
        Repet(**options)
