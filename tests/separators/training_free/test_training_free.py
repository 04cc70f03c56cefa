"""What every separator without training promises, whatever its rule."""

from __future__ import annotations

import pytest
import torch

from soloist.separators import FT2D, HPSS, RPCA, Repet, RepetSim, TwoStageHPSS

RATE = 8000
SEPARATORS = {
    "hpss": HPSS,
    "hpss-hard": lambda **options: HPSS(mask="hard", **options),
    "hpss-margin": lambda **options: HPSS(harmonic_margin=2.0, **options),
    "two-stage-hpss": TwoStageHPSS,
    "repet": Repet,
    "repet-hard": lambda **options: Repet(mask="hard", **options),
    "repet-known-period": lambda **options: Repet(period=0.5, **options),
    "ft2d": FT2D,
    "ft2d-prominence": lambda **options: FT2D(peaks="prominence", **options),
    "ft2d-foreground": lambda **options: FT2D(model="foreground", mask="hard", **options),
    "rpca": RPCA,
    "rpca-soft": lambda **options: RPCA(mask="soft", max_iterations=5, **options),
    "repet-sim": RepetSim,
    "repet-sim-hard": lambda **options: RepetSim(mask="hard", **options),
    "repet-sim-greedy": lambda **options: RepetSim(picking="greedy", **options),
}


@pytest.fixture(params=SEPARATORS.values(), ids=SEPARATORS.keys())
def build(request):
    """Builds one of the separators for a sample rate and a number of channels."""
    return request.param


@pytest.mark.parametrize("length", [1, 2, 100, 511, 513, 4001])
def test_any_length_comes_back_finite_and_sums_to_the_mixture(build, length):
    mixture = torch.randn(1, 2, length)
    estimates = build(sample_rate=RATE, channels=2)(mixture)
    assert estimates.shape[-1] == length
    torch.testing.assert_close(estimates.sum(dim=1), mixture, atol=1e-5, rtol=0)


@pytest.mark.parametrize("length", [1, 20_000])
def test_silence_stays_silent(build, length):
    assert build(sample_rate=RATE, channels=1)(torch.zeros(1, 1, length)).abs().max() == 0


def test_silence_within_the_mixture_makes_no_nan(build):
    mixture = torch.randn(1, 1, 24_000)
    mixture[..., 6000:14_000] = 0
    assert build(sample_rate=RATE, channels=1)(mixture).isfinite().all()


def test_a_batch_equals_its_items_one_by_one(build):
    separator = build(sample_rate=RATE, channels=2)
    mixtures = torch.randn(3, 2, 20_000) * torch.tensor([1.0, 0.01, 0.3])[:, None, None]
    mixtures[1, :, 10_000:] = mixtures[1, :, :10_000]
    one_by_one = torch.cat([separator(mixture[None]) for mixture in mixtures])
    torch.testing.assert_close(separator(mixtures), one_by_one, atol=1e-6, rtol=0)


@pytest.mark.parametrize("sample_rate", [4000, 11_025, 96_000])
def test_any_sample_rate_will_do(build, sample_rate):
    mixture = torch.randn(1, 1, sample_rate // 2)
    assert build(sample_rate=sample_rate, channels=1)(mixture).isfinite().all()


def test_the_level_does_not_matter(build):
    separator = build(sample_rate=RATE, channels=1)
    mixture = torch.randn(1, 1, 16_000)
    torch.testing.assert_close(separator(mixture * 2**-8) * 2**8, separator(mixture), atol=1e-4, rtol=0)
